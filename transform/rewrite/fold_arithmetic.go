package rewrite

import (
	"math"

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
