package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// The functions of this file compute new tensors from constant ones and never write to their arguments.

// normalAxis counts an axis from the front. ok is false where there is no such axis.
func normalAxis(axis int64, rank int) (int, bool) {
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), axis >= 0 && axis < int64(rank)
}

// transpose reorders the axes: axis i of the result is axis perm[i] of t. Nil for a perm that is none.
func transpose(t *onnx.Tensor, perm []int64) *onnx.Tensor {
	rank := len(t.Dims)
	if sorted := slices.Sorted(slices.Values(perm)); !slices.Equal(sorted, sequence(0, int64(rank))) {
		return nil
	}
	strides := make([]int, rank) // of t, in elements, by axis of the result
	dims := make([]int64, rank)
	for i, p := range perm {
		dims[i] = t.Dims[p]
		strides[i] = int(product(t.Dims[p+1:]))
	}
	out := onnx.NewTensor(t.DType, dims...)
	size, from := t.DType.Size(), 0
	index := make([]int64, rank)
	for to := 0; to < len(out.Raw); to += size {
		copy(out.Raw[to:to+size], t.Raw[from*size:])
		for axis := rank - 1; axis >= 0; axis-- {
			index[axis]++
			from += strides[axis]
			if index[axis] < dims[axis] {
				break
			}
			from -= strides[axis] * int(dims[axis])
			index[axis] = 0
		}
	}
	return out
}

// take picks entries of one axis, by indices that must be valid.
func take(t *onnx.Tensor, axis int, indices []int64) *onnx.Tensor {
	dims := slices.Clone(t.Dims)
	dims[axis] = int64(len(indices))
	out := onnx.NewTensor(t.DType, dims...)
	block := int(product(t.Dims[axis+1:])) * t.DType.Size()
	to := 0
	for outer := range int(product(t.Dims[:axis])) {
		base := outer * int(t.Dims[axis])
		for _, i := range indices {
			from := (base + int(i)) * block
			to += copy(out.Raw[to:], t.Raw[from:from+block])
		}
	}
	return out
}

// concat joins tensors of one type that agree in all other axes; nil where they do not.
func concat(in []*onnx.Tensor, axis int) *onnx.Tensor {
	dims := slices.Clone(in[0].Dims)
	dims[axis] = 0
	for _, t := range in {
		if t == nil || t.DType != in[0].DType || len(t.Dims) != len(dims) {
			return nil
		}
		for i, d := range t.Dims {
			if i != axis && d != dims[i] {
				return nil
			}
		}
		dims[axis] += t.Dims[axis]
	}
	out := onnx.NewTensor(in[0].DType, dims...)
	to := 0
	for outer := range int(product(dims[:axis])) {
		for _, t := range in {
			block := int(product(t.Dims[axis:])) * t.DType.Size()
			to += copy(out.Raw[to:], t.Raw[outer*block:(outer+1)*block])
		}
	}
	return out
}

// sliceIndices lists what Slice picks of an axis: bounds are clamped, negative ones count from the end.
func sliceIndices(size, start, end, step int64) []int64 {
	clamp := func(x, low, high int64) int64 {
		if x < 0 {
			x += size
		}
		return min(max(x, low), high)
	}
	step = min(max(step, -size-1), size+1) // a larger one would overflow
	var out []int64
	if step > 0 {
		for i, end := clamp(start, 0, size), clamp(end, 0, size); i < end; i += step {
			out = append(out, i)
		}
		return out
	}
	for i, end := clamp(start, 0, size-1), clamp(end, -1, size-1); i > end; i += step {
		out = append(out, i)
	}
	return out
}

// convert casts to another type; nil where a number does not fit or the type cannot be computed with.
func convert(t *onnx.Tensor, to onnx.DType) *onnx.Tensor {
	v, err := t.Float64s()
	switch {
	case err != nil:
		return nil
	case to.IsFloat():
		return onnx.FromFloat64(to, v, t.Dims...)
	case !t.DType.IsFloat() && t.DType.Size() > 0:
		ints, err := t.Int64s()
		if err != nil {
			return nil
		}
		return fromInts(to, ints, t.Dims)
	}
	ints := make([]int64, len(v))
	for i, x := range v {
		if ints[i] = int64(x); math.Abs(x) >= 1<<53 || math.IsNaN(x) {
			return nil
		}
		if to == onnx.Bool && x != 0 {
			ints[i] = 1 // truncation would make it false
		}
	}
	return fromInts(to, ints, t.Dims)
}

// fromInts makes a tensor of an integer or bool type; nil where a number does not fit.
func fromInts(to onnx.DType, v []int64, dims []int64) *onnx.Tensor {
	if !to.IsInt() && to != onnx.Bool {
		return nil
	}
	out := onnx.NewTensor(to, dims...)
	size := to.Size()
	for i, x := range v {
		if to == onnx.Bool && x != 0 {
			x = 1
		}
		for b := range size {
			out.Raw[i*size+b] = byte(x >> (8 * b))
		}
	}
	back, err := out.Int64s()
	if err != nil || to != onnx.Bool && !slices.Equal(back, v) {
		return nil
	}
	return out
}

// finite reports whether all numbers are.
func finite(v []float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}
