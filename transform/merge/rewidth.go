package merge

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// rewidth rewrites what a trunk node says about the number of features, where a merge changes it:
// shape vectors, split sizes, slice bounds, pad amounts, the group of a depthwise convolution. n is the
// merged node, its values still under model 0's names.
func (b *builder) rewidth(n *onnx.Node) error {
	if !b.changesWidth(n) {
		return nil
	}
	out := n.GetOutput()[0]
	switch n.GetOpType() {
	case "Conv":
		if onnx.AttrInt(n, "group", 1) != 1 {
			onnx.SetAttr(n, onnx.Int("group", b.dims(n.GetInput()[0])[1].Size))
		}
	case "Reshape":
		return b.rewidthReshape(n, out)
	case "Split":
		return b.rewidthSplit(n)
	case "Slice", "Pad", "Gather", "Expand", "Tile", "Resize", "Upsample":
		if b.movesAlongFeatures(n) {
			return fault.New(fault.Unsupported, "fixed_width", "%s along features keeps their number: it cannot be changed here",
				n.GetOpType()).AtNode(onnx.NodeName(n)).WithHint("keep the width, or cut the trunk before this node")
		}
	}
	return nil
}

// changesWidth reports whether a merge changes the size of an axis that the node reads or makes.
func (b *builder) changesWidth(n *onnx.Node) bool {
	for _, v := range append(slices.Clone(n.GetInput()), n.GetOutput()...) {
		for k, l := range b.t.Analysis.Layouts(0, v) {
			if !l.Aligned() && b.mergedSize(l) != int(b.s.Models[0].Shapes[v].Dims[k].Size) {
				return true
			}
		}
	}
	return false
}

// movesAlongFeatures is true where the operator itself works along an axis whose width changes: its
// input and output hold different features there.
func (b *builder) movesAlongFeatures(n *onnx.Node) bool {
	in, out := b.t.Analysis.Layouts(0, n.GetInput()[0]), b.t.Analysis.Layouts(0, n.GetOutput()[0])
	if len(in) != len(out) {
		return true
	}
	for k := range in {
		if !slices.Equal(in[k], out[k]) && !(in[k].Aligned() && out[k].Aligned()) {
			return true
		}
	}
	return false
}

// rewidthReshape sets the sizes of feature axes in a constant target shape. 0 (keep) and -1 (infer) hold
// by themselves.
func (b *builder) rewidthReshape(n *onnx.Node, out string) error {
	if len(n.GetInput()) < 2 || b.s.Models[0].Index.Initializer(n.GetInput()[1]) == nil {
		return nil // computed from the merged value's own shape
	}
	t, err := onnx.TensorOf(b.s.Models[0].Index.Initializer(n.GetInput()[1]))
	if err != nil {
		return err
	}
	target, err := t.Int64s()
	if err != nil {
		return err
	}
	for k, l := range b.t.Analysis.Layouts(0, out) {
		if k < len(target) && target[k] > 0 && !l.Aligned() {
			target[k] = int64(b.mergedSize(l))
		}
	}
	b.setInitializer(n.GetInput()[1], onnx.FromInt64(target, int64(len(target))))
	return nil
}

// rewidthSplit sets the sizes of the pieces (an attribute before opset 13, an input after).
func (b *builder) rewidthSplit(n *onnx.Node) error {
	rank := len(b.s.Models[0].Shapes[n.GetInput()[0]].Dims)
	at := int(onnx.AttrInt(n, "axis", 0))
	if at < 0 {
		at += rank
	}
	var sizes []int64
	for _, out := range n.GetOutput() {
		sizes = append(sizes, b.dims(out)[at].Size)
	}
	if b.s.Models[0].Model.Opset("") < 13 {
		onnx.SetAttr(n, onnx.Ints("split", sizes...))
		return nil
	}
	name := n.GetOutput()[0] + "/split"
	if len(n.GetInput()) > 1 && n.GetInput()[1] != "" {
		name = n.GetInput()[1]
	} else {
		n.Input = append(n.Input[:1], name)
	}
	onnx.DeleteAttr(n, "num_outputs")
	b.setInitializer(name, onnx.FromInt64(sizes, int64(len(sizes))))
	return nil
}
