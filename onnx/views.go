package onnx

import (
	"encoding/binary"
	"unsafe"
)

// littleEndian machines hold numbers as tensors do, so that these need no conversion.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// ViewFloat32s is Float32s, where possible in place: writing to them then changes t.
func (t *Tensor) ViewFloat32s() (v []float32, inPlace bool, err error) {
	if v, ok := view[float32](t, Float); ok {
		return v, true, nil
	}
	v, err = t.Float32s()
	return v, false, err
}

// ViewFloat64s is Float64s, where possible in place, for elements that nobody else has.
func (t *Tensor) ViewFloat64s() ([]float64, error) {
	if v, ok := view[float64](t, Double); ok {
		return v, nil
	}
	return t.Float64s()
}

func view[T float32 | float64](t *Tensor, dtype DType) ([]T, bool) {
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

// OverFloat32 is FromFloat32, where possible in the same memory as v.
func OverFloat32(v []float32, dims ...int64) *Tensor {
	if !littleEndian || len(v) == 0 {
		return FromFloat32(v, dims...)
	}
	t := &Tensor{DType: Float, Dims: dims, Raw: unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))}
	mustFit(len(v), t)
	return t
}

// OverFloat64 is OverFloat32 for float64.
func OverFloat64(v []float64, dims ...int64) *Tensor {
	if !littleEndian || len(v) == 0 {
		return FromFloat64(Double, v, dims...)
	}
	t := &Tensor{DType: Double, Dims: dims, Raw: unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 8*len(v))}
	mustFit(len(v), t)
	return t
}
