package space

// heads is how an attention divides a block into heads: the first size/count features are head 0's, and so
// on. A tensor then holds the block on two axes, one that counts heads and one that counts the features
// inside. Whole heads may be exchanged, with those of all blocks of the group; inside a head the features of
// each block may be exchanged by themselves. The groups of a grouped convolution are such heads too.
type heads struct {
	count  int
	group  *headGroup
	inside bool // the order inside is fixed
}

// headGroup is a union-find forest of blocks whose heads correspond. Most have as many heads as there are units;
// where several query heads share a head of keys and values, a unit holds all of them, which move as a whole.
type headGroup struct {
	parent *headGroup
	units  int
	fixed  bool // the units keep their order: they stand for positions that mean the same in every model
}

func (g *headGroup) find() *headGroup {
	for g.parent != nil {
		g = g.parent
	}
	return g
}

// partSize is the number of positions of a part of the block.
func (b *block) partSize(p Part) int {
	switch {
	case p == HeadPart:
		return b.heads.count
	case p == InsidePart || p == GroupPart:
		return b.size / b.heads.count
	}
	return b.size
}

// fixInside fixes the order of the features inside each head.
func (b *block) fixInside() { b.find().heads.inside = true }

// shareHeads gives b what a block that was united with it knows of heads.
func (b *block) shareHeads(other *block) {
	switch {
	case other.heads == nil:
	case b.heads == nil:
		b.heads = other.heads
	case b.heads.count != other.heads.count:
		b.restrict(Pinned, Reason{Text: "is divided into different numbers of heads"})
		other.heads.group.find().fixed = true // the block is in the other group no more
	default:
		b.heads.inside = b.heads.inside || other.heads.inside
		uniteHeads(b, other)
	}
}

func uniteHeads(x, y *block) {
	if g, h := x.heads.group.find(), y.heads.group.find(); g != h {
		h.parent = g
		g.units = gcd(g.units, h.units)
		g.fixed = g.fixed || h.fixed
	}
}

// intoGroups divides a whole block into the groups of a grouped convolution. ok is false where the axis is not
// one whole block, or the block is divided otherwise already.
func intoGroups(x axis, count int, why Reason) (b *block, ok bool) {
	if b, ok = x.wholeBlock(); !ok {
		return nil, false
	}
	if b.size < count || b.size%count != 0 || b.heads != nil && b.heads.count != count {
		return nil, false
	}
	if b.heads == nil {
		b.heads = &heads{count: count, group: &headGroup{units: count}}
	}
	b.restrict(Permute, why)
	return b, true
}

// divide lays a block onto an axis of count heads and one of the features inside each. ok is false where the
// axis is not one whole block, or the block is divided otherwise already.
func divide(x axis, count, size int) (head, inside axis, ok bool) {
	b, ok := x.wholeBlock()
	if !ok || count < 2 || size < 2 {
		return nil, nil, false
	}
	if b.size != count*size || b.mode == Pinned || b.heads != nil && b.heads.count != count {
		return nil, nil, false
	}
	if b.heads == nil {
		b.heads = &heads{count: count, group: &headGroup{units: count}}
	}
	b.restrict(Permute, Reason{Text: "is divided into heads, which move as a whole"})
	return axis{{b: b, inner: 1, part: HeadPart}}, axis{{b: b, inner: 1, part: InsidePart}}, true
}

// divideRepeated is divide where each feature has several positions: GroupNorm is exported as a Reshape of [C, H, W] to
// [groups, C/groups·H·W] before a normalisation.
func divideRepeated(x axis, count, size int) (head, inside axis, ok bool) {
	if len(x) != 1 || x[0].b == nil || x[0].part != Whole || x[0].many || count < 2 || x[0].positions() != count*size {
		return nil, nil, false
	}
	b, ok := intoGroups(axis{{b: x[0].b, inner: 1}}, count, Reason{Text: "is divided into groups, which move as a whole"})
	return axis{{b: b, inner: 1, part: HeadPart}}, axis{{b: b, inner: x[0].inner, part: InsidePart}}, ok
}

