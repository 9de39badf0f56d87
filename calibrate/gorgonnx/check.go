package gorgonnx

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Before version 7, arithmetic operators broadcast by an attribute of their own.
const minOpset = 7

// check refuses, before anything runs, what can be seen without shapes: operators, attributes, second
// outputs, types of inputs.
func (s *session) check() error {
	if s.opset < minOpset {
		return unsupported("opset %d is older than this engine's oldest, %d", s.opset, minOpset)
	}
	if err := s.checkOperators(); err != nil {
		return err
	}
	for _, v := range s.inputs {
		if t, _, ok := onnx.TensorType(v); !ok || t.IsFloat() && t != onnx.Float {
			return unsupported("the input is %v; this engine computes with float32", t).AtValue(v.GetName())
		}
	}
	for _, n := range s.nodes {
		if err := s.checkNode(n); err != nil {
			return err.AtNode(onnx.NodeName(n))
		}
	}
	return nil
}

// checkOperators lists all operators that are missing, and names the first node that uses one.
func (s *session) checkOperators() error {
	var missing []string
	first := ""
	for _, n := range s.nodes {
		name := n.GetOpType()
		_, known := operators[name]
		if d := n.GetDomain(); d != "" && d != "ai.onnx" {
			name, known = d+"."+name, false
		}
		if !known && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
		if !known && first == "" {
			first = onnx.NodeName(n)
		}
	}
	if missing == nil {
		return nil
	}
	return unsupported("this engine does not have the operators %s", strings.Join(missing, ", ")).AtNode(first)
}

// checkNode refuses attributes that the operator's row does not list: a meaning that is not known must
// not be passed over.
func (s *session) checkNode(n *onnx.Node) *fault.Error {
	op := operators[n.GetOpType()]
	for _, a := range n.GetAttribute() {
		if !slices.Contains(op.attrs, a.GetName()) {
			return unsupported("this engine does not know the attribute %q of %s", a.GetName(), n.GetOpType())
		}
	}
	for i, out := range n.GetOutput() {
		if i > 0 && out != "" {
			return unsupported("this engine makes only the first output of %s", n.GetOpType()).AtValue(out)
		}
	}
	if len(n.GetOutput()) == 0 || n.GetOutput()[0] == "" {
		return fault.New(fault.Model, "invalid_graph", "%s has no first output", n.GetOpType())
	}
	if op.refuse != nil {
		if why := op.refuse(n); why != "" {
			return unsupported("this engine does not have %s with %s", n.GetOpType(), why)
		}
	}
	return nil
}

// checkFeeds holds the feeds against the declared inputs.
func (s *session) checkFeeds(feeds map[string]*onnx.Tensor) error {
	for _, v := range s.inputs {
		want, dims, _ := onnx.TensorType(v)
		t := feeds[v.GetName()]
		if t == nil {
			return fault.New(fault.Data, "missing_input", "nothing is fed to the input").AtValue(v.GetName())
		}
		fits := (dims == nil || len(dims) == len(t.Dims)) && !slices.ContainsFunc(t.Dims, func(d int64) bool { return d < 0 })
		for i := 0; fits && i < len(dims); i++ {
			fits = dims[i].Size < 0 || dims[i].Size == t.Dims[i]
		}
		if !fits || t.DType != want || len(t.Raw) != t.Len()*t.DType.Size() {
			return fault.New(fault.Data, "input_shape", "a tensor of %v %v with %d bytes does not fit the input",
				t.DType, t.Dims, len(t.Raw)).AtValue(v.GetName())
		}
	}
	if len(feeds) > len(s.inputs) {
		return fault.New(fault.Data, "unknown_input", "%d tensors are fed to %d inputs", len(feeds), len(s.inputs))
	}
	return nil
}
