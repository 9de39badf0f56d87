package shape

// concat joins along an axis; the other axes agree.
func concat(c *call) ([]Value, error) {
	def := int64(0)
	if c.opset < 4 {
		def = 1
	}
	rank := c.anyRank()
	if rank < 0 {
		return typeOnly(c.in(0).DType), nil
	}
	axis, err := c.axis(def, rank)
	if err != nil {
		return nil, err
	}
	dims := unknowns(rank)
	dims[axis] = num(0)
	for slot := range c.node.Input {
		v := c.in(slot)
		if !v.HasRank {
			dims[axis] = unknown
			continue
		}
		if len(v.Dims) != rank {
			return nil, c.mismatch("%s among tensors of rank %d", c.show(slot), rank)
		}
		for i, d := range v.Dims {
			if i == axis {
				dims[i] = add(dims[i], d)
			} else if dims[i], err = c.same(dims[i], d, "sizes", 0, slot); err != nil {
				return nil, err
			}
		}
	}
	v := tensor(c.in(0).DType, dims)
	v.Ints = c.concatInts()
	return []Value{v}, nil
}

// anyRank is the rank of the first input that has one, -1 if none has.
func (c *call) anyRank() int {
	for slot := range c.node.Input {
		if v := c.in(slot); v.HasRank {
			return len(v.Dims)
		}
	}
	return -1
}

// concatInts joins tracked contents. One input that is tracked makes the others worth placeholders.
func (c *call) concatInts() []Dim {
	out := []Dim{}
	tracked := false
	for slot := range c.node.Input {
		part, ok := c.sizes(slot)
		if !ok || !c.in(slot).DType.IsInt() || len(out) > maxInts {
			return nil
		}
		tracked = tracked || c.in(slot).Ints != nil
		out = append(out, part...)
	}
	if !tracked || len(c.in(0).Dims) != 1 {
		return nil
	}
	return out
}

// split cuts along an axis: by a list (an attribute before opset 13, an input from it on), else evenly; from
// opset 18 on the last part of num_outputs may be smaller.
func split(c *call) ([]Value, error) {
	x, n := c.in(0), len(c.node.Output)
	out := make([]Value, n)
	for i := range out {
		out[i].DType = x.DType
	}
	if !x.HasRank {
		return out, nil
	}
	axis, err := c.axis(0, len(x.Dims))
	if err != nil {
		return nil, err
	}
	parts, err := c.parts(x.Dims[axis], n)
	if err != nil {
		return nil, err
	}
	from := num(0)
	for i, p := range parts {
		dims := clone(x.Dims)
		dims[axis] = p
		out[i] = tensor(x.DType, dims)
		to := add(from, p)
		if ints := x.Ints; len(x.Dims) == 1 && from.Known() && to.Known() && to.Size >= from.Size && to.Size <= int64(len(ints)) {
			out[i].Ints = ints[from.Size:to.Size]
		}
		from = to
	}
	return out, nil
}

// parts is the size of each of n outputs of a split of size d.
func (c *call) parts(d Dim, n int) ([]Dim, error) {
	slot := 1
	if c.opset < 13 && c.opset != 1 {
		slot = -1
	}
	list, present, ok := c.list("split", slot)
	if !present {
		return c.evenParts(d, n)
	}
	parts := unknowns(n)
	if !ok {
		if given, tracked := c.sizes(1); tracked && len(given) == n {
			copy(parts, given)
		}
		return parts, nil
	}
	if len(list) != n {
		return nil, c.mismatch("%d parts for %d outputs", len(list), n)
	}
	sum := num(0)
	for i, p := range list {
		if p < 0 || p > maxSize {
			return nil, c.mismatch("parts %v", list)
		}
		parts[i] = num(p)
		sum = add(sum, parts[i])
	}
	if d.Known() && sum != d {
		return nil, c.mismatch("parts %v of %s", list, c.show(0))
	}
	return parts, nil
}

func (c *call) evenParts(d Dim, n int) ([]Dim, error) {
	parts := unknowns(n)
	if want := c.attr("num_outputs", int64(n)); c.opset >= 18 && want != int64(n) {
		return nil, c.mismatch("num_outputs is %d with %d outputs", want, n)
	}
	each, exact := divExact(d, num(int64(n)))
	switch {
	case exact:
		for i := range parts {
			parts[i] = each
		}
	case !d.Known() || n == 0:
	case c.opset < 18:
		return nil, c.mismatch("%s does not divide into %d parts", c.show(0), n)
	default:
		chunk := (d.Size + int64(n) - 1) / int64(n)
		for i := range parts {
			parts[i] = num(chunk)
		}
		parts[n-1] = num(max(0, d.Size-chunk*int64(n-1)))
	}
	return parts, nil
}
