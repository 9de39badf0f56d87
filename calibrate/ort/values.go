//go:build cgo

package ort

import (
	"reflect"
	"runtime"
	"slices"
	"unsafe"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

// arguments are the inputs of one run, in the library's hands.
type arguments struct {
	values []ort.Value
	pins   runtime.Pinner // the library keeps pointers into the callers' tensors until release
}

// newArguments hands the feeds over without copying them. They must be checked already.
func newArguments(p *prepared, feeds map[string]*onnx.Tensor) (*arguments, error) {
	a := &arguments{}
	for _, in := range p.inputs {
		t := feeds[in.name]
		dims := t.Dims
		if in.lead {
			dims = []int64{1}
		}
		if err := a.add(in.dtype, dims, t.Raw); err != nil {
			a.release()
			return nil, fault.Wrap(fault.Runtime, "runtime_failed", err, "the input cannot be passed on").AtValue(in.name)
		}
	}
	if p.dummy != "" {
		if err := a.add(onnx.Float, []int64{1}, make([]byte, 4)); err != nil {
			a.release()
			return nil, fault.Wrap(fault.Runtime, "runtime_failed", err, "no input can be made")
		}
	}
	return a, nil
}

func (a *arguments) add(dtype onnx.DType, dims []int64, raw []byte) error {
	switch {
	case len(raw) == 0:
		raw = make([]byte, dtype.Size()) // the binding wants an address, the library reads nothing
	case uintptr(unsafe.Pointer(&raw[0]))%uintptr(dtype.Size()) != 0:
		// A part of some file's bytes: kernels may load whole elements.
		aligned := make([]uint64, len(raw)/8+1)
		copied := bytesOf(aligned)[:len(raw)]
		copy(copied, raw)
		raw = copied
	}
	a.pins.Pin(&raw[0])
	v, err := ort.NewCustomDataTensor(ort.NewShape(dims...), raw, ort.TensorElementDataType(dtype))
	if err != nil {
		return err
	}
	a.values = append(a.values, v)
	return nil
}

func (a *arguments) release() {
	destroy(a.values)
	a.pins.Unpin()
}

// destroy frees values. After an error the binding leaves nil pointers of various types among them.
func destroy(values []ort.Value) {
	for _, v := range values {
		if v != nil && !reflect.ValueOf(v).IsNil() {
			v.Destroy()
		}
	}
}

// tensorOf takes an output's data over: the binding has copied it into Go's memory.
func tensorOf(v ort.Value, out port) (*onnx.Tensor, error) {
	dtype, raw := contents(v)
	if dtype == onnx.Undefined {
		return nil, fault.New(fault.Unsupported, "unsupported_type", "the output's type cannot be read").AtValue(out.name)
	}
	t := &onnx.Tensor{DType: dtype, Dims: slices.Clone([]int64(v.GetShape())), Raw: raw}
	if out.lead {
		t.Dims = t.Dims[1:]
	}
	if out.dtype != dtype && out.dtype.IsFloat() { // was cast up; see prepare
		wide, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		t = onnx.FromFloat64(out.dtype, wide, t.Dims...)
	}
	return t, nil
}

// contents returns a value's elements as bytes. The bytes stay valid after the value is destroyed.
func contents(v ort.Value) (onnx.DType, []byte) {
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		return onnx.Float, bytesOf(v.GetData())
	case *ort.Tensor[float64]:
		return onnx.Double, bytesOf(v.GetData())
	case *ort.Tensor[int8]:
		return onnx.Int8, bytesOf(v.GetData())
	case *ort.Tensor[int16]:
		return onnx.Int16, bytesOf(v.GetData())
	case *ort.Tensor[int32]:
		return onnx.Int32, bytesOf(v.GetData())
	case *ort.Tensor[int64]:
		return onnx.Int64, bytesOf(v.GetData())
	case *ort.Tensor[uint8]:
		return onnx.Uint8, bytesOf(v.GetData())
	case *ort.Tensor[uint16]:
		return onnx.Uint16, bytesOf(v.GetData())
	case *ort.Tensor[uint32]:
		return onnx.Uint32, bytesOf(v.GetData())
	case *ort.Tensor[uint64]:
		return onnx.Uint64, bytesOf(v.GetData())
	case *ort.Tensor[bool]:
		return onnx.Bool, bytesOf(v.GetData())
	}
	return onnx.Undefined, nil
}

// bytesOf views numbers as bytes. Every machine that ONNX Runtime is built for is little-endian, as
// onnx.Tensor is.
func bytesOf[T any](data []T) []byte {
	if len(data) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&data[0])), len(data)*int(unsafe.Sizeof(data[0])))
}
