package space

import (
	"fmt"
	"slices"
)

// block is a run of features, a node of two structures at once: a union-find forest (parent) of runs
// that turned out to be the same, and a tree of cuts (parts) of runs that an operator cut in two.
type block struct {
	parent   *block
	parts    []*block
	each     int   // positions that each feature of the parts has here; 0 is one
	size     int   // -1: unknown, pinned then; of a block that models share, the first one's
	sizes    []int // by model, 0 in those that do not have it
	mode     Mode
	why      []Reason
	constant bool
	fixed    string
	id       int
	aligned  *Reason // what tied it to an aligned axis, nil where nothing did
	apart    *Reason // why a merge keeps the features of each model beside those of the others, nil where it need not
	heads    *heads  // nil where an attention never divided the features into heads
}

// run is a run of positions along an axis: a block repeated along inner positions, or (nil block)
// size aligned positions.
type run struct {
	b     *block
	size  int // of aligned runs; -1 unknown
	inner int
	part  Part // of a block that is divided into heads: on which of the two axes this is
	many  bool // the run is repeated, the whole of it, an unknown number of times (heads of a batch: N·h)
	same  bool // of aligned positions: all hold the same (an Expand), so meeting features is no tie
}

func (r run) positions() int {
	if r.b == nil {
		return r.size
	}
	if r.b.size < 0 || r.many {
		return -1
	}
	return r.b.partSize(r.part) * r.inner
}

// axis is what lies along one axis of a tensor.
type axis []run

func aligned(size int) axis { return axis{{size: size, inner: 1}} }

func (b *block) find() *block {
	for b.parent != nil {
		if b.parent.parent != nil {
			b.parent = b.parent.parent
		}
		b = b.parent
	}
	return b
}

// resolve rewrites an axis in terms of the finest blocks known by now and joins aligned neighbours.
func resolve(x axis) axis {
	var out axis
	for _, r := range x {
		if r.b == nil {
			if n := len(out); n > 0 && out[n-1].b == nil && out[n-1].size >= 0 && r.size >= 0 && !r.same && !out[n-1].same {
				out[n-1].size += r.size
				continue
			}
			out = append(out, r)
			continue
		}
		out = appendFinest(out, r)
	}
	return out
}

func appendFinest(out axis, r run) axis {
	r.b = r.b.find()
	if r.b.parts == nil || r.part != Whole {
		return append(out, r)
	}
	for _, p := range r.b.parts {
		out = appendFinest(out, run{b: p, inner: r.inner * r.b.perPart()})
	}
	return out
}

// perPart is the number of positions that each feature of the block's parts has along the block.
func (b *block) perPart() int { return max(b.each, 1) }

// allSame reports whether all positions of an axis hold the same.
func (x axis) allSame() bool { return len(x) == 1 && x[0].same }

// fixWidth says why the number of features on an axis cannot change.
func fixWidth(x axis, why string) {
	for _, r := range x {
		if r.b != nil && r.b.fixed == "" {
			r.b.fixed = why
		}
	}
}

// other is what lies along an axis of a result whose operands have x and y there, which were tied.
func other(x, y axis) axis {
	if x.allSame() {
		return y
	}
	return x
}

// vary is the axis without the claim that its positions hold the same.
func vary(x axis) axis {
	out := slices.Clone(x)
	for k := range out {
		out[k].same = false
	}
	return out
}

// positions is the length of an axis, -1 where unknown.
func (x axis) positions() int {
	n := 0
	for _, r := range x {
		p := r.positions()
		if p < 0 {
			return -1
		}
		n += p
	}
	return n
}

// wholeBlock is the block that an axis holds all of, each feature once and nothing else.
func (x axis) wholeBlock() (b *block, ok bool) {
	if len(x) != 1 || x[0].b == nil || x[0].part != Whole || x[0].inner != 1 || x[0].many {
		return nil, false
	}
	return x[0].b.find(), true
}

