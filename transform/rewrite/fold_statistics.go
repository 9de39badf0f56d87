package rewrite

import (
	"math"

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
		kept, dims, ok := reducedDims(in[0].Dims, axes)
		v, err := in[0].Float64s()
		if !ok || err != nil || len(v) == 0 {
			return nil
		}
		sum, strides := make([]float64, product(kept)), broadcastStrides(kept, in[0].Dims)
		for i, x := range v {
			sum[offset(i, in[0].Dims, strides)] += x
		}
		if count := float64(len(v)) / float64(len(sum)); mean {
			for i := range sum {
				sum[i] /= count
			}
		}
		if onnx.AttrInt(n, "keepdims", 1) != 0 {
			dims = kept
		}
		return onnx.FromFloat64(in[0].DType, sum, dims...)
	}
}

// reducedDims is what a reduction over axes leaves: with axes of size 1 in their place, and without them.
func reducedDims(dims, axes []int64) (kept, without []int64, ok bool) {
	reduced := make([]bool, len(dims))
	for _, a := range axes {
		k, ok := normalAxis(a, len(dims))
		if !ok {
			return nil, nil, false
		}
		reduced[k] = true
	}
	for k, d := range dims {
		if reduced[k] {
			kept = append(kept, 1)
			continue
		}
		kept, without = append(kept, d), append(without, d)
	}
	return kept, without, true
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
