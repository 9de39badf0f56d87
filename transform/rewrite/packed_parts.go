package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// readParts notes the parts that readers take of a value with these axes; false where one does something else with
// it. Readers may reorder axes, and add and drop some of size 1, before they take their part.
func (e *editor) readParts(p *packed, value string, axes []int) bool {
	if e.outputs[value] || len(e.uses[value]) == 0 {
		return false
	}
	for _, u := range e.uses[value] {
		if u.Slot != 0 || !e.readPart(p, u.Node, axes) {
			return false
		}
	}
	return true
}

func (e *editor) readPart(p *packed, n *onnx.Node, axes []int) bool {
	p.gone = append(p.gone, n)
	if moved, ok := e.moved(n, axes); ok {
		return e.readParts(p, n.Output[0], moved)
	}
	at, taken, ok := e.takenBy(n, axes)
	if !ok || axes[at] < p.first || axes[at] >= p.first+len(p.sizes) || p.digit >= 0 && axes[at] != p.first+p.digit {
		return false
	}
	p.digit = axes[at] - p.first
	for _, q := range taken {
		if q.from < 0 || q.to <= q.from || q.to > p.sizes[p.digit] {
			return false
		}
		if q.to-q.from == 1 && len(q.axes) == len(axes) {
			e.squeezed(p, &q, at)
		}
		p.parts = append(p.parts, q)
	}
	return true
}

// moved is what Transpose, Unsqueeze and Squeeze make of axes; false for other nodes.
func (e *editor) moved(n *onnx.Node, axes []int) (out []int, ok bool) {
	if isOp(n, "Transpose") {
		perm := permutation(n)
		if len(perm) != len(axes) {
			return nil, false
		}
		for _, a := range perm {
			out = append(out, axes[a])
		}
		return out, true
	}
	list, ok := listOf(e, n, "axes", 1)
	if !ok || !isOp(n, "Unsqueeze", "Squeeze") {
		return nil, false
	}
	rank := len(axes)
	if isOp(n, "Unsqueeze") {
		rank += len(list)
	}
	touched := map[int]bool{}
	for _, a := range list {
		at, ok := normalAxis(a, rank)
		if !ok || touched[at] {
			return nil, false
		}
		touched[at] = true
	}
	if isOp(n, "Squeeze") {
		for k, a := range axes {
			if !touched[k] {
				out = append(out, a)
			}
		}
		return out, true
	}
	for k := range rank {
		if touched[k] {
			out = append(out, inserted)
			continue
		}
		out, axes = append(out, axes[0]), axes[1:]
	}
	return out, true
}

// takenBy lists the ranges that Slice, Split or Gather take of one axis; false where that is not all they do.
func (e *editor) takenBy(n *onnx.Node, axes []int) (at int, parts []part, ok bool) {
	switch {
	case isOp(n, "Slice"):
		starts, okS := e.ints(input(n, 1))
		ends, okE := e.ints(input(n, 2))
		list, okA := e.ints(input(n, 3))
		if !okS || !okE || !okA || len(starts) != 1 || len(ends) != 1 || len(list) != 1 || !e.stepsAreOne(n) {
			return 0, nil, false
		}
		at, ok = normalAxis(list[0], len(axes))
		d := e.value(n.Input[0]).Dims
		if !ok || len(d) != len(axes) || !d[at].Known() {
			return 0, nil, false
		}
		return at, []part{{within(starts[0], d[at].Size), within(ends[0], d[at].Size), axes, n.Output[0]}}, true
	case isOp(n, "Split"):
		at, ok = normalAxis(onnx.AttrInt(n, "axis", 0), len(axes))
		sizes, okS := listOf(e, n, "split", 1)
		if !ok || !okS || len(sizes) != len(n.Output) {
			return 0, nil, false
		}
		from := int64(0)
		for k, out := range n.Output {
			if !e.unread(out) {
				parts = append(parts, part{from, from + sizes[k], axes, out})
			}
			from += sizes[k]
		}
		return at, parts, true
	case isOp(n, "Gather"):
		return e.gathered(n, axes)
	}
	return 0, nil, false
}

// gathered: a Gather of one position, whose axis goes, or of several in a row.
func (e *editor) gathered(n *onnx.Node, axes []int) (at int, parts []part, ok bool) {
	at, ok = normalAxis(onnx.AttrInt(n, "axis", 0), len(axes))
	index, isConstant := e.constant(input(n, 1))
	d := e.value(n.Input[0]).Dims
	if !ok || !isConstant || len(index.Dims) > 1 || len(d) != len(axes) || !d[at].Known() {
		return 0, nil, false
	}
	list, err := index.Int64s()
	if err != nil || len(list) == 0 {
		return 0, nil, false
	}
	from := list[0]
	for k, v := range list {
		if v != from+int64(k) {
			return 0, nil, false
		}
	}
	if from < 0 {
		from += d[at].Size
	}
	if len(index.Dims) == 0 {
		axes = slices.Delete(slices.Clone(axes), at, at+1)
	}
	return at, []part{{from, from + int64(len(list)), axes, n.Output[0]}}, true
}

// squeezed takes along the Squeeze that alone reads a part of one position, and drops its axis.
func (e *editor) squeezed(p *packed, q *part, at int) {
	if !e.soleReader(q.out) || !isOp(e.uses[q.out][0].Node, "Squeeze") {
		return
	}
	n := e.uses[q.out][0].Node
	list, ok := listOf(e, n, "axes", 1)
	if !ok || len(list) != 1 {
		return
	}
	if axis, ok := normalAxis(list[0], len(q.axes)); !ok || axis != at {
		return
	}
	q.axes, q.out = slices.Delete(slices.Clone(q.axes), at, at+1), n.Output[0]
	p.gone = append(p.gone, n)
}