func (x axis) isAligned() bool {
	for _, r := range x {
		if r.b != nil {
			return false
		}
	}
	return true
}

// restrict raises the block's mode and keeps the reason. The strictest mode's reasons are kept, at
// most a handful.
func (b *block) restrict(m Mode, why Reason) {
	const enough = 4
	switch {
	case m < b.mode || m == Zip:
		return
	case m > b.mode:
		b.mode, b.why = m, nil
	}
	for _, w := range b.why {
		if w == why {
			return
		}
	}
	if len(b.why) < enough {
		b.why = append(b.why, why)
	}
}

// union makes two blocks the same. In one model they have one size.
func union(x, y *block) {
	x, y = x.find(), y.find()
	if x == y {
		return
	}
	if y.id < x.id {
		x, y = y, x
	}
	y.parent = x
	for _, w := range y.why {
		x.restrict(y.mode, w)
	}
	for i, n := range y.sizes {
		switch {
		case x.sizes[i] == 0:
			x.sizes[i] = n
		case n != 0 && n != x.sizes[i]:
			x.restrict(Pinned, Reason{Text: fmt.Sprintf("is tied to %d features of model %d, and to %d", x.sizes[i], i+1, n)})
		}
	}
	x.constant = x.constant && y.constant
	if x.fixed == "" {
		x.fixed = y.fixed
	}
	if x.aligned == nil {
		x.aligned = y.aligned
	}
	if x.apart == nil {
		x.apart = y.apart
	}
	x.shareHeads(y)
}

// cut divides a finest block after k features, 0 < k < size.
func (a *analyzer) cut(b *block, k int) {
	if b.heads != nil {
		b.restrict(Pinned, Reason{Text: "is divided into heads, and cut elsewhere too"})
		b.heads.group.find().fixed = true // the parts stay, and are in no group
	}
	left, right := a.newBlock(0, k), a.newBlock(0, b.size-k)
	for _, p := range []*block{left, right} {
		p.sizes = make([]int, len(b.sizes))
		for i, n := range b.sizes {
			if n != 0 {
				p.sizes[i] = p.size
			}
		}
		p.mode, p.why, p.constant, p.fixed, p.aligned, p.apart = b.mode, b.why, b.constant, b.fixed, b.aligned, b.apart
		p.why = append([]Reason(nil), b.why...)
	}
	b.parts = []*block{left, right}
}

func (a *analyzer) newBlock(model, size int) *block {
	b := &block{size: size, sizes: make([]int, len(a.inputs)), id: a.blocks}
	b.sizes[model] = size
	a.blocks++
	return b
}

// restrictAll raises the mode of all blocks of an axis.
func restrictAll(x axis, m Mode, why Reason) {
	for _, r := range resolve(x) {
		if r.b != nil {
			r.b.restrict(m, why)
		}
	}
}

// unify makes two axes hold the same features, position by position. What cannot be laid over each
// other is pinned. An axis along which all is the same fits any other: the result has the other's layout.
func (a *analyzer) unify(x, y axis, why Reason) {
	if x.allSame() || y.allSame() {
		fixWidth(append(resolve(x), resolve(y)...), "it meets what an Expand has spread to as many features")
		return
	}
	cx, cy := newCursor(x), newCursor(y)
	for !cx.done() && !cy.done() {
		p, q := cx.head(), cy.head()
		switch {
		case p.many && q.many && p.part == q.part && p.b != nil && q.b != nil && tieParts(p, q):
			cx.pop()
			cy.pop()
		case p.many || q.many:
			why.Text = "lays the features out in two ways"
			restrictAll(cx.rest(), Pinned, why)
			restrictAll(cy.rest(), Pinned, why)
			return
		case len(cx.runs) == 1 && len(cy.runs) == 1 && fixInside(p, q):
			return
		case p.positions() < 0 || q.positions() < 0:
			pinTied(cx.rest(), cy.rest(), why)
			return
		case p.b == nil || q.b == nil:
			n := min(p.positions(), q.positions())
			pinTied(axis{p}, axis{q}, why)
			if !a.drop(cx, n) || !a.drop(cy, n) {
				pinTied(cx.rest(), cy.rest(), why)
				return
			}
		case p.part == q.part && p.part != Whole && tieParts(p, q):
			cx.pop()
			cy.pop()
		case oneHead(p, q), headByFeature(p, q, why):
			cx.pop()
			cy.pop()
		case p.part == Whole && q.part == Whole && a.levelInner(p, q):
		case p.inner != q.inner || p.part != Whole || q.part != Whole:
			why.Text = "lays the features out in two ways"
			restrictAll(cx.rest(), Pinned, why)
			restrictAll(cy.rest(), Pinned, why)
			return
		case p.b.size == q.b.size:
			union(p.b, q.b)
			cx.pop()
			cy.pop()
		case p.b.size > q.b.size:
			a.cut(p.b, q.b.size)
		default:
			a.cut(q.b, p.b.size)
		}
	}
	restrictAll(cx.rest(), Pinned, why)
	restrictAll(cy.rest(), Pinned, why)
}

