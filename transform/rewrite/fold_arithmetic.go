package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// maxArithmetic is the largest constant that is computed with, in elements: tables of position biases that a
// small network makes of coordinates (Swin V2), not whole models.
const maxArithmetic = 1 << 22

// maxMatMul bounds the multiplications of one constant product.
const maxMatMul = 1 << 28

// foldBinary computes with float constants, broadcast as ONNX does. Each result is rounded once, from float64.
func foldBinary(f func(a, b float64) float64) func(*editor, *onnx.Node, []*onnx.Tensor) *onnx.Tensor {
	return func(_ *editor, _ *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
		if len(in) != 2 || in[1] == nil || !in[0].DType.IsFloat() {
			return nil
		}
		dims, ok := broadcastDims(in[0].Dims, in[1].Dims)
		if !ok || !upTo(dims, maxArithmetic) {
			return nil
		}
		a, errA := in[0].Float64s()
		b, errB := in[1].Float64s()
		if errA != nil || errB != nil {
			return nil
		}
		atA, atB := broadcastStrides(in[0].Dims, dims), broadcastStrides(in[1].Dims, dims)
		out := make([]float64, product(dims))
		for i := range out {
			out[i] = f(a[offset(i, dims, atA)], b[offset(i, dims, atB)])
		}
		return onnx.FromFloat64(in[0].DType, out, dims...)
	}
}

// broadcastDims is the dims of an elementwise result (ONNX, multidirectional broadcasting).
func broadcastDims(a, b []int64) ([]int64, bool) {
	out := make([]int64, max(len(a), len(b)))
	for k := range out {
		x, y := int64(1), int64(1)
		if at := k - (len(out) - len(a)); at >= 0 {
			x = a[at]
		}
		if at := k - (len(out) - len(b)); at >= 0 {
			y = b[at]
		}
		switch {
		case x == y || y == 1:
			out[k] = x
		case x == 1:
			out[k] = y
		default:
			return nil, false
		}
	}
	return out, true
}

// broadcastStrides is how far a step along each axis of the result moves in an operand: 0 where it is spread.
func broadcastStrides(dims, result []int64) []int {
	out := make([]int, len(result))
	step := 1
	for k := len(dims) - 1; k >= 0; k-- {
		if dims[k] != 1 {
			out[k+len(result)-len(dims)] = step
		}
		step *= int(dims[k])
	}
	return out
}

// offset is where an operand has what element i of the result is computed from.
func offset(i int, dims []int64, strides []int) int {
	at := 0
	for k := len(dims) - 1; k >= 0; k-- {
		at += i % int(dims[k]) * strides[k]
		i /= int(dims[k])
	}
	return at
}

func foldUnary(f func(float64) float64) func(*editor, *onnx.Node, []*onnx.Tensor) *onnx.Tensor {
	return func(_ *editor, _ *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
		if !in[0].DType.IsFloat() || in[0].Len() > maxArithmetic {
			return nil
		}
		v, err := in[0].Float64s()
		if err != nil {
			return nil
		}
		for i := range v {
			v[i] = f(v[i])
		}
		return onnx.FromFloat64(in[0].DType, v, in[0].Dims...)
	}
}

// foldMatMul multiplies a stack of rows by a matrix, in float64.
func foldMatMul(_ *editor, _ *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	if len(in) != 2 || in[1] == nil || !in[0].DType.IsFloat() || len(in[0].Dims) < 2 || len(in[1].Dims) != 2 {
		return nil
	}
	inner, cols := int(in[1].Dims[0]), int(in[1].Dims[1])
	dims := append(append([]int64{}, in[0].Dims[:len(in[0].Dims)-1]...), int64(cols))
	if int(in[0].Dims[len(dims)-1]) != inner || !upTo(dims, maxArithmetic) || product(dims)*int64(max(inner, 1)) > maxMatMul {
		return nil
	}
	a, errA := in[0].Float64s()
	b, errB := in[1].Float64s()
	if errA != nil || errB != nil {
		return nil
	}
	out := make([]float64, product(dims))
	for i := range out {
		row, col := i/max(cols, 1), i%max(cols, 1)
		for k := range inner {
			out[i] += a[row*inner+k] * b[k*cols+col]
		}
	}
	return onnx.FromFloat64(in[0].DType, out, dims...)
}

// foldClip: bounds are inputs since opset 11; learned scales are clipped so (Swin V2).
func foldClip(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	low, high := math.Inf(-1), math.Inf(1)
	if e.opset() < 11 {
		low, high = float64(onnx.AttrFloat(n, "min", -math.MaxFloat32)), float64(onnx.AttrFloat(n, "max", math.MaxFloat32))
	}
	for slot, bound := range map[int]*float64{1: &low, 2: &high} {
		if slot >= len(in) || in[slot] == nil {
			continue
		}
		v, err := in[slot].Float64s()
		if err != nil || len(v) != 1 {
			return nil
		}
		*bound = v[0]
	}
	return foldUnary(func(a float64) float64 { return math.Min(math.Max(a, low), high) })(e, n, in)
}

// foldScatterND writes constant updates into constant data: Swin V2 so sets the bias of its keys to zero. Indices are
// [..., k] and name entries of the first k axes.
func foldScatterND(_ *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	if len(in) != 3 || in[1] == nil || in[2] == nil || len(in[1].Dims) == 0 || onnx.AttrString(n, "reduction", "none") != "none" {
		return nil
	}
	data, updates, dims := in[0], in[2], in[0].Dims
	index, err := in[1].Int64s()
	k := in[1].Dims[len(in[1].Dims)-1]
	if err != nil || k < 1 || k > int64(len(dims)) || updates.DType != data.DType {
		return nil
	}
	block := int(product(dims[k:])) * data.DType.Size()
	if block == 0 || len(updates.Raw) != len(index)/int(k)*block {
		return nil
	}
	out := slices.Clone(data.Raw)
	for i := 0; i*int(k) < len(index); i++ {
		at := int64(0)
		for axis, x := range index[i*int(k) : (i+1)*int(k)] {
			if x < 0 {
				x += dims[axis]
			}
			if x < 0 || x >= dims[axis] {
				return nil
			}
			at = at*dims[axis] + x
		}
		copy(out[int(at)*block:], updates.Raw[i*block:(i+1)*block])
	}
	return &onnx.Tensor{DType: data.DType, Dims: dims, Raw: out}
}

func relu(a float64) float64    { return math.Max(a, 0) }
func sigmoid(a float64) float64 { return 1 / (1 + math.Exp(-a)) }

// sign is -1, 0 or 1.
func sign(a float64) float64 {
	switch {
	case a > 0:
		return 1
	case a < 0:
		return -1
	}
	return a
}
