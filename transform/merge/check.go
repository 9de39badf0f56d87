package merge

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// mergedSize is the number of positions of a trunk axis after the merge; -1 where unknown.
func (b *builder) mergedSize(layout space.Layout) int {
	n := 0
	for _, seg := range layout {
		size := b.as.segmentSize(seg)
		if size < 0 {
			return -1
		}
		n += size
	}
	return n
}

// dims is the merged shape of a trunk value of model 0.
func (b *builder) dims(value string) []shape.Dim {
	out := append([]shape.Dim(nil), b.s.Models[0].Shapes[value].Dims...)
	for k, l := range b.t.Analysis.Layouts(0, value) {
		if size := b.mergedSize(l); k < len(out) && !l.Aligned() && size >= 0 {
			out[k] = shape.Dim{Size: int64(size)}
		}
	}
	return out
}

// checkShapes infers the shapes of the merged graph and compares those of the trunk with what the layouts
// say: a size that a node keeps in a way that rewidth does not know shows here, not in the user's hands.
func (b *builder) checkShapes() error {
	shapes, err := shape.Infer(b.out.Model, shape.Options{})
	if err != nil {
		return fault.Wrap(fault.Unsupported, "fixed_width", err, "the merged model's shapes do not fit")
	}
	for _, k := range b.t.Groups {
		n := b.s.Pairing.Nodes[k][0]
		for _, out := range n.GetOutput() {
			want := b.dims(out)
			for axis, d := range shapes[out].Dims {
				if axis < len(want) && d.Known() && want[axis].Known() && d.Size != want[axis].Size {
					return fault.New(fault.Unsupported, "fixed_width", "makes %d features on axis %d, where the merge has %d: its width cannot be changed",
						d.Size, axis, want[axis].Size).AtNode(onnx.NodeName(n)).AtValue(out).
						WithHint("keep the width, or cut the trunk before this node")
				}
			}
		}
	}
	return nil
}