// pinTied ties blocks to an aligned axis: their features then mean the same in every model, position by
// position, and keep their places.
func pinTied(x, y axis, why Reason) {
	why.Text = "ties the features to an axis whose positions are fixed"
	for _, r := range append(resolve(x), resolve(y)...) {
		if r.b != nil && r.b.aligned == nil {
			r.b.aligned = &why
		}
	}
}

// drop moves a cursor n positions on, inside its head; false where n falls between the inner positions
// of one feature.
func (a *analyzer) drop(c *cursor, n int) bool {
	switch r := c.head(); {
	case n == r.positions():
	case r.b == nil:
		c.runs[len(c.runs)-1].size -= n
		return true
	case n%r.inner != 0 || r.part != Whole:
		return false
	default:
		a.cut(r.b, n/r.inner)
		c.head() // the left part
	}
	c.pop()
	return true
}

// cursor walks along an axis. Blocks may be cut and united on the way, those ahead too: a run is resolved
// when the walk gets to it.
type cursor struct{ runs axis } // what is ahead, the nearest last

func newCursor(x axis) *cursor {
	c := &cursor{runs: resolve(x)} // aligned neighbours are one run
	slices.Reverse(c.runs)
	return c
}

func (c *cursor) done() bool { return len(c.runs) == 0 }

func (c *cursor) pop() { c.runs = c.runs[:len(c.runs)-1] }

// head is the next run, of a block that is not cut.
func (c *cursor) head() run {
	for {
		r := c.runs[len(c.runs)-1]
		if r.b == nil {
			return r
		}
		r.b = r.b.find()
		c.pop()
		if r.b.parts == nil || r.part != Whole {
			c.runs = append(c.runs, r)
			return r
		}
		for _, p := range slices.Backward(r.b.parts) {
			c.runs = append(c.runs, run{b: p, inner: r.inner * r.b.perPart()})
		}
	}
}

// rest is what is ahead, in order.
func (c *cursor) rest() axis {
	x := slices.Clone(c.runs)
	slices.Reverse(x)
	return x
}

// split divides an axis after n positions. ok is false where n falls between the inner positions of
// one feature; the features are then left whole in both halves' place and must be pinned by the caller.
func (a *analyzer) split(x axis, n int) (left, right axis, ok bool) {
	x = resolve(x)
	for len(x) > 0 && n > 0 {
		r := x[0]
		p := r.positions()
		switch {
		case p < 0:
			return nil, nil, false
		case p <= n:
			left, x, n = append(left, r), x[1:], n-p
		case r.b == nil:
			left = append(left, run{size: n, inner: 1})
			x = append(axis{{size: p - n, inner: 1}}, x[1:]...)
			n = 0
		case n%r.inner != 0 || r.part != Whole:
			return left, x[1:], false
		default:
			a.cut(r.b, n/r.inner)
			x = resolve(x)
		}
	}
	return left, x, n == 0
}