// unit is the number of heads that move as a whole.
func (b *block) unit() int { return b.heads.count / b.heads.group.find().units }

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// join lays an outer axis of heads and an inner one of the features inside on one axis: the whole block of the
// features, if its heads correspond to the outer axis's. Where several of those share a head of the block, its
// features are there several times.
func join(outer, inner run) (whole run, ok bool) {
	if outer.b == nil || inner.b == nil || outer.part != HeadPart || inner.part != InsidePart {
		return run{}, false
	}
	x, y := outer.b.find(), inner.b.find()
	count := x.heads.count * outer.inner
	switch {
	case x.heads.group.find() != y.heads.group.find() || count%y.heads.count != 0:
		return run{}, false
	case count == y.heads.count:
		return run{b: y, inner: inner.inner}, true
	case inner.inner != 1:
		return run{}, false
	}
	return run{b: y, inner: count / y.heads.count, part: RepeatedPart}, true
}

// tieParts ties the same part of two divided blocks; false where they do not fit.
func tieParts(p, q run) bool {
	x, y := p.b.find(), q.b.find()
	switch {
	case p.part == HeadPart && x.heads.count*p.inner == y.heads.count*q.inner:
		uniteHeads(x, y)
		return true
	case p.inner != q.inner || p.part == HeadPart:
		return false
	case p.part == InsidePart && x.heads.count != y.heads.count && x.partSize(InsidePart) == y.partSize(InsidePart):
		x.fixInside() // several heads of one follow the order inside one of the other
		y.fixInside()
		return true
	case x.heads.count != y.heads.count || x.size != y.size || x.parts != nil || y.parts != nil:
		return false
	}
	union(x, y)
	return true
}

// oneHead ties the features inside heads to a whole block of as many: keys, or values, that all heads share. Both keep
// their order. It reports whether the two are such.
func oneHead(p, q run) bool {
	if q.part == InsidePart {
		p, q = q, p
	}
	if p.part != InsidePart || !keepOrder(q) || p.positions() != q.positions() {
		return false
	}
	p.b.fixInside()
	return true
}

// headByFeature ties an axis that counts heads to a whole block of as many features, one for each head: the columns of
// a table of relative positions (T5).
func headByFeature(p, q run, why Reason) bool {
	if q.part == HeadPart {
		p, q = q, p
	}
	if p.part != HeadPart || p.positions() != q.positions() {
		return false
	}
	why.Text = "gives every head a feature of its own"
	b, ok := intoGroups(axis{q}, q.positions(), why)
	if ok {
		uniteHeads(p.b.find(), b)
	}
	return ok
}

// keepOrder makes a whole block one head, whose features keep their order; false where it is something else.
func keepOrder(r run) bool {
	b, ok := intoGroups(axis{r}, 1, Reason{Text: "is shared by all heads"})
	if ok {
		b.fixInside()
	}
	return ok
}

// fixInside reports whether one of two runs counts the features inside heads, and the other as many aligned
// positions (if their number is known): their order then is fixed, and the tie is no reason to pin.
func fixInside(p, q run) bool {
	if q.b != nil {
		p, q = q, p
	}
	if p.b == nil || q.b != nil || p.part != InsidePart || q.size >= 0 && p.positions() != q.size {
		return false
	}
	p.b.fixInside()
	return true
}

// exportHeads fills in what a space says of heads.
func (a *analyzer) exportHeads(s *Space, b *block) {
	if b.heads == nil {
		return
	}
	g := b.heads.group.find()
	s.Heads, s.InsideFixed = g.units, b.heads.inside || b.unit() > 1
	if a.groups == nil {
		a.groups = map[*headGroup]int{}
	}
	if _, known := a.groups[g]; !known {
		a.groups[g] = len(a.groups)
	}
	s.Group = a.groups[g]
}

// fixHeads fixes the heads of every group that has a pinned member, or stands for aligned positions.
func (a *analyzer) fixHeads(spaces []*Space) {
	pinned := map[int]bool{}
	for g, k := range a.groups {
		pinned[k] = g.fixed
	}
	for _, s := range spaces {
		if s.Heads > 0 && s.Mode == Pinned {
			pinned[s.Group] = true
		}
	}
	for _, s := range spaces {
		s.HeadsFixed = s.Heads > 0 && pinned[s.Group]
	}
}
