package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// gather replaces one axis of the data by the axes of the indices.
func gather(c *call) ([]Value, error) {
	data, idx := c.in(0), c.in(1)
	if !data.HasRank || !idx.HasRank {
		return typeOnly(data.DType), nil
	}
	axis, err := c.axis(0, len(data.Dims))
	if err != nil {
		return nil, err
	}
	v := tensor(data.DType, cat(data.Dims[:axis], idx.Dims, data.Dims[axis+1:]))
	if d := data.Dims[axis]; d.Known() {
		for _, i := range idx.Ints {
			if i.Known() && (i.Size < -d.Size || i.Size >= d.Size) {
				return nil, c.mismatch("index %d of axis %d of %s", i.Size, axis, c.show(0))
			}
		}
	}
	if len(data.Dims) == 1 && data.Ints != nil && idx.Ints != nil {
		v.Ints = gatherInts(data.Ints, idx.Ints)
	}
	return []Value{v}, nil
}

// gatherInts picks tracked entries; the indices are known to be in range where they are numbers.
func gatherInts(data, idx []Dim) []Dim {
	out := make([]Dim, len(idx))
	for i, d := range idx {
		at := d.Size
		if at < 0 {
			at += int64(len(data))
		}
		out[i] = unknown
		if d.Known() && at >= 0 && at < int64(len(data)) {
			out[i] = data[at]
		}
	}
	return out
}

// likeIndices is GatherElements: the dims of the indices, the type of the data.
func likeIndices(c *call) ([]Value, error) {
	v := c.in(1)
	return []Value{{DType: c.in(0).DType, Dims: v.Dims, HasRank: v.HasRank}}, nil
}

// gatherND: the last axis of the indices addresses the data's axes after the batch axes.
func gatherND(c *call) ([]Value, error) {
	data, idx := c.in(0), c.in(1)
	if !data.HasRank || len(idx.Dims) == 0 {
		return typeOnly(data.DType), nil
	}
	batch, last := c.attr("batch_dims", 0), idx.Dims[len(idx.Dims)-1]
	rank := int64(len(data.Dims))
	if !last.Known() {
		return typeOnly(data.DType), nil
	}
	if batch < 0 || batch >= rank || last.Size < 1 || last.Size > rank-batch {
		return nil, c.mismatch("%s at %s with %d batch axes", c.show(0), c.show(1), batch)
	}
	return tensorOf(data.DType, cat(idx.Dims[:len(idx.Dims)-1], data.Dims[batch+last.Size:])), nil
}

// oneHot inserts an axis of depth entries.
func oneHot(c *call) ([]Value, error) {
	idx, dtype := c.in(0), c.in(2).DType
	if !idx.HasRank {
		return typeOnly(dtype), nil
	}
	axis, err := c.axis(-1, len(idx.Dims)+1)
	if err != nil {
		return nil, err
	}
	return tensorOf(dtype, cat(idx.Dims[:axis], []Dim{c.scalar(1)}, idx.Dims[axis:])), nil
}

// nonZero lists the coordinates of as many elements as are not zero.
func nonZero(c *call) ([]Value, error) {
	dims := unknowns(2)
	if x := c.in(0); x.HasRank {
		dims[0] = num(int64(len(x.Dims)))
	}
	return tensorOf(onnx.Int64, dims), nil
}

// nonMaxSuppression lists as many boxes (batch, class, box) as survive.
func nonMaxSuppression(*call) ([]Value, error) {
	return tensorOf(onnx.Int64, []Dim{unknown, num(3)}), nil
}
