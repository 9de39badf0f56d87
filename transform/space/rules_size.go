package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// pad: added channels are constants, a segment of features of their own; other axes must not hold
// features.
func pad(c *call) {
	x := c.in(0)
	value := c.n.GetOutput()[0]
	pads, ok := c.pads()
	out := make([]axis, len(x))
	for k := range x {
		switch {
		case x[k].isAligned():
			out[k] = aligned(c.size(value, k))
		case ok && len(pads) == 2*len(x) && pads[k] == 0 && pads[k+len(x)] == 0:
			out[k] = x[k]
		case !ok || onnx.AttrString(c.n, "mode", "constant") != "constant" || len(pads) != 2*len(x):
			c.pinNode("pads the features in a way that cannot be followed")
			return
		default:
			out[k] = c.padAxis(x[k], int(pads[k]), int(pads[k+len(x)]))
		}
	}
	c.setOut(0, out)
}

func (c *call) pads() ([]int64, bool) {
	if onnx.Attr(c.n, "pads") != nil {
		return onnx.AttrInts(c.n, "pads"), true
	}
	if c.input(3) != "" { // opset 18: a list of axes
		axes, ok1 := c.ints(3)
		some, ok2 := c.ints(1)
		rank := len(c.in(0))
		if !ok1 || !ok2 || len(some) != 2*len(axes) {
			return nil, false
		}
		all := make([]int64, 2*rank)
		for i, k := range axes {
			if k < 0 {
				k += int64(rank)
			}
			all[k], all[int(k)+rank] = some[i], some[i+len(axes)]
		}
		return all, true
	}
	return c.ints(1)
}

func (c *call) padAxis(x axis, before, after int) axis {
	if before < 0 || after < 0 {
		restrictAll(x, Pinned, c.why("crops the features"))
		return c.pinned(x.positions()+before+after, "crops the features")
	}
	var out axis
	if before > 0 {
		out = append(out, c.constants(before)...)
	}
	out = append(out, x...)
	if after > 0 {
		out = append(out, c.constants(after)...)
	}
	return out
}

func (c *call) constants(n int) axis {
	b := c.a.newBlock(c.model, n)
	b.constant = true
	return axis{{b: b, inner: 1}}
}

// expand repeats axes of size 1 (of an unknown one it may be either); the others pass through. Of a parameter (a learned token), they are features
// that begin here.
func expand(c *call) {
	value := c.n.GetOutput()[0]
	x := c.in(0)
	shift := len(c.shape(value)) - len(x)
	out := make([]axis, len(c.shape(value)))
	for k := range out {
		size := c.size(value, k)
		switch from := k - shift; {
		case from >= 0 && size == 1:
			out[k] = x[from]
		case from < 0 || c.size(c.input(0), from) == 1:
			if from >= 0 && !x[from].isAligned() {
				c.pinNode("spreads one feature over others")
				return
			}
			out[k] = axis{{size: size, inner: 1, same: size > 0}}
		case c.param(0) != nil && !onnx.DType(c.param(0).GetDataType()).IsFloat():
			out[k] = aligned(size) // ids, masks
		case c.param(0) != nil:
			out[k] = c.fresh(size)
			c.setParam(0, from, out[k], Out)
		default:
			out[k] = x[from]
		}
	}
	c.setOut(0, out)
}

// resize passes the axes that keep their size; it mixes positions of the others.
func resize(c *call) {
	x := c.in(0)
	value := c.n.GetOutput()[0]
	out := slices.Clone(x)
	for k := range x {
		if x[k].isAligned() {
			out[k] = aligned(c.size(value, k))
		} else if c.size(value, k) != x[k].positions() {
			restrictAll(x[k], Pinned, c.why("interpolates between features"))
			out[k] = c.pinned(c.size(value, k), "interpolates between features")
		}
	}
	c.setOut(0, out)
}

// tile lays copies of an axis behind each other: a known number of features, or any number of what is no feature.
func tile(c *call) {
	repeats := c.a.inputs[c.model].Shapes[c.input(1)].Ints
	y := c.n.GetOutput()[0]
	var out []axis
	for k, x := range c.in(0) {
		switch {
		case x.isAligned():
			out = append(out, aligned(c.size(y, k)))
			continue
		case k < len(repeats) && repeats[k].Known() && repeats[k].Size > 0:
			if copies, ok := times(aligned(int(repeats[k].Size)), resolve(x)); ok {
				out = append(out, copies)
				continue
			}
		}
		restrictAll(x, Pinned, c.why("repeats the features a number of times that cannot be followed"))
		out = append(out, c.pinned(c.size(y, k), "repeats the features a number of times that cannot be followed"))
	}
	c.setOut(0, out)
}
