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

// headGroup is a union-find forest of blocks whose heads correspond one to one.
type headGroup struct {
	parent *headGroup
	fixed  bool // the heads keep their order: they stand for positions that mean the same in every model
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
	default:
		b.heads.inside = b.heads.inside || other.heads.inside
		uniteHeads(b, other)
	}
}

func uniteHeads(x, y *block) {
	if g, h := x.heads.group.find(), y.heads.group.find(); g != h {
		h.parent = g
		g.fixed = g.fixed || h.fixed
	}
}

// intoGroups divides a whole block into the groups of a grouped convolution. ok is false where the axis is not
// one whole block, or the block is divided otherwise already.
func intoGroups(x axis, count int, why Reason) (b *block, ok bool) {
	if len(x) != 1 || x[0].b == nil || x[0].part != Whole || x[0].inner != 1 || x[0].many {
		return nil, false
	}
	b = x[0].b.find()
	if b.size < count || b.size%count != 0 || b.heads != nil && b.heads.count != count {
		return nil, false
	}
	if b.heads == nil {
		b.heads = &heads{count: count, group: &headGroup{}}
	}
	b.restrict(Permute, why)
	return b, true
}

// divide lays a block onto an axis of count heads and one of the features inside each. ok is false where the
// axis is not one whole block, or the block is divided otherwise already.
func divide(x axis, count, size int) (head, inside axis, ok bool) {
	if len(x) != 1 || x[0].b == nil || x[0].part != Whole || x[0].inner != 1 || count < 2 || size < 2 {
		return nil, nil, false
	}
	b := x[0].b.find()
	if x[0].many || b.size != count*size || b.mode == Pinned || b.heads != nil && b.heads.count != count {
		return nil, nil, false
	}
	if b.heads == nil {
		b.heads = &heads{count: count, group: &headGroup{}}
	}
	b.restrict(Permute, Reason{Text: "is divided into heads, which move as a whole"})
	return axis{{b: b, inner: 1, part: HeadPart}}, axis{{b: b, inner: 1, part: InsidePart}}, true
}

// joins reports whether an outer axis of heads and an inner one of features make a whole block again: that of
// the features, if its heads are the outer axis's.
func joins(outer, inner run) bool {
	if outer.b == nil || inner.b == nil || outer.part != HeadPart || inner.part != InsidePart || outer.inner != 1 {
		return false
	}
	x, y := outer.b.find(), inner.b.find()
	return x.heads.count == y.heads.count && x.heads.group.find() == y.heads.group.find()
}

// tieParts ties the same part of two divided blocks; false where they do not fit.
func tieParts(p, q run) bool {
	x, y := p.b.find(), q.b.find()
	if x.heads.count != y.heads.count {
		return false
	}
	if p.part == HeadPart {
		uniteHeads(x, y)
		return true
	}
	if x.size != y.size || x.parts != nil || y.parts != nil {
		return false
	}
	union(x, y)
	return true
}

// fixInside reports whether one of two runs counts the features inside heads, and the other aligned positions
// of the same number: their order then is fixed, and the tie is no reason to pin.
func fixInside(p, q run) bool {
	if q.b != nil {
		p, q = q, p
	}
	if p.b == nil || p.part != InsidePart || p.positions() != q.positions() {
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
	s.Heads, s.InsideFixed = b.heads.count, b.heads.inside
	g := b.heads.group.find()
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
