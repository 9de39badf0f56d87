package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// sizeSlots lists the operators that read a vector of sizes, and where.
var sizeSlots = map[string]int{"Expand": 1, "ConstantOfShape": 0, "Reshape": 1, "Tile": 1}

// plainSizes computes vectors of sizes in one way: open sizes are taken from the graph's inputs, where each
// has its place, and known ones are constants. Exporters take them from any value on the way, by Gather,
// Slice, Squeeze, Where and more. A Resize between known sizes scales instead.
func plainSizes(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	places := e.places()
	for n := range e.nodes {
		if isOp(n, "Resize") && e.scaleInstead(n) {
			r.did("Resize to sizes scales")
			continue
		}
		slot, ok := sizeSlots[n.GetOpType()]
		if !ok || !isStandard(n) || input(n, slot) == "" || e.isConstant(input(n, slot)) || e.isPlainSizes(input(n, slot)) {
			continue
		}
		if news, sizes := e.sizesFrom(n, e.value(input(n, slot)).Ints, places); news != nil {
			e.setInput(n, slot, sizes)
			e.replace(n, append(news, onnx.Clone(n))...)
			r.did("sizes of " + n.GetOpType() + " taken from the inputs")
		}
	}
	e.close()
	return nil
}

// place is an axis of a graph input.
type place struct {
	input string
	axis  int64
}

// places finds the open sizes of the graph's inputs: each where it appears first.
func (e *editor) places() map[shape.Dim]place {
	found := map[shape.Dim]place{}
	for _, v := range e.graph.GetInput() {
		for axis, d := range e.value(v.GetName()).Dims {
			if _, ok := found[d]; !ok && !d.Known() && e.inputs[v.GetName()] {
				found[d] = place{v.GetName(), int64(axis)}
			}
		}
	}
	return found
}

// sizesFrom makes nodes that compute a vector of sizes; nil where one is neither known nor an input's.
func (e *editor) sizesFrom(n *onnx.Node, sizes []shape.Dim, places map[shape.Dim]place) (news []*onnx.Node, value string) {
	if len(sizes) == 0 {
		return nil, ""
	}
	for _, d := range sizes {
		if _, ok := places[d]; !ok && (!d.Known() || d.Size < 0) {
			return nil, ""
		}
	}
	var parts []string
	vector := func(v int64) string { return e.addConstant(nameFor(n, "size"), onnx.FromInt64([]int64{v}, 1)) }
	for _, d := range sizes {
		if d.Known() {
			parts = append(parts, vector(d.Size))
			continue
		}
		at, dims, part := places[d], e.fresh(nameFor(n, "shape")), e.fresh(nameFor(n, "open"))
		news = append(news,
			onnx.NewNode("Shape", e.freshNode(nameFor(n, "shape")), []string{at.input}, []string{dims}),
			onnx.NewNode("Gather", e.freshNode(nameFor(n, "open")), []string{dims, vector(at.axis)}, []string{part}, onnx.Int("axis", 0)))
		parts = append(parts, part)
	}
	value = e.fresh(nameFor(n, "sizes"))
	return append(news, onnx.NewNode("Concat", e.freshNode(nameFor(n, "sizes")), parts, []string{value}, onnx.Int("axis", 0))), value
}

// isPlainSizes reports whether a value has the form that sizesFrom makes.
func (e *editor) isPlainSizes(value string) bool {
	n := e.producer[value]
	if isOp(n, "Concat") {
		return !slices.ContainsFunc(n.Input, func(v string) bool { return !e.isOneSize(v) })
	}
	return e.isOneSize(value)
}

// isOneSize reports whether a value is a constant or one size of a graph input.
func (e *editor) isOneSize(value string) bool {
	if e.isConstant(value) {
		return e.isInt64(value) && len(e.value(value).Dims) == 1
	}
	n := e.producer[value]
	return isOp(n, "Gather") && e.isConstant(input(n, 1)) && isOp(e.producer[input(n, 0)], "Shape") &&
		e.inputs[e.producer[input(n, 0)].Input[0]] && len(e.value(input(n, 1)).Dims) == 1
}

// scaleInstead makes a Resize to sizes one by scales, where both are known but for axes that stay.
func (e *editor) scaleInstead(n *onnx.Node) bool {
	x, y := e.value(input(n, 0)), e.value(n.Output[0])
	if e.opset() < 13 || input(n, 3) == "" || onnx.Attr(n, "axes") != nil || len(x.Dims) != len(y.Dims) || len(x.Dims) == 0 ||
		onnx.AttrString(n, "keep_aspect_ratio_policy", "stretch") != "stretch" ||
		onnx.AttrString(n, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" {
		return false
	}
	scales := make([]float32, len(x.Dims))
	for i, from := range x.Dims {
		to := y.Dims[i]
		switch {
		case from == to:
			scales[i] = 1
		case from.Known() && to.Known() && from.Size > 0:
			scales[i] = float32(to.Size) / float32(from.Size)
			if int64(float32(from.Size)*scales[i]) != to.Size {
				return false
			}
		default:
			return false
		}
	}
	e.setInput(n, 3, "")
	e.setInput(n, 2, e.addConstant(nameFor(n, "scales"), onnx.FromFloat32(scales, int64(len(scales)))))
	return true
}
