package transform

import (
	"bytes"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// spreadable are the operators whose second operand may be one learned number for all features: the slope of a
// PRelu, the gain of a residual branch.
var spreadable = map[string]bool{"PRelu": true, "Mul": true, "Div": true, "Add": true, "Sub": true}

// spreadScalars gives each feature a number of its own where models have one number for all and theirs differ: a
// merged feature then keeps that of its members, while one number for both models would be neither's, and two
// would end the trunk. Equal ones stay as they are. It changes the models, and reports whether it did.
func spreadScalars(s *merge.Sources) (changed bool, err error) {
	for _, nodes := range s.Pairing.Nodes {
		scalars := differingScalars(s, nodes)
		if scalars == nil {
			continue
		}
		var dims [][]int64
		for i, n := range nodes {
			if d := featureDims(s.Full.Layouts(i, n.GetInput()[0])); d != nil {
				dims = append(dims, d)
			}
		}
		if len(dims) < len(nodes) {
			continue
		}
		for i, n := range nodes {
			g := s.Models[i].Model.Graph()
			name := unusedName(s.Models[i].Index, n.GetOutput()[0]+"/each")
			g.Initializer = append(g.Initializer, repeat(scalars[i], dims[i]).Proto(name))
			n.Input[1] = name
		}
		changed = true
	}
	if !changed {
		return false, nil
	}
	for _, m := range s.Models {
		if m.Index, err = onnx.NewIndex(m.Model.Graph()); err != nil {
			return true, err
		}
		if m.Shapes, err = shape.Infer(m.Model, shape.Options{}); err != nil {
			return true, err
		}
	}
	return true, nil
}

// differingScalars returns the constant second operands of corresponding nodes, if they are one number in each model
// and not the same in all; else nil.
func differingScalars(s *merge.Sources, nodes []*onnx.Node) []*onnx.Tensor {
	var out []*onnx.Tensor
	for i, n := range nodes {
		if !spreadable[n.GetOpType()] || len(n.GetInput()) != 2 || s.Models[i].Index.Initializer(n.GetInput()[0]) != nil {
			return nil
		}
		p := s.Models[i].Index.Initializer(n.GetInput()[1])
		if p == nil || !onnx.DType(p.GetDataType()).IsFloat() {
			return nil
		}
		t, err := onnx.TensorOf(p)
		if err != nil || t.Len() != 1 {
			return nil
		}
		out = append(out, t)
	}
	if !slices.ContainsFunc(out, func(t *onnx.Tensor) bool { return !bytes.Equal(t.Raw, out[0].Raw) }) {
		return nil
	}
	return out
}

// featureDims is the shape of an operand that holds one number for each feature of a value, nil where features lie on
// no axis, or on more than one, or cannot move.
func featureDims(layouts []space.Layout) []int64 {
	var dims []int64
	for _, l := range layouts {
		switch {
		case l.Aligned() && dims == nil:
		case l.Aligned():
			dims = append(dims, 1)
		case dims != nil || l.Pinned() != nil:
			return nil
		default:
			n := 0
			for _, seg := range l {
				if seg.Size < 0 || seg.Part == space.InsidePart {
					return nil
				}
				n += seg.Size
			}
			dims = []int64{int64(n)}
		}
	}
	return dims
}

// repeat fills a tensor with one number.
func repeat(t *onnx.Tensor, dims []int64) *onnx.Tensor {
	out := &onnx.Tensor{DType: t.DType, Dims: dims}
	out.Raw = bytes.Repeat(t.Raw, int(dims[0]))
	return out
}

// unusedName is a name that the graph does not have yet.
func unusedName(ix *onnx.Index, name string) string {
	for ix.Has(name) {
		name += "_"
	}
	return name
}
