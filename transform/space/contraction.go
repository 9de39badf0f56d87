package space

import "github.com/onnx-zip/onnx-zip/onnx"

// Contraction says where a node contracts features with a parameter: it reads them from axis InputAxis
// of input InputSlot and meets them with axis ParamAxis of the parameter in slot ParamSlot. The
// parameter can therefore take over any reordering of the input.
type Contraction struct {
	InputSlot, InputAxis, ParamSlot, ParamAxis int
}

// ContractionOf describes n, ok false where it contracts nothing with a parameter (rank is that of the
// computed operand).
func ContractionOf(ix *onnx.Index, n *onnx.Node, rank int) (Contraction, bool) {
	param := func(slot int) *onnx.TensorProto {
		if slot < len(n.GetInput()) {
			return ix.Initializer(n.GetInput()[slot])
		}
		return nil
	}
	if d := n.GetDomain(); d != "" && d != "ai.onnx" {
		return Contraction{}, false
	}
	switch n.GetOpType() {
	case "Conv":
		return Contraction{0, 1, 1, 1}, param(1) != nil && onnx.AttrInt(n, "group", 1) == 1
	case "ConvTranspose":
		return Contraction{0, 1, 1, 0}, param(1) != nil && onnx.AttrInt(n, "group", 1) == 1
	case "Gemm":
		c := Contraction{0, 1, 1, 0}
		if onnx.AttrInt(n, "transA", 0) != 0 {
			c.InputAxis = 0
		}
		if onnx.AttrInt(n, "transB", 0) != 0 {
			c.ParamAxis = 1
		}
		return c, param(1) != nil && param(0) == nil
	case "MatMul":
		if t := param(1); t != nil && param(0) == nil && len(t.GetDims()) == 2 {
			return Contraction{0, rank - 1, 1, 0}, rank >= 2
		}
		if t := param(0); t != nil && param(1) == nil && len(t.GetDims()) == 2 {
			return Contraction{1, rank - 2, 0, 1}, rank >= 2
		}
	}
	if IsRecurrent(n) { // its inputs, at every step
		t := param(1)
		return Contraction{0, 2, 1, 2}, t != nil && param(0) == nil && len(t.GetDims()) == 3
	}
	return Contraction{}, false
}
