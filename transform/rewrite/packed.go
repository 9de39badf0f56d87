package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// unpack divides packed projections (queries, keys and values in one matrix) where exporters give the parts an axis
// that a Reshape opens, and pick them behind it: Reshape(x, […, 3, h, d]) → Transpose → Gather 0, 1, 2 (or Slice or
// Split, with or without a Squeeze) becomes, for each part, Slice(x) → Reshape(…, h, d) → Transpose. Features then
// are cut by Slice like everywhere else. Where the parts lie inside the heads (h, 3, d), what makes x first gets
// its outputs in the order of the parts.
func unpack(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		p := e.packedAt(n)
		if p == nil {
			continue
		}
		if p.outer() > 1 {
			if !e.reorder(n.Input[0], p.at, p.order()) {
				continue
			}
			r.did("packed projection ordered by parts")
		}
		e.divide(p)
		r.did("packed projection divided")
	}
	e.close()
	return nil
}

// packed is a Reshape that opens an axis of features into several, one of which readers take parts of.
type packed struct {
	reshape *onnx.Node
	target  []int64 // of the Reshape
	sizes   []int64 // of the axes that the features become
	at      int     // the axis of features
	first   int     // the first axis of the Reshape's result that it becomes
	digit   int     // the axis of parts, counted from first; -1 while none is known
	parts   []part
	gone    []*onnx.Node // nodes between, and those that pick the parts
}

// part is what one reader takes of the axis of parts, and what the tensor has become by then.
type part struct {
	from, to int64
	axes     []int // as axes of the Reshape's result; inserted for one that an Unsqueeze made
	out      string
}

const inserted = -1

// outer is the number of times that the parts alternate along the features, unit the features of one position.
func (p *packed) outer() int64 { return product(p.sizes[:p.digit]) }
func (p *packed) unit() int64  { return product(p.sizes) / p.sizes[p.digit] }

// packedAt recognises the pattern, nil where n does not begin it.
func (e *editor) packedAt(n *onnx.Node) *packed {
	if !isOp(n, "Reshape") || input(n, 0) == "" || e.opset() < 10 {
		return nil
	}
	target, ok := e.ints(input(n, 1))
	if !ok || onnx.AttrInt(n, "allowzero", 0) != 0 && slices.Contains(target, 0) {
		return nil
	}
	for _, p := range e.opened(n) {
		p.reshape, p.target, p.digit = n, target, -1
		axes := make([]int, len(target))
		for i := range axes {
			axes[i] = i
		}
		if len(target) == len(e.value(n.Output[0]).Dims) && e.readParts(p, n.Output[0], axes) && p.usable() {
			return p
		}
	}
	return nil
}

// opened lists the axes of features that a Reshape opens: the last one, or the channels that a Conv made.
func (e *editor) opened(n *onnx.Node) (found []*packed) {
	in, out := e.value(input(n, 0)), e.value(n.Output[0])
	last := len(in.Dims) - 1
	if !in.HasRank || !out.HasRank || last < 1 {
		return nil
	}
	for first := range out.Dims {
		if sizes := factors(in.Dims[last], out.Dims[first:]); len(sizes) == len(out.Dims)-first {
			found = append(found, &packed{at: last, first: first, sizes: sizes})
			break
		}
	}
	if last > 1 && len(out.Dims) > 1 && in.Dims[0] == out.Dims[0] && e.madeByConv(n.Input[0]) {
		found = append(found, &packed{at: 1, first: 1, sizes: factors(in.Dims[1], out.Dims[1:])})
	}
	return slices.DeleteFunc(found, func(p *packed) bool { return len(p.sizes) < 2 })
}

// factors returns the leading sizes whose product is that of whole, the fewest; nil where there are none.
func factors(whole shape.Dim, sizes []shape.Dim) (out []int64) {
	rest := whole.Size
	for _, d := range sizes {
		if !whole.Known() || !d.Known() || d.Size < 1 || rest%d.Size != 0 {
			return nil
		}
		out = append(out, d.Size)
		if rest /= d.Size; rest == 1 {
			return out
		}
	}
	return nil
}

// madeByConv looks for the maker of a map through what is added to it or multiplied by it.
func (e *editor) madeByConv(x string) bool {
	n := e.producer[x]
	for isOp(n, "Add", "Mul") && e.isConstant(input(n, 1)) {
		n = e.producer[n.Input[0]]
	}
	return isOp(n, "Conv")
}

// usable reports whether the parts can be made of slices of the features.
func (p *packed) usable() bool {
	if p.digit < 0 || p.sizes[p.digit] < 2 {
		return false
	}
	slices.SortFunc(p.parts, func(a, b part) int { return int(a.from - b.from) })
	for _, q := range p.parts {
		for a := range p.target {
			// An entry 0 stands for the size in its own place: it must stay there.
			if !slices.Contains(q.axes, a) && slices.Contains(p.target[a:], 0) {
				return false
			}
		}
	}
	if p.outer() == 1 {
		return true
	}
	if product(p.sizes) > maxJoined {
		return false
	}
	// Two pieces of a head's features are rotary embeddings of one of them; parts are three, or have an axis.
	if p.digit == len(p.sizes)-1 && len(p.parts) < 3 {
		return false
	}
	for i, q := range p.parts[1:] {
		if q.from < p.parts[i].to {
			return false
		}
	}
	return true
}

// divide puts a chain of its own in the place of every part.
func (e *editor) divide(p *packed) {
	base := func(what string) string { return nameFor(p.reshape, what) }
	var news []*onnx.Node
	before := int64(0) // features of the parts before
	for _, q := range p.parts {
		start, size := q.from*p.unit(), (q.to-q.from)*p.unit()
		if p.outer() > 1 {
			start = before
		}
		before += size
		target, perm := p.layout(q)
		cut, shaped := e.fresh(base("part")), q.out
		moved := !slices.Equal(perm, sequence(0, int64(len(perm))))
		if moved {
			shaped = e.fresh(base("heads"))
		}
		news = append(news,
			e.cutOut(p.reshape, "part", start, start+size, p.at, cut),
			onnx.NewNode("Reshape", e.freshNode(base("heads")),
				[]string{cut, e.addConstant(base("shape"), onnx.FromInt64(target, int64(len(target))))}, []string{shaped}))
		if moved {
			news = append(news, onnx.NewNode("Transpose", e.freshNode(base("order")), []string{shaped}, []string{q.out}, onnx.Ints("perm", perm...)))
		}
	}
	for _, n := range p.gone {
		e.replace(n)
	}
	e.replace(p.reshape, news...)
}

// layout is the target of a part's Reshape, which lays the axes out in their order before, and the permutation
// that brings them into the part's own.
func (p *packed) layout(q part) (target, perm []int64) {
	place := map[int]int64{}
	for a, size := range p.target {
		if !slices.Contains(q.axes, a) {
			continue
		}
		if a == p.first+p.digit {
			size = q.to - q.from
		}
		place[a] = int64(len(target))
		target = append(target, size)
	}
	for _, a := range q.axes {
		if a == inserted {
			perm = append(perm, int64(len(target)))
			target = append(target, 1)
			continue
		}
		perm = append(perm, place[a])
	}
	return target, perm
}
