package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// rearrange makes one Reshape, Transpose, Reshape of a longer row of them that lays features on one axis with samples
// or pixels and takes them apart again, as MobileViT does to lay the pixels of a patch behind each other:
// [N, C, H, W] → [N·C·H/2, 2, W/2, 2] → … → [N·4, H·W/4, C]. Every axis is divided where some step divides it, once, and
// the features keep an axis of their own.
func rearrange(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if e.rearrangeFrom(n) {
			r.did("Reshapes and Transposes in a row made one")
		}
	}
	e.close()
	return nil
}

// rearrangeFrom replaces the row that begins with n.
func (e *editor) rearrangeFrom(n *onnx.Node) bool {
	if !isOp(n, "Reshape") || input(n, 0) == "" || !e.value(n.Input[0]).HasRank {
		return false
	}
	row := e.rowFrom(n)
	p := newParts(e.value(n.Input[0]).Dims)
	transposes, mixed := 0, false
	for _, next := range row {
		if isOp(next, "Transpose") {
			transposes++
			if !p.transpose(permutation(next)) {
				return false
			}
		} else if !p.reshape(e.value(next.Output[0]).Dims) {
			return false
		}
		mixed = mixed || next != row[len(row)-1] && p.mixes()
	}
	if transposes < 2 || !mixed {
		return false
	}
	last := row[len(row)-1]
	news := p.nodes(e, n.Input[0], last, e.value(last.Output[0]).Dims)
	if news == nil || len(news) >= len(row) {
		return false
	}
	for _, old := range row[:len(row)-1] {
		e.replace(old)
	}
	e.replace(last, news...)
	return true
}

// rowFrom is n and the Reshapes and Transposes behind it, each the sole reader of the one before. A row ends with a Reshape.
func (e *editor) rowFrom(n *onnx.Node) []*onnx.Node {
	row := []*onnx.Node{n}
	for at := n; ; {
		next := e.only(at.Output[0], "Reshape")
		if next == nil {
			next = e.only(at.Output[0], "Transpose")
		}
		if next == nil || next.Input[0] != at.Output[0] {
			break
		}
		row, at = append(row, next), next
	}
	for isOp(row[len(row)-1], "Transpose") {
		row = row[:len(row)-1]
	}
	return row
}

// axisPart is an axis, or a factor of one.
type axisPart struct {
	dim     shape.Dim
	axis    int // of the tensor at the beginning
	divided [2]*axisPart
}

func (p *axisPart) leaves() []*axisPart {
	if p.divided[0] == nil {
		return []*axisPart{p}
	}
	return append(p.divided[0].leaves(), p.divided[1].leaves()...)
}

// divide makes two of a part, of which it returns the inner one.
func (p *axisPart) divide(outer shape.Dim, inner int64) *axisPart {
	p.divided = [2]*axisPart{{dim: outer, axis: p.axis}, {dim: shape.Dim{Size: inner}, axis: p.axis}}
	return p.divided[1]
}

// axisParts follows axes through Reshapes and Transposes: groups holds what each axis of the tensor is made of, outermost
// first. Axes of one position are made of nothing.
type axisParts struct {
	whole  []*axisPart
	groups [][]*axisPart
}

func newParts(dims []shape.Dim) *axisParts {
	p := &axisParts{}
	for k, d := range dims {
		if d.Is(1) {
			p.groups = append(p.groups, nil)
			continue
		}
		w := &axisPart{dim: d, axis: k}
		p.whole, p.groups = append(p.whole, w), append(p.groups, []*axisPart{w})
	}
	return p
}

func (p *axisParts) transpose(perm []int64) bool {
	if len(perm) != len(p.groups) {
		return false
	}
	out := make([][]*axisPart, len(perm))
	for k, from := range perm {
		out[k] = p.groups[from]
	}
	p.groups = out
	return true
}

// reshape lays the parts onto new axes: equal open sizes from the left, known sizes from the right; one axis takes what is
// left between.
func (p *axisParts) reshape(dims []shape.Dim) bool {
	flat := slices.Concat(p.groups...)
	out := make([][]*axisPart, len(dims))
	from, to := 0, len(dims)
	for from < to && len(flat) > 0 && !dims[from].Known() && dims[from] == flat[0].dim {
		out[from], flat = flat[:1:1], flat[1:]
		from++
	}
	for ; to > from && dims[to-1].Known(); to-- {
		var ok bool
		if out[to-1], flat, ok = takeInner(flat, dims[to-1].Size, dims[from]); !ok {
			return false
		}
	}
	if to-from > 1 || to == from && len(flat) > 0 {
		return false
	}
	if to > from {
		out[from] = flat
	}
	p.groups = out
	return true
}

