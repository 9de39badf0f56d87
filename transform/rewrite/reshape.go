package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// simplifyReshapes brings the many ways to write x.flatten(1) to Flatten(axis=1), which names no size, and
// gives other Reshapes a constant target where all that they compute is sizes of their own input.
func simplifyReshapes(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if source := e.flattened(n); source != "" {
			flat := onnx.NewNode("Flatten", n.GetName(), []string{source}, []string{n.Output[0]}, onnx.Int("axis", 1))
			e.replace(n, flat)
			r.did(n.GetOpType() + " made Flatten")
		} else if isOp(n, "Reshape") && e.setTarget(n) {
			r.did("targets made constant")
		}
	}
	e.close()
	return nil
}

// reshapers lists the operators that change a tensor's dims and not the order of its elements.
var reshapers = []string{"Reshape", "Squeeze", "Unsqueeze", "Flatten"}

// flattened returns the value of which n's output is all but the first axis joined, seen through other
// reshapers between the two; "" for none, or if n is Flatten of just that.
func (e *editor) flattened(n *onnx.Node) string {
	if !isOp(n, reshapers...) || len(n.GetOutput()) != 1 {
		return ""
	}
	found, out := "", e.value(n.Output[0])
	for at := n; isOp(at, reshapers...) && input(at, 0) != ""; at = e.producer[at.Input[0]] {
		if joins(e.value(at.Input[0]), out) {
			found = at.Input[0]
		}
	}
	oldFlatten := e.opset() < 9 && !out.DType.IsFloat() // it took no other types
	if oldFlatten || isOp(n, "Flatten") && found == input(n, 0) {
		return ""
	}
	return found
}

// joins reports whether out, of as many elements as in, is a matrix with in's first axis.
func joins(in, out shape.Value) bool {
	return in.HasRank && out.HasRank && len(in.Dims) > 2 && len(out.Dims) == 2 && in.Dims[0] == out.Dims[0] &&
		!in.Dims[0].Is(0) // of a tensor without elements the other axes could be anything
}

// setTarget gives a Reshape with a computed target a constant one, if inference knows each entry to be a
// number or the input's size in that place, but for one.
func (e *editor) setTarget(n *onnx.Node) bool {
	to := input(n, 1)
	if to == "" || e.isConstant(to) {
		return false
	}
	in, entries := e.value(n.Input[0]), e.value(to).Ints
	zero := func(d shape.Dim) bool { return d.Is(0) }
	if !in.HasRank || entries == nil || onnx.AttrInt(n, "allowzero", 0) != 0 && slices.ContainsFunc(entries, zero) {
		return false
	}
	target, open := targetOf(entries, in.Dims)
	if open > 1 {
		return false
	}
	if onnx.Attr(n, "allowzero") != nil {
		onnx.SetAttr(n, onnx.Int("allowzero", 0))
	}
	e.setInput(n, 1, e.addConstant(to+"_target", onnx.FromInt64(target, int64(len(target)))))
	return true
}

// targetOf spells a Reshape's target: 0 for the leading sizes that stay, numbers for what is known, and -1 for
// the rest, of which there may be one.
func targetOf(out, in []shape.Dim) (target []int64, open int) {
	kept := true
	for i, d := range out {
		kept = kept && i < len(in) && (d == in[i] || d.Is(0)) // an entry 0 says the same
		switch {
		case kept:
			target = append(target, 0)
		case d.Known() && d.Size >= 0:
			target = append(target, d.Size)
		default:
			target = append(target, -1)
			open++
		}
	}
	return target, open
}
