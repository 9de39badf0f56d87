package shape

// axesInput is the axes of Squeeze and Unsqueeze: an attribute before opset 13, an input from it on.
func (c *call) axesInput() (axes []int64, present, ok bool) {
	if c.opset < 13 {
		return c.list("axes", -1)
	}
	return c.list("axes", 1)
}

func squeeze(c *call) ([]Value, error) {
	x := c.in(0)
	axes, present, ok := c.axesInput()
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	if !ok {
		if n, known := c.sizes(1); known && len(n) <= len(x.Dims) {
			return tensorOf(x.DType, unknowns(len(x.Dims)-len(n))), nil
		}
		return typeOnly(x.DType), nil
	}
	if !present {
		return c.squeezeAll(x), nil
	}
	at, err := c.normals(axes, len(x.Dims))
	if err != nil {
		return nil, err
	}
	for _, a := range at {
		if d := x.Dims[a]; d.Known() && d.Size != 1 {
			return nil, c.mismatch("axis %d of %s is not 1", a, c.show(0))
		}
	}
	v := tensor(x.DType, reduced(x.Dims, at, false))
	v.Ints = x.Ints
	return []Value{v}, nil
}

// squeezeAll drops every axis of size 1; the rank is unknown where a size is.
func (c *call) squeezeAll(x Value) []Value {
	var ones []int
	for i, d := range x.Dims {
		if !d.Known() {
			return typeOnly(x.DType)
		}
		if d.Is(1) {
			ones = append(ones, i)
		}
	}
	v := tensor(x.DType, reduced(x.Dims, ones, false))
	v.Ints = x.Ints
	return []Value{v}
}

// unsqueeze: the axes count in the output.
func unsqueeze(c *call) ([]Value, error) {
	x := c.in(0)
	axes, _, ok := c.axesInput()
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	if !ok {
		if n, known := c.sizes(1); known {
			return tensorOf(x.DType, unknowns(len(x.Dims)+len(n))), nil
		}
		return typeOnly(x.DType), nil
	}
	rank := len(x.Dims) + len(axes)
	at, err := c.normals(axes, rank)
	if err != nil {
		return nil, err
	}
	dims := make([]Dim, rank)
	for _, a := range at {
		dims[a] = num(1)
	}
	next := 0
	for i := range dims {
		if dims[i] == (Dim{}) {
			dims[i] = x.Dims[next]
			next++
		}
	}
	v := tensor(x.DType, dims)
	v.Ints = x.Ints // Infer drops them where the rank is above 1
	return []Value{v}, nil
}
