package rewrite

import (
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
		switch {
		case e.flattens(n):
			flat := onnx.NewNode("Flatten", n.GetName(), []string{n.Input[0]}, []string{n.Output[0]}, onnx.Int("axis", 1))
			e.replace(n, flat)
			r.did(n.GetOpType() + " made Flatten")
		case isOp(n, "Reshape") && e.setTarget(n):
			r.did("targets made constant")
		}
	}
	e.close()
	return nil
}

// flattens reports whether n keeps the first axis and joins all others.
func (e *editor) flattens(n *onnx.Node) bool {
	if !isOp(n, "Reshape", "Squeeze") || len(n.GetOutput()) != 1 {
		return false
	}
	in, out := e.value(input(n, 0)), e.value(n.Output[0])
	if e.opset() < 9 && !in.DType.IsFloat() {
		return false // Flatten took no other types
	}
	return in.HasRank && out.HasRank && len(in.Dims) > 2 && len(out.Dims) == 2 && in.Dims[0] == out.Dims[0] &&
		// x of no rows could be anything's flattening
		!in.Dims[0].Is(0)
}

// setTarget gives a Reshape with a computed target a constant one, if inference knows each entry to be a
// number or the input's size in that place; one more may be left open.
func (e *editor) setTarget(n *onnx.Node) bool {
	to := input(n, 1)
	if to == "" || e.isConstant(to) || onnx.AttrInt(n, "allowzero", 0) != 0 {
		return false
	}
	in, entries := e.value(n.Input[0]), e.value(to).Ints
	if !in.HasRank || entries == nil {
		return false
	}
	target, open := make([]int64, len(entries)), 0
	for i, d := range entries {
		target[i] = entry(d, i, in.Dims)
		if target[i] == -1 {
			open++
		}
	}
	if open > 1 {
		return false
	}
	e.setInput(n, 1, e.addConstant(to+"_target", onnx.FromInt64(target, int64(len(target)))))
	return true
}

// entry is a Reshape target's entry: a number as it is, 0 for the input's size in the same place, -1 for
// any other size.
func entry(d shape.Dim, axis int, in []shape.Dim) int64 {
	switch {
	case d.Known():
		return d.Size
	case axis < len(in) && in[axis] == d:
		return 0
	}
	return -1
}
