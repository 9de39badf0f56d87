package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// reshapeRule: Reshape, Flatten, Squeeze and Unsqueeze differ in how they write the new shape, which
// inference has found already.
func reshapeRule(c *call) {
	if c.param(0) != nil {
		c.pinNode("reshapes a parameter")
		return
	}
	if c.n.GetOpType() == "Squeeze" { // it works on axes of size 1 only: they must not become wider
		for _, x := range c.in(0) {
			if x.positions() == 1 {
				restrictAll(x, Permute, c.why("squeezes axes of one feature"))
			}
		}
	}
	c.unflatten()
	value := c.n.GetOutput()[0]
	axes, bad := reshape(c.in(0), c.dims(c.input(0)), c.dims(value))
	for _, x := range bad {
		restrictAll(x, Pinned, c.why("mixes the features with other axes"))
	}
	for k := range axes {
		if axes[k] == nil {
			axes[k] = c.pinned(c.size(value, k), "mixes the features with other axes")
		}
	}
	c.setOut(0, axes)
}

func (c *call) dims(value string) []dim {
	shape := c.shape(value)
	out := make([]dim, len(shape))
	for k, d := range shape {
		out[k] = dim{size: int(d.Size), sym: d.Sym}
	}
	return out
}

// transpose reorders axes; by default it reverses them.
func transpose(c *call) {
	x := c.in(0)
	perm := onnx.AttrInts(c.n, "perm")
	out := make([]axis, len(x))
	for k := range out {
		from := len(x) - 1 - k
		if perm != nil {
			from = int(perm[k])
		}
		out[k] = x[from]
	}
	c.setOut(0, out)
}

// concat appends features; the other axes are tied.
func concat(c *call) {
	value := c.n.GetOutput()[0]
	rank := len(c.shape(value))
	at := int(onnx.AttrInt(c.n, "axis", 1))
	if at < 0 {
		at += rank
	}
	out := make([]axis, rank)
	for k := range out {
		if k != at {
			out[k] = c.tieOperands(k-rank, c.size(value, k))
		}
	}
	for slot := range c.n.GetInput() {
		out[at] = append(out[at], c.in(slot)[at]...)
		if t := c.param(slot); t != nil {
			for k := range t.GetDims() {
				if k != at {
					c.setParam(slot, k, out[k], Out)
				}
			}
		}
	}
	if out[at].positions() < 0 && !out[at].isAligned() {
		restrictAll(out[at], Pinned, c.why("appends to features of unknown number"))
		out[at] = c.pinned(-1, "appends to features of unknown number")
	}
	c.setOut(0, out)
}

// cutOut takes the positions [from, from+n) of an axis; pinned where that cuts through a feature.
func (c *call) cutOut(x axis, from, n int) axis {
	if x.isAligned() {
		return aligned(n)
	}
	if x = resolve(x); len(x) == 1 && x[0].part == InsidePart {
		x[0].b.fixInside() // rotary embeddings treat the halves of a head differently
		return aligned(n)
	}
	_, rest, ok1 := c.a.split(x, from)
	if ok1 {
		if part, _, ok2 := c.a.split(rest, n); ok2 {
			return part
		}
	}
	restrictAll(x, Pinned, c.why("cuts through features"))
	return c.pinned(n, "cuts through features")
}

// split divides one axis into the sizes of its outputs.
func split(c *call) {
	x := c.in(0)
	at := int(onnx.AttrInt(c.n, "axis", 0))
	if at < 0 {
		at += len(x)
	}
	from := 0
	for k, value := range c.n.GetOutput() {
		n := c.size(value, at)
		if n < 0 && !x[at].isAligned() {
			c.pinNode("splits at places that are computed")
			return
		}
		out := slices.Clone(x)
		out[at] = c.cutOut(x[at], from, n)
		c.setOut(k, out)
		from += max(n, 0)
	}
}

