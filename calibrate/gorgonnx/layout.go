package gorgonnx

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// The operators of this file change shapes or move elements. There is nothing to check a second engine
// against, so onnx-go is not asked: several of them it does not have, others it gets wrong.

func identity(c *call) (*onnx.Tensor, error) { return c.in[0], nil }

// dropout passes its input through, as it does outside training.
func dropout(c *call) (*onnx.Tensor, error) {
	if mode := c.input(2); mode != nil && slices.Max(append(slices.Clone(mode.Raw), 0)) > 0 {
		return nil, unsupported("this engine does not have Dropout in training")
	}
	return c.in[0], nil
}

func constant(c *call) (*onnx.Tensor, error) {
	p := onnx.AttrTensor(c.node, "value")
	if p == nil {
		return nil, fmt.Errorf("a Constant without value")
	}
	return onnx.TensorOf(p)
}

func shape(c *call) (*onnx.Tensor, error) {
	dims := c.in[0].Dims
	return onnx.FromInt64(dims, int64(len(dims))), nil
}

// reshape copies a size for 0 and finds the one that is -1.
func reshape(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	want, err := c.in[1].Int64s()
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("Reshape of %v to %v", x.Dims, want)
	dims := slices.Clone(want)
	known, open := int64(1), -1
	for i, d := range dims {
		switch {
		case d == 0 && onnx.AttrInt(c.node, "allowzero", 0) == 0:
			if i >= len(x.Dims) {
				return nil, bad
			}
			dims[i] = x.Dims[i]
		case d == -1 && open < 0:
			open = i
			continue
		case d < 0:
			return nil, bad
		}
		known *= dims[i]
	}
	n := int64(x.Len())
	if open >= 0 {
		if known == 0 || n%known != 0 {
			return nil, bad
		}
		dims[open] = n / known
		known = n
	}
	if known != n {
		return nil, bad
	}
	return withDims(x, dims...), nil
}

func flatten(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	axis, err := c.axis(1, len(x.Dims), true)
	if err != nil {
		return nil, err
	}
	return withDims(x, count(x.Dims[:axis]), count(x.Dims[axis:])), nil
}

// squeeze removes the axes named, or all of size 1.
func squeeze(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	axes, err := c.parameter("axes", 1)
	if err != nil {
		return nil, err
	}
	drop := make([]bool, len(x.Dims))
	for _, a := range axes {
		axis, err := fromFront(a, len(x.Dims), false)
		if err != nil {
			return nil, err
		}
		drop[axis] = true
	}
	var dims []int64
	for i, d := range x.Dims {
		switch {
		case !drop[i] && (len(axes) > 0 || d != 1):
			dims = append(dims, d)
		case d != 1:
			return nil, fmt.Errorf("Squeeze of axis %d of %v", i, x.Dims)
		}
	}
	return withDims(x, dims...), nil
}

// unsqueeze inserts axes of size 1; they count in the result.
func unsqueeze(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	axes, err := c.parameter("axes", 1)
	if err != nil {
		return nil, err
	}
	dims := make([]int64, len(x.Dims)+len(axes))
	for _, a := range axes {
		axis, err := fromFront(a, len(dims), false)
		if err != nil || dims[axis] != 0 {
			return nil, fmt.Errorf("Unsqueeze of %v by the axes %v", x.Dims, axes)
		}
		dims[axis] = 1
	}
	next := 0
	for i := range dims {
		if dims[i] == 0 {
			dims[i] = x.Dims[next]
			next++
		}
	}
	return withDims(x, dims...), nil
}

func transposeNode(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	perm := onnx.AttrInts(c.node, "perm")
	if perm == nil {
		for axis := len(x.Dims) - 1; axis >= 0; axis-- {
			perm = append(perm, int64(axis))
		}
	}
	for i, axis := range slices.Sorted(slices.Values(perm)) {
		if int64(i) != axis || len(perm) != len(x.Dims) {
			return nil, fmt.Errorf("Transpose of %v by %v", x.Dims, perm)
		}
	}
	return transpose(x, perm), nil
}

func concatNode(c *call) (*onnx.Tensor, error) {
	axis, err := c.axis(0, len(c.in[0].Dims), false)
	if err != nil {
		return nil, err
	}
	return concat(c.in, axis)
}

func gather(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	axis, err := c.axis(0, len(x.Dims), false)
	if err != nil {
		return nil, err
	}
	index, err := c.in[1].Int64s()
	if err != nil {
		return nil, err
	}
	for i, at := range index {
		front, err := fromFront(at, int(x.Dims[axis]), false)
		if err != nil {
			return nil, fmt.Errorf("Gather of index %d of %d", at, x.Dims[axis])
		}
		index[i] = int64(front)
	}
	return withDims(take(x, axis, index), slices.Concat(x.Dims[:axis], c.in[1].Dims, x.Dims[axis+1:])...), nil
}

// slice takes from starts to ends by steps along each of axes.
func slice(c *call) (*onnx.Tensor, error) {
	var p [4][]int64 // starts, ends, axes, steps
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if p[i], err = c.parameter(name, i+1); err != nil {
			return nil, err
		}
	}
	x, starts, ends, axes, steps := c.in[0], p[0], p[1], p[2], p[3]
	if len(starts) != len(ends) || axes != nil && len(axes) != len(starts) || steps != nil && len(steps) != len(starts) {
		return nil, fmt.Errorf("Slice with starts %v, ends %v, axes %v, steps %v", starts, ends, axes, steps)
	}
	for i := range starts {
		a, step := int64(i), int64(1)
		if axes != nil {
			a = axes[i]
		}
		if steps != nil {
			step = steps[i]
		}
		axis, err := fromFront(a, len(x.Dims), false)
		if err != nil || step == 0 {
			return nil, fmt.Errorf("Slice of axis %d of %v by step %d", a, x.Dims, step)
		}
		x = take(x, axis, sliced(starts[i], ends[i], step, x.Dims[axis]))
	}
	return x, nil
}

// sliced lists the indices of start:end:step in [0, size), as in Python.
func sliced(start, end, step, size int64) []int64 {
	low, high := int64(0), size // what start and end are held to
	if step < 0 {
		low, high = -1, size-1
	}
	if start < 0 {
		start += size
	}
	if end < 0 {
		end += size
	}
	var index []int64
	start, end = min(max(start, low), high), min(max(end, low), high)
	for i := start; step > 0 && i < end || step < 0 && i > end; i += step {
		index = append(index, i)
		if step > size || step < -size {
			break // one more step would leave the axis, or overflow
		}
	}
	return index
}
