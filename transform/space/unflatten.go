package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// unflatten finds out whether a Reshape makes a map of the rows of a matrix, as decoders do: [N, C·H·W] → [N, C, H, W],
// or [N, H·W·C] → [N, H, W, C]. What slides windows over the map says which axis holds its channels; the rows are those,
// each with a position for every pixel, and move channel by channel.
func (c *call) unflatten() {
	value := c.n.GetOutput()[0]
	in, out := c.dims(c.input(0)), c.dims(value)
	last := len(in) - 1
	if last < 0 || len(out) <= len(in) || !slices.EqualFunc(in[:last], out[:last], dim.same) {
		return
	}
	channels := c.channels(value, map[string]bool{})
	if channels < last || in[last].size <= 0 {
		return
	}
	outer, inner := 1, 1
	for k, d := range out[last:] {
		switch {
		case d.size <= 0:
			return
		case last+k < channels:
			outer *= d.size
		case last+k > channels:
			inner *= d.size
		}
	}
	if b, ok := resolve(c.in(0)[last]).wholeBlock(); ok && outer*out[channels].size*inner == in[last].size {
		c.a.refine(b, outer, inner)
	}
}

// channels is the axis of a map that holds its channels, by what reads it: -1 where nothing slides a window over it.
func (c *call) channels(value string, seen map[string]bool) int {
	rank := len(c.shape(value))
	if seen[value] {
		return -1
	}
	seen[value] = true
	for _, u := range c.a.inputs[c.model].Index.Uses(value) {
		at := -1
		switch {
		case u.Slot < 0 || len(u.Node.GetOutput()) == 0:
		case windows[u.Node.GetOpType()]:
			if u.Slot == 0 {
				at = 1
			}
		case u.Node.GetOpType() == "Transpose":
			perm := onnx.AttrInts(u.Node, "perm")
			if to := c.channels(u.Node.GetOutput()[0], seen); to >= 0 && to < len(perm) {
				at = int(perm[to])
			}
		case passesMap(u.Node) && len(c.shape(u.Node.GetOutput()[0])) == rank:
			at = c.channels(u.Node.GetOutput()[0], seen)
		}
		if at >= 0 {
			return at
		}
	}
	return -1
}

// windows are the operators that slide a window over all axes but samples and channels.
var windows = map[string]bool{
	"Conv": true, "ConvTranspose": true, "MaxPool": true, "AveragePool": true, "LpPool": true,
}

// passesMap is true of operators that leave every axis of a map where it is.
func passesMap(n *onnx.Node) bool {
	switch n.GetOpType() {
	case "Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min", "Resize", "Upsample", "Pad", "Slice", "Concat",
		"BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization":
		return true
	}
	return onlyOneInput[n.GetOpType()]
}

// onlyOneInput are the operators of the table's row for functions of one value.
var onlyOneInput = map[string]bool{}

// refine tells of a block that its features are the positions of fewer: outer copies of a block, each of whose features
// has inner positions. Only those can be moved then. A block that is divided otherwise already stays.
func (a *analyzer) refine(b *block, outer, inner int) bool {
	b = b.find()
	if b.parts != nil || b.heads != nil || outer*inner <= 1 || b.size%(outer*inner) != 0 || outer > maxCopies {
		return false
	}
	p := a.newBlock(0, b.size/(outer*inner))
	for i, n := range b.sizes {
		p.sizes[i] = n / (outer * inner)
	}
	p.mode, p.constant, p.fixed, p.aligned, p.apart = b.mode, b.constant, b.fixed, b.aligned, b.apart
	p.why = slices.Clone(b.why)
	b.parts, b.each = slices.Repeat([]*block{p}, outer), inner
	return true
}

// levelInner refines the block of one of two runs, where features have fewer positions than those of the other and as
// many fit: what a Gemm makes may be added to a map that was flattened. It cuts first, where one is longer, and reports
// whether it did anything.
func (a *analyzer) levelInner(p, q run) bool {
	if p.inner > q.inner {
		p, q = q, p
	}
	if p.inner == q.inner || q.inner%p.inner != 0 {
		return false
	}
	ratio := q.inner / p.inner
	switch b := p.b.find(); {
	case b.heads != nil || q.b.find().heads != nil:
		return false
	case b.size > q.b.size*ratio:
		a.cut(b, q.b.size*ratio)
	case b.size == q.b.size*ratio:
		return a.refine(b, 1, ratio)
	case b.size%ratio == 0:
		a.cut(q.b, b.size/ratio)
	default:
		return false
	}
	return true
}
