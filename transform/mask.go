package transform

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// NoMask is the Options.Mask that lets every position count.
const NoMask = "none"

// mask resolves Options.Mask to the name of an input of the first model, "" for none.
func (p *Prepared) mask(name string) (string, error) {
	switch name {
	case NoMask:
		return "", nil
	case "":
		if found := p.Masks(); len(found) == 1 {
			return found[0], nil
		}
		return "", nil
	}
	in := p.Sources.Models[0].Index.Input(name)
	if in == nil {
		return "", fault.New(fault.Usage, "no_mask", "the model has no input %q", name).WithHint("--mask names an input of the first model")
	}
	if _, dims, _ := onnx.TensorType(in); len(dims) != 2 {
		return "", fault.New(fault.Usage, "mask_shape", "input %q is no mask: it has %d axes, not [samples, tokens]", name, len(dims))
	}
	return name, nil
}

// Masks lists the inputs of the first model that only mask attention: [samples, tokens], each of whose readers leads
// by operators that neither contract nor look anything up to what is added to scores, or chosen between, before a
// Softmax.
func (p *Prepared) Masks() []string {
	ix := p.Sources.Models[0].Index
	var out []string
	for _, in := range ix.Inputs() {
		_, dims, _ := onnx.TensorType(in)
		if len(dims) == 2 && masksOnly(ix, in.GetName()) {
			out = append(out, in.GetName())
		}
	}
	return out
}

// maskOps hand a mask on, in other shapes, types and conventions.
var maskOps = []string{"Cast", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Transpose", "Slice", "Concat", "Identity", "Sub", "Mul", "Neg",
	"Not", "And", "Or", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Where", "Gather", "GatherND", "Tile", "Min", "Max", "Add", "Shape", "Split"}

// masksOnly follows a value forward to the Softmax nodes that it masks.
func masksOnly(ix *onnx.Index, value string) bool {
	found := false
	todo, seen := []string{value}, map[string]bool{}
	for len(todo) > 0 {
		v := todo[0]
		todo = todo[1:]
		if seen[v] {
			continue
		}
		seen[v] = true
		if ix.Output(v) != nil {
			return false
		}
		for _, u := range ix.Uses(v) {
			n := u.Node
			switch {
			case n.GetOpType() == "Shape": // sizes, not contents
			case leadsToSoftmax(ix, n):
				found = true
			case !slices.Contains(maskOps, n.GetOpType()), u.Slot == 1 && n.GetOpType() == "Gather":
				return false
			default:
				todo = append(todo, n.GetOutput()...)
			}
		}
	}
	return found
}

// leadsToSoftmax is true of an operator that joins a mask with scores right before a Softmax.
func leadsToSoftmax(ix *onnx.Index, n *onnx.Node) bool {
	if !slices.Contains([]string{"Add", "Sub", "Where", "Mul"}, n.GetOpType()) {
		return false
	}
	for _, u := range ix.Uses(n.GetOutput()[0]) {
		for u.Node.GetOpType() == "Reshape" || u.Node.GetOpType() == "Cast" || u.Node.GetOpType() == "Identity" {
			uses := ix.Uses(u.Node.GetOutput()[0])
			if len(uses) != 1 {
				break
			}
			u = uses[0]
		}
		if u.Node.GetOpType() == "Softmax" {
			return true
		}
	}
	return false
}
