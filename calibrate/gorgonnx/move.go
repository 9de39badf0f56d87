package gorgonnx

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// The functions of this file move elements of any type and compute nothing.

// withDims is t under another shape of as many elements. It shares t's elements.
func withDims(t *onnx.Tensor, dims ...int64) *onnx.Tensor {
	return &onnx.Tensor{DType: t.DType, Dims: dims, Raw: t.Raw}
}

// take picks indices along an axis, in their order; they are in range.
func take(t *onnx.Tensor, axis int, index []int64) *onnx.Tensor {
	dims := slices.Clone(t.Dims)
	dims[axis] = int64(len(index))
	block := count(t.Dims[axis+1:]) * int64(t.DType.Size())
	out := &onnx.Tensor{DType: t.DType, Dims: dims, Raw: make([]byte, 0, count(dims)*int64(t.DType.Size()))}
	for outer := range count(t.Dims[:axis]) {
		for _, i := range index {
			start := (outer*t.Dims[axis] + i) * block
			out.Raw = append(out.Raw, t.Raw[start:start+block]...)
		}
	}
	return out
}

// broadcast is the common shape of two, as in NumPy.
func broadcast(a, b []int64) ([]int64, error) {
	dims := make([]int64, max(len(a), len(b)))
	size := func(s []int64, i int) int64 {
		if i -= len(dims) - len(s); i < 0 {
			return 1
		}
		return s[i]
	}
	for i := range dims {
		x, y := size(a, i), size(b, i)
		if x != y && x != 1 && y != 1 {
			return nil, fmt.Errorf("the shapes %v and %v do not go together", a, b)
		}
		if dims[i] = x; x == 1 {
			dims[i] = y
		}
	}
	return dims, nil
}

// expand repeats axes of size 1 until t has the shape dims, with which it broadcasts.
func expand(t *onnx.Tensor, dims []int64) *onnx.Tensor {
	full := slices.Repeat([]int64{1}, len(dims))
	copy(full[len(dims)-len(t.Dims):], t.Dims)
	t = withDims(t, full...)
	for axis, size := range dims {
		if full[axis] != size {
			t = take(t, axis, make([]int64, size))
		}
	}
	return t
}

// concat joins tensors along an axis.
func concat(parts []*onnx.Tensor, axis int) (*onnx.Tensor, error) {
	first := parts[0]
	out := &onnx.Tensor{DType: first.DType, Dims: slices.Clone(first.Dims)}
	out.Dims[axis] = 0
	for _, p := range parts {
		same := p != nil && p.DType == first.DType && len(p.Dims) == len(first.Dims)
		if !same || !slices.Equal(p.Dims[:axis], first.Dims[:axis]) || !slices.Equal(p.Dims[axis+1:], first.Dims[axis+1:]) {
			return nil, fmt.Errorf("Concat of different types or shapes")
		}
		out.Dims[axis] += p.Dims[axis]
	}
	outer := int(count(first.Dims[:axis]))
	for i := range outer {
		for _, p := range parts {
			block := len(p.Raw) / outer
			out.Raw = append(out.Raw, p.Raw[i*block:(i+1)*block]...)
		}
	}
	return out, nil
}

// transpose makes axis i of the result from axis perm[i]; perm is a permutation.
func transpose(t *onnx.Tensor, perm []int64) *onnx.Tensor {
	rank, size := len(perm), t.DType.Size()
	strides := make([]int64, rank) // of t, in elements
	for i, n := rank-1, int64(1); i >= 0; i-- {
		strides[i] = n
		n *= t.Dims[i]
	}
	out := onnx.NewTensor(t.DType, make([]int64, rank)...)
	for i, axis := range perm {
		out.Dims[i] = t.Dims[axis]
	}
	out.Raw = make([]byte, 0, len(t.Raw))
	index := make([]int64, rank)
	for range t.Len() {
		from := int64(0)
		for i, axis := range perm {
			from += index[i] * strides[axis]
		}
		out.Raw = append(out.Raw, t.Raw[from*int64(size):(from+1)*int64(size)]...)
		for i := rank - 1; i >= 0; i-- { // the next index, last axis fastest
			if index[i]++; index[i] < out.Dims[i] {
				break
			}
			index[i] = 0
		}
	}
	return out
}