// takeInner cuts parts of so many positions off the end, and divides the last of them where it has more. An open size, of
// which only the first part may be, is divided into what is left of it and a known one.
func takeInner(flat []*axisPart, size int64, left shape.Dim) (group, rest []*axisPart, ok bool) {
	for size > 1 {
		if len(flat) == 0 {
			return nil, nil, false
		}
		last := flat[len(flat)-1]
		switch n := last.dim.Size; {
		case !last.dim.Known() && len(flat) == 1 && !left.Known():
			inner := last.divide(left, size)
			group, flat, size = append([]*axisPart{inner}, group...), []*axisPart{last.divided[0]}, 1
		case !last.dim.Known() || n < 1:
			return nil, nil, false
		case size%n == 0:
			group, flat, size = append([]*axisPart{last}, group...), flat[:len(flat)-1], size/n
		case n%size == 0:
			inner := last.divide(shape.Dim{Size: n / size}, size)
			group = append([]*axisPart{inner}, group...)
			flat, size = append(flat[:len(flat)-1:len(flat)-1], last.divided[0]), 1
		default:
			return nil, nil, false
		}
	}
	return group, flat, size == 1
}

// mixes reports whether an axis holds an open size (samples) together with parts of other axes.
func (p *axisParts) mixes() bool {
	return slices.ContainsFunc(p.groups, func(g []*axisPart) bool {
		return slices.ContainsFunc(g, func(x *axisPart) bool { return !x.dim.Known() }) && slices.ContainsFunc(g, func(x *axisPart) bool { return x.axis != g[0].axis })
	})
}

// nodes writes what became of the value x, under the output of last; nil where open sizes leave no room for it.
func (p *axisParts) nodes(e *editor, x string, last *onnx.Node, dims []shape.Dim) []*onnx.Node {
	var leaves []*axisPart
	for _, w := range p.whole {
		leaves = append(leaves, w.leaves()...)
	}
	leaves, flat := joinNeighbours(leaves, slices.Concat(p.groups...), p.groups)
	divided, moved, perm := make([]shape.Dim, len(leaves)), make([]shape.Dim, len(flat)), make([]int64, len(flat))
	for k, l := range leaves {
		divided[k] = l.dim
	}
	for k, l := range flat {
		moved[k], perm[k] = l.dim, int64(slices.Index(leaves, l))
	}
	first, open1 := targetOf(divided, e.value(x).Dims)
	second, open2 := targetOf(dims, moved)
	if open1 > 1 || open2 > 1 {
		return nil
	}
	var out []*onnx.Node
	add := func(op string, more []string, attrs ...*onnx.Attribute) {
		y := e.fresh(nameFor(last, "rearranged"))
		out = append(out, onnx.NewNode(op, e.freshNode(nameFor(last, "rearranged")), append([]string{x}, more...), []string{y}, attrs...))
		x = y
	}
	shapeOf := func(v []int64) []string {
		return []string{e.addConstant(nameFor(last, "shape"), onnx.FromInt64(v, int64(len(v))))}
	}
	add("Reshape", shapeOf(first))
	add("Transpose", nil, onnx.Ints("perm", perm...))
	add("Reshape", shapeOf(second))
	out[2].Output[0] = last.Output[0]
	return out
}

// joinNeighbours makes one of two parts of one axis that lie side by side at both ends, on one axis at the end.
func joinNeighbours(leaves, flat []*axisPart, groups [][]*axisPart) (l, f []*axisPart) {
	group := map[*axisPart]int{}
	for k, g := range groups {
		for _, x := range g {
			group[x] = k
		}
	}
	for k := 0; k+1 < len(leaves); {
		a, b := leaves[k], leaves[k+1]
		at := slices.Index(flat, a)
		if a.axis != b.axis || group[a] != group[b] || at+1 >= len(flat) || flat[at+1] != b || !a.dim.Known() || !b.dim.Known() {
			k++
			continue
		}
		joint := &axisPart{dim: shape.Dim{Size: a.dim.Size * b.dim.Size}, axis: a.axis}
		group[joint] = group[a]
		leaves, flat = slices.Replace(leaves, k, k+2, joint), slices.Replace(flat, at, at+2, joint)
	}
	return leaves, flat
}
