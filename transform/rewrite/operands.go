package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// orderOperands puts the constant operand of a commutative operator second.
func orderOperands(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if !isOp(n, "Add", "Mul") || len(n.GetInput()) != 2 {
			continue
		}
		if a, b := n.Input[0], n.Input[1]; e.isConstant(a) && !e.isConstant(b) {
			n.Input[0], n.Input[1] = b, a
			r.did("swapped")
		}
	}
	return nil
}