// slice takes a range of some axes. Features can be followed where starts and ends are constant and the
// step is 1. The arguments are attributes before opset 10, inputs after.
func slice(c *call) {
	x := c.in(0)
	value := c.n.GetOutput()[0]
	starts, axes, steps, ok := c.sliceArguments()
	out := slices.Clone(x)
	touched := map[int]bool{}
	for i := range axes {
		if axes[i] < 0 {
			axes[i] += int64(len(x))
		}
		touched[int(axes[i])] = true
	}
	for k := range x {
		switch {
		case ok && !touched[k]:
		case x[k].isAligned():
			out[k] = aligned(c.size(value, k))
		case !ok:
			c.pinNode("slices at places that are computed")
			return
		default:
			i := slices.Index(axes, int64(k))
			total := x[k].positions()
			from := int(starts[i])
			if from < 0 {
				from += total
			}
			from = min(max(from, 0), total)
			if inside := resolve(x[k]); len(inside) == 1 && inside[0].part == InsidePart && c.size(value, k) >= 0 {
				out[k] = c.cutOut(x[k], 0, c.size(value, k)) // whatever it takes: the order is fixed
				continue
			}
			if steps != nil && steps[i] != 1 || c.size(value, k) < 0 {
				restrictAll(x[k], Pinned, c.why("takes every n-th feature"))
				out[k] = c.pinned(c.size(value, k), "takes every n-th feature")
				continue
			}
			out[k] = c.cutOut(x[k], from, c.size(value, k))
		}
	}
	c.setOut(0, out)
}

func (c *call) sliceArguments() (starts, axes, steps []int64, ok bool) {
	if onnx.Attr(c.n, "starts") != nil {
		starts, axes, ok = onnx.AttrInts(c.n, "starts"), slices.Clone(onnx.AttrInts(c.n, "axes")), true
	} else {
		starts, ok = c.ints(1)
		if ok && c.input(3) != "" {
			axes, ok = c.ints(3)
			axes = slices.Clone(axes)
		}
		if ok && c.input(4) != "" {
			steps, ok = c.ints(4)
		}
	}
	if axes == nil {
		for k := range starts {
			axes = append(axes, int64(k))
		}
	}
	return starts, axes, steps, ok
}

// gather: an embedding (a table indexed along its first axis makes features), or a constant reordering
// of features, or a selection along an axis without features.
func gather(c *call) {
	value := c.n.GetOutput()[0]
	at := int(onnx.AttrInt(c.n, "axis", 0))
	if t := c.param(0); t != nil {
		c.embedding(t, at)
		return
	}
	x := c.in(0)
	if at < 0 {
		at += len(x)
	}
	index := len(c.shape(c.input(1)))
	out := slices.Clone(x[:at])
	switch {
	case x[at].isAligned():
		out = append(out, c.in(1)...)
	default:
		picked, ok := c.pick(x[at])
		if !ok || index != 1 {
			restrictAll(x[at], Pinned, c.why("picks single features"))
			for k := range index {
				out = append(out, c.pinned(c.size(value, at+k), "picks single features"))
			}
			break
		}
		out = append(out, picked)
	}
	c.setOut(0, append(out, x[at+1:]...))
}

// embedding: a table [rows, features] or deeper; looked-up rows carry new features on the last axis.
func (c *call) embedding(t *onnx.TensorProto, at int) {
	rank := len(t.GetDims())
	if at < 0 {
		at += rank
	}
	if at != 0 || rank != 2 || !c.allAligned(1) {
		c.pinNode("indexes a parameter in a way that cannot be followed")
		return
	}
	features := c.fresh(int(t.GetDims()[1]))
	c.setParam(0, 1, features, Out)
	c.setOut(0, append(slices.Clone(c.in(1)), features))
}

func (c *call) allAligned(slot int) bool {
	for _, x := range c.in(slot) {
		if !x.isAligned() {
			return false
		}
	}
	return true
}

// pick follows constant indices that use no position twice.
func (c *call) pick(x axis) (axis, bool) {
	index, ok := c.ints(1)
	total := x.positions()
	if !ok || total < 0 {
		return nil, false
	}
	seen := map[int64]bool{}
	for i, k := range index {
		if k < 0 {
			index[i] += int64(total)
		}
		if seen[index[i]] {
			return nil, false
		}
		seen[index[i]] = true
	}
	var out axis
	for i := 0; i < len(index); {
		n := 1
		for i+n < len(index) && index[i+n] == index[i]+int64(n) {
			n++
		}
		out = append(out, c.cutOut(x, int(index[i]), n)...)
		i += n
	}
	return out, true
}
