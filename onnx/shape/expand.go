package shape

// expand broadcasts both ways, so a target may have ones.
func expand(c *call) ([]Value, error) {
	x := c.in(0)
	target, ok := c.sizes(1)
	if !ok || !x.HasRank {
		return typeOnly(x.DType), nil
	}
	dims, err := c.broadcastTo(x.Dims, target)
	if err != nil {
		return nil, err
	}
	v := tensor(x.DType, dims)
	v.Ints = zipInts(dims, []Value{x}, func(e []Dim) Dim { return e[0] })
	return []Value{v}, nil
}

// tile repeats each axis. Before opset 6 it had other inputs.
func tile(c *call) ([]Value, error) {
	x := c.in(0)
	repeats, ok := c.sizes(1)
	switch {
	case !x.HasRank:
		return typeOnly(x.DType), nil
	case c.opset < 6 || !ok:
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	case len(repeats) != len(x.Dims):
		return nil, c.mismatch("%d repeats for %s", len(repeats), c.show(0))
	}
	dims := make([]Dim, len(repeats))
	for i, r := range repeats {
		dims[i] = mul(x.Dims[i], r)
	}
	return tensorOf(x.DType, dims), nil
}

func depthToSpace(c *call) ([]Value, error) {
	return c.blocks(func(channels, size, b Dim) (Dim, Dim, bool) {
		depth, ok := divExact(channels, mul(b, b))
		return depth, mul(size, b), ok
	})
}

func spaceToDepth(c *call) ([]Value, error) {
	return c.blocks(func(channels, size, b Dim) (Dim, Dim, bool) {
		small, ok := divExact(size, b)
		return mul(channels, mul(b, b)), small, ok
	})
}

// blocks moves square blocks between the channels and the two spatial axes. f computes the new channels and
// one new size, and says whether they are whole numbers.
func (c *call) blocks(f func(channels, size, b Dim) (Dim, Dim, bool)) ([]Value, error) {
	x, b := c.in(0), num(c.attr("blocksize", 0))
	if known, err := c.wantRank(0, 4); !known || err != nil {
		return typeOnly(x.DType), err
	}
	if b.Size < 1 || b.Size > maxSize {
		return nil, c.mismatch("blocksize %d", b.Size)
	}
	dims := clone(x.Dims)
	for i := 2; i < 4; i++ {
		channels, size, ok := f(x.Dims[1], x.Dims[i], b)
		if !ok && x.Dims[1].Known() && x.Dims[i].Known() {
			return nil, c.mismatch("blocksize %d does not divide %s", b.Size, c.show(0))
		}
		dims[1], dims[i] = channels, size
	}
	return tensorOf(x.DType, dims), nil
}
