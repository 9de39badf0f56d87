package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Standardised weights (NFNet, ResNetV2 of BiT): networks that scale their filters to mean zero and variance one on
// every run compute that from constants, some of them by a BatchNormalization in training mode.

// foldReduce computes sums over axes of a float constant, divided by the number of what is added up where mean.
func foldReduce(mean bool) func(*editor, *onnx.Node, []*onnx.Tensor) *onnx.Tensor {
	return func(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
		axes, given, ok := e.list(n, "axes", 1)
		if !ok && given || !in[0].DType.IsFloat() || in[0].Len() > maxArithmetic {
			return nil
		}
		if len(axes) == 0 {
			if onnx.AttrInt(n, "noop_with_empty_axes", 0) != 0 {
				return nil
			}
			axes = sequence(0, int64(len(in[0].Dims)))
		}
		sum, kept := reduce(in[0], axes)
		if sum == nil {
			return nil
		}
		if count := float64(in[0].Len()) / float64(max(len(sum), 1)); mean {
			for i := range sum {
				sum[i] /= count
			}
		}
		if onnx.AttrInt(n, "keepdims", 1) == 0 {
			var dims []int64
			for k, d := range kept {
				if !containsAxis(axes, k, len(kept)) {
					dims = append(dims, d)
				}
			}
			kept = dims
		}
		return onnx.FromFloat64(in[0].DType, sum, kept...)
	}
}

func containsAxis(axes []int64, k, rank int) bool {
	return slices.ContainsFunc(axes, func(a int64) bool { at, ok := normalAxis(a, rank); return ok && at == k })
}

// reduce adds a tensor up over axes, which stay with size 1; nil where there is nothing to add, or an axis is wrong.
func reduce(t *onnx.Tensor, axes []int64) (sum []float64, kept []int64) {
	kept = slices.Clone(t.Dims)
	for _, a := range axes {
		k, ok := normalAxis(a, len(kept))
		if !ok {
			return nil, nil
		}
		kept[k] = 1
	}
	v, err := t.Float64s()
	if err != nil || len(v) == 0 {
		return nil, nil
	}
	sum = make([]float64, product(kept))
	strides := broadcastStrides(kept, t.Dims)
	for i, x := range v {
		sum[offset(i, t.Dims, strides)] += x
	}
	return sum, kept
}

// foldBatchNorm normalises a constant by its own statistics: a BatchNormalization in training mode of which nothing but the
// normalised values is read.
func foldBatchNorm(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	if e.checkInference(n) == nil || len(in) < 3 || len(in[0].Dims) < 2 || in[0].Len() > maxArithmetic {
		return nil
	}
	x, errX := in[0].Float64s()
	gain, errG := in[1].Float64s()
	shift, errS := in[2].Float64s()
	if errX != nil || errG != nil || errS != nil || len(x) == 0 || len(gain) != int(in[0].Dims[1]) || len(shift) != len(gain) {
		return nil
	}
	inner := int(product(in[0].Dims[2:]))
	channel := func(i int) int { return i / inner % len(gain) }
	count := float64(len(x) / len(gain))
	mean, variance := make([]float64, len(gain)), make([]float64, len(gain))
	for i, v := range x {
		mean[channel(i)] += v / count
	}
	for i, v := range x {
		d := v - mean[channel(i)]
		variance[channel(i)] += d * d / count
	}
	epsilon := float64(onnx.AttrFloat(n, "epsilon", 1e-5))
	for i, v := range x {
		c := channel(i)
		x[i] = (v-mean[c])/math.Sqrt(variance[c]+epsilon)*gain[c] + shift[c]
	}
	return onnx.FromFloat64(in[0].DType, x, in[0].Dims...)
}

// foldTile repeats a constant along its axes.
func foldTile(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	dims, ok := e.sizes(n.Output[0], 0)
	if !ok || len(dims) != len(in[0].Dims) || !upTo(dims, maxExpanded) {
		return nil
	}
	t := in[0]
	for axis, d := range dims {
		if t.Dims[axis] == 0 || d%t.Dims[axis] != 0 {
			return nil
		}
		var index []int64
		for range d / t.Dims[axis] {
			index = append(index, sequence(0, t.Dims[axis])...)
		}
		t = take(t, axis, index)
	}
	return t
}
