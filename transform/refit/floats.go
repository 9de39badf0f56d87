package refit

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// littleEndian machines hold numbers as tensors do, so that these need no conversion.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// float32s returns a tensor's elements, where possible in place: writing to them then changes t.
func float32s(t *onnx.Tensor) (v []float32, inPlace bool, err error) {
	if v, ok := view[float32](t, onnx.Float); ok {
		return v, true, nil
	}
	v, err = t.Float32s()
	return v, false, err
}

// float64s is float32s for float64.
func float64s(t *onnx.Tensor) ([]float64, error) {
	if v, ok := view[float64](t, onnx.Double); ok {
		return v, nil
	}
	return t.Float64s()
}

func view[T float32 | float64](t *onnx.Tensor, dtype onnx.DType) ([]T, bool) {
	size := int(unsafe.Sizeof(T(0)))
	n := t.Len()
	if !littleEndian || t.DType != dtype || len(t.Raw) != n*size || n == 0 {
		return nil, false
	}
	p := unsafe.Pointer(&t.Raw[0])
	if uintptr(p)%uintptr(size) != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(p), n), true
}

// tensor32 makes a tensor of v, where possible without a copy.
func tensor32(v []float32, dims ...int64) *onnx.Tensor {
	if !littleEndian || len(v) == 0 {
		return onnx.FromFloat32(v, dims...)
	}
	return &onnx.Tensor{DType: onnx.Float, Dims: dims, Raw: unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))}
}

// tensor64 is tensor32 for float64.
func tensor64(v []float64, dims ...int64) *onnx.Tensor {
	if !littleEndian || len(v) == 0 {
		return onnx.FromFloat64(onnx.Double, v, dims...)
	}
	return &onnx.Tensor{DType: onnx.Double, Dims: dims, Raw: unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 8*len(v))}
}

// converted is v as a tensor of any floating type.
func converted(dtype onnx.DType, v []float32, dims []int64) *onnx.Tensor {
	if dtype == onnx.Float {
		return tensor32(v, slices.Clone(dims)...)
	}
	wide := make([]float64, len(v))
	for k, x := range v {
		wide[k] = float64(x)
	}
	return onnx.FromFloat64(dtype, wide, slices.Clone(dims)...)
}
