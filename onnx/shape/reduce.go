package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// reduceSince is the rule of Reduce*: the axes are an attribute before opset since, an input from it on.
func reduceSince(since int64) rule {
	return func(c *call) ([]Value, error) {
		slot := -1
		if c.opset >= since {
			slot = 1
		}
		axes, present, ok := c.list("axes", slot)
		x := c.in(0)
		keep := c.attr("keepdims", 1) != 0
		switch {
		case !x.HasRank:
			return typeOnly(x.DType), nil
		case !ok:
			return c.reduceUnknown(x, slot, keep), nil
		case !present || len(axes) == 0:
			if c.attr("noop_with_empty_axes", 0) != 0 {
				return passThrough(c)
			}
			axes = upTo(len(x.Dims))
		}
		at, err := c.normals(axes, len(x.Dims))
		if err != nil {
			return nil, err
		}
		v := tensor(x.DType, reduced(x.Dims, at, keep))
		v.Ints = c.reduceInts(x)
		return []Value{v}, nil
	}
}

// reduceUnknown is a reduction over computed axes.
func (c *call) reduceUnknown(x Value, slot int, keep bool) []Value {
	if keep {
		return tensorOf(x.DType, unknowns(len(x.Dims)))
	}
	// Even an empty list has a meaning of its own, so only a positive number of axes tells the rank.
	if axes, ok := c.sizes(slot); ok && len(axes) > 0 && len(axes) <= len(x.Dims) {
		return tensorOf(x.DType, unknowns(len(x.Dims)-len(axes)))
	}
	return typeOnly(x.DType)
}

// reduced drops the axes, or leaves them with size 1.
func reduced(dims []Dim, axes []int, keep bool) []Dim {
	gone := map[int]bool{}
	for _, a := range axes {
		gone[a] = true
	}
	out := []Dim{}
	for i, d := range dims {
		switch {
		case !gone[i]:
			out = append(out, d)
		case keep:
			out = append(out, num(1))
		}
	}
	return out
}

// reduceInts folds tracked contents: the number of elements of a shape, say.
func (c *call) reduceInts(x Value) []Dim {
	if x.Ints == nil || len(x.Dims) != 1 {
		return nil
	}
	switch c.node.GetOpType() {
	case "ReduceProd":
		return []Dim{prod(x.Ints)}
	case "ReduceSum":
		sum := num(0)
		for _, d := range x.Ints {
			sum = add(sum, d)
		}
		return []Dim{sum}
	}
	return nil
}

// upTo is 0, 1, …, n-1.
func upTo(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

// argReduce is ArgMax and ArgMin.
func argReduce(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(onnx.Int64), nil
	}
	axis, err := c.axis(0, len(x.Dims))
	if err != nil {
		return nil, err
	}
	return tensorOf(onnx.Int64, reduced(x.Dims, []int{axis}, c.attr("keepdims", 1) != 0)), nil
}

// topK has k as an attribute before opset 10, as an input from it on.
func topK(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return []Value{{DType: x.DType}, {DType: onnx.Int64}}, nil
	}
	axis, err := c.axis(-1, len(x.Dims))
	if err != nil {
		return nil, err
	}
	k := c.scalar(1)
	if c.opset < 10 {
		k = num(c.attr("k", -1))
	}
	if d := x.Dims[axis]; k.Known() && d.Known() && k.Size > d.Size {
		return nil, c.mismatch("k is %d for axis %d of %s", k.Size, axis, c.show(0))
	}
	dims := clone(x.Dims)
	dims[axis] = k
	return []Value{tensor(x.DType, dims), tensor(onnx.Int64, dims)}, nil
}
