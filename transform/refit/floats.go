package refit

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// converted is v as a tensor of any floating type.
func converted(dtype onnx.DType, v []float32, dims []int64) *onnx.Tensor {
	if dtype == onnx.Float {
		return onnx.OverFloat32(v, slices.Clone(dims)...)
	}
	wide := make([]float64, len(v))
	for k, x := range v {
		wide[k] = float64(x)
	}
	return onnx.FromFloat64(dtype, wide, slices.Clone(dims)...)
}
