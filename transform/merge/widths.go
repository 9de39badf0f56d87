package merge

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// findWidths notes the trunk nodes that compute with a number of features which the merge changes (Shape and
// what follows it, up to the node that takes the shape). Inside the trunk their results are right: they follow the
// merged value. A head must count its own features, so it gets copies of these nodes.
func (b *builder) findWidths() {
	b.widths = map[int]bool{}
	carries := map[string]bool{}
	for _, k := range b.t.Groups {
		n := b.s.Pairing.Nodes[k][0]
		if n.GetOpType() == "Shape" {
			b.widths[k] = b.widthChanges(n.GetInput()[0])
		} else if b.isShapeArithmetic(n) {
			for _, v := range n.GetInput() {
				b.widths[k] = b.widths[k] || carries[v]
			}
		}
		if b.widths[k] {
			for _, v := range n.GetOutput() {
				carries[v] = true
			}
		}
	}
}

// isShapeArithmetic is true of nodes that make small integer tensors.
func (b *builder) isShapeArithmetic(n *onnx.Node) bool {
	for _, v := range n.GetOutput() {
		s := b.s.Models[0].Shapes[v]
		if !s.DType.IsInt() || !s.HasRank || len(s.Dims) > 1 {
			return false
		}
	}
	return true
}

// widthChanges reports whether the merge gives an axis of a trunk value another size than it has in some model.
func (b *builder) widthChanges(value string) bool {
	for k, l := range b.t.Analysis.Layouts(0, value) {
		for i := range b.s.Models {
			mine, _ := b.s.Pairing.Value(0, i, value)
			if !l.Aligned() && b.mergedSize(l) != b.sizeOf(i, mine, k) {
				return true
			}
		}
	}
	return false
}

// shared reports whether the heads take what node n of any model makes from the trunk.
func (b *builder) shared(n *onnx.Node) bool {
	k, ok := b.s.Pairing.Of(n)
	return ok && b.t.in[k] && !b.widths[k] && !(b.t.again[n] && !b.unmoved(k))
}

// unmoved reports whether the trunk's group k makes the sources' own values, in their own order.
func (b *builder) unmoved(k int) bool {
	if !b.t.identical[k] {
		return false
	}
	for _, v := range b.s.Pairing.Nodes[k][0].GetOutput() {
		for _, l := range b.trunkLayouts(0, v) {
			if slices.ContainsFunc(l, func(seg space.Segment) bool { return !stays(seg) && !b.as[seg.Space].keepsOrder(seg.Space.Dim) }) {
				return false
			}
		}
	}
	return true
}
