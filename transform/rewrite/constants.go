package rewrite

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// liftConstants turns Constant nodes into initializers. An initializer that is a graph input as well, a
// default that a caller could override, becomes a mere initializer: a merged model has no use for other
// weights than those it was merged from.
func liftConstants(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	dropDefaultedInputs(e, r)
	for n := range e.nodes {
		if !isOp(n, "Constant") || len(n.GetOutput()) != 1 || e.outputs[n.Output[0]] {
			continue
		}
		t := constantOf(n)
		if t == nil {
			continue
		}
		t.Name = proto.String(n.Output[0])
		e.replace(n)
		e.inits[t.GetName()] = t
		e.graph.Initializer = append(e.graph.Initializer, t)
		r.did("constant nodes made initializers")
	}
	e.close()
	return nil
}

// firstFreeIR is the version of the format from which on initializers need not be graph inputs.
const firstFreeIR = 4

func dropDefaultedInputs(e *editor, r *Record) {
	var kept []*onnx.ValueInfo
	for _, v := range e.graph.GetInput() {
		if e.inputs[v.GetName()] {
			kept = append(kept, v)
			continue
		}
		r.did("initializers no longer inputs")
	}
	if len(kept) < len(e.graph.Input) && e.model.Proto.GetIrVersion() < firstFreeIR {
		e.model.Proto.IrVersion = proto.Int64(firstFreeIR)
	}
	e.graph.Input = kept
}

// constantOf returns a Constant node's tensor; nil for strings and sparse tensors, which carry no weights.
func constantOf(n *onnx.Node) *onnx.TensorProto {
	if len(n.GetAttribute()) != 1 || n.Attribute[0].GetRefAttrName() != "" {
		return nil
	}
	switch a := n.Attribute[0]; a.GetName() {
	case "value":
		return a.GetT()
	case "value_float":
		return onnx.FromFloat32([]float32{a.GetF()}).Proto("")
	case "value_floats":
		return onnx.FromFloat32(a.GetFloats(), int64(len(a.GetFloats()))).Proto("")
	case "value_int":
		return onnx.FromInt64([]int64{a.GetI()}).Proto("")
	case "value_ints":
		return onnx.FromInt64(a.GetInts(), int64(len(a.GetInts()))).Proto("")
	}
	return nil
}
