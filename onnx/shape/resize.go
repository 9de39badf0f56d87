package shape

import (
	"math"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// upsample has scales as an attribute before opset 9, as an input from it on.
func upsample(c *call) ([]Value, error) {
	if c.opset >= 9 {
		return c.rescale(1, -1)
	}
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	a := onnx.Attr(c.node, "scales")
	scales := make([]float64, len(a.GetFloats()))
	for i, s := range a.GetFloats() {
		scales[i] = float64(s)
	}
	return c.scaled(x, scales, nil)
}

// resize: (X, scales) in opset 10, (X, roi, scales, sizes) from 11 on, for a choice of axes from 18 on.
func resize(c *call) ([]Value, error) {
	if c.opset < 11 {
		return c.rescale(1, -1)
	}
	return c.rescale(2, 3)
}

// rescale computes the sizes from either input.
func (c *call) rescale(scalesSlot, sizesSlot int) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	axes := onnx.AttrInts(c.node, "axes")
	if sizesSlot > 0 && c.has(sizesSlot) {
		return c.resized(x, sizesSlot, axes)
	}
	scales, ok := c.floats(scalesSlot)
	if !ok || len(scales) == 0 {
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	}
	return c.scaled(x, scales, axes)
}

func (c *call) resized(x Value, slot int, axes []int64) ([]Value, error) {
	sizes, ok := c.sizes(slot)
	if !ok {
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	}
	at, err := c.someAxes(axes, len(x.Dims), len(sizes))
	if err != nil {
		return nil, err
	}
	dims := clone(x.Dims)
	stretched := onnx.AttrString(c.node, "keep_aspect_ratio_policy", "stretch") == "stretch"
	for i, a := range at {
		dims[a] = unknown
		if stretched && !sizes[i].opaque() {
			dims[a] = sizes[i]
		}
	}
	return tensorOf(x.DType, dims), nil
}

// someAxes is the axes that a list of n entries speaks of: the named ones, else all.
func (c *call) someAxes(axes []int64, rank, n int) ([]int, error) {
	if axes == nil {
		axes = upTo(rank)
	}
	if len(axes) != n {
		return nil, c.mismatch("%d entries for %d axes of %s", n, len(axes), c.show(0))
	}
	return c.normals(axes, rank)
}

// scaled is ⌊size·scale⌋ on each axis, in float32 as the scales are.
func (c *call) scaled(x Value, scales []float64, axes []int64) ([]Value, error) {
	at, err := c.someAxes(axes, len(x.Dims), len(scales))
	if err != nil {
		return nil, err
	}
	dims := clone(x.Dims)
	for i, a := range at {
		s, d := scales[i], dims[a]
		switch {
		case !(s > 0) || s > maxWindow:
			return nil, c.mismatch("scales %v", scales)
		case d.Known():
			dims[a] = num(int64(math.Floor(float64(float32(d.Size) * float32(s)))))
		case s == math.Trunc(s):
			dims[a] = mul(d, num(int64(s)))
		default:
			dims[a] = unknown
		}
	}
	return tensorOf(x.DType, dims), nil
}

// pad adds (or, where negative, removes) at both ends: an attribute before opset 11, an input from it on,
// for a choice of axes from 18 on.
func pad(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	pads, ok := c.sizes(1)
	if c.opset < 11 {
		name := "pads"
		if c.opset < 2 {
			name = "paddings"
		}
		pads, ok = nums(onnx.AttrInts(c.node, name)...), true
	}
	axes, present, axesKnown := c.list("", 3)
	if !ok || !axesKnown {
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	}
	if !present {
		axes = upTo(len(x.Dims))
	}
	at, err := c.normals(axes, len(x.Dims))
	if err != nil {
		return nil, err
	}
	if len(pads) != 2*len(at) {
		return nil, c.mismatch("%d pads for %d axes of %s", len(pads), len(at), c.show(0))
	}
	dims := clone(x.Dims)
	for i, a := range at {
		dims[a] = add(dims[a], add(pads[i], pads[len(at)+i]))
	}
	return tensorOf(x.DType, dims), nil
}
