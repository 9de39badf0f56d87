package onnx_test

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// The typed fields hold the same tensors as raw_data, each type in the field that the format gives it.
func TestTypedFieldsAgainstRaw(t *testing.T) {
	for _, c := range []struct {
		dtype onnx.DType
		typed *onnx.TensorProto
		raw   []byte
	}{
		{onnx.Float, &onnx.TensorProto{FloatData: []float32{1, -2}}, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}},
		{onnx.Double, &onnx.TensorProto{DoubleData: []float64{1, -2}}, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}},
		{onnx.Float16, &onnx.TensorProto{Int32Data: []int32{0x3c00, 0xc000}}, []byte{0, 0x3c, 0, 0xc0}},
		{onnx.BFloat16, &onnx.TensorProto{Int32Data: []int32{0x3f80, 0xc000}}, []byte{0x80, 0x3f, 0, 0xc0}},
		{onnx.Int8, &onnx.TensorProto{Int32Data: []int32{1, -2}}, []byte{1, 0xfe}},
		{onnx.Uint8, &onnx.TensorProto{Int32Data: []int32{1, 254}}, []byte{1, 0xfe}},
		{onnx.Int16, &onnx.TensorProto{Int32Data: []int32{1, -2}}, []byte{1, 0, 0xfe, 0xff}},
		{onnx.Uint16, &onnx.TensorProto{Int32Data: []int32{1, 65534}}, []byte{1, 0, 0xfe, 0xff}},
		{onnx.Int32, &onnx.TensorProto{Int32Data: []int32{1, -2}}, []byte{1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff}},
		{onnx.Bool, &onnx.TensorProto{Int32Data: []int32{1, 0}}, []byte{1, 0}},
		{onnx.Int64, &onnx.TensorProto{Int64Data: []int64{1, -2}}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{onnx.Uint32, &onnx.TensorProto{Uint64Data: []uint64{1, math.MaxUint32}}, []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
		{onnx.Uint64, &onnx.TensorProto{Uint64Data: []uint64{1, math.MaxUint64}}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	} {
		t.Run(c.dtype.String(), func(t *testing.T) {
			c.typed.Dims, c.typed.DataType = []int64{2}, proto.Int32(int32(c.dtype))
			typed, err := onnx.TensorOf(c.typed)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(typed.Raw, c.raw) {
				t.Errorf("got % x, want % x", typed.Raw, c.raw)
			}
			raw, err := onnx.TensorOf((&onnx.Tensor{DType: c.dtype, Dims: []int64{2}, Raw: c.raw}).Proto("x"))
			if err != nil {
				t.Fatal(err)
			}
			a, errA := typed.Float64s()
			b, errB := raw.Float64s()
			if errA != nil || errB != nil || !slices.Equal(a, b) || a[0] != 1 {
				t.Errorf("%v and %v, %v and %v", a, b, errA, errB)
			}
		})
	}
}

func TestTensorOfRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *onnx.TensorProto
		code string
	}{
		{"too little raw data", &onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{2}, RawData: []byte{1, 2, 3, 4}}, "tensor_size"},
		{"too much typed data", &onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{1}, FloatData: []float32{1, 2}}, "tensor_size"},
		{"no data", &onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{1 << 40}}, "tensor_size"},
		{"negative", &onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{-1}}, "tensor_size"},
		{"overflow", &onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{1 << 31, 1 << 31}}, "tensor_size"},
		{"strings", &onnx.TensorProto{DataType: proto.Int32(8), Dims: []int64{0}}, "tensor_type"},
		{"unknown type", &onnx.TensorProto{DataType: proto.Int32(999)}, "tensor_type"},
	} {
		_, err := onnx.TensorOf(c.p)
		if f := fault.As(err); f == nil || f.Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if x, err := onnx.TensorOf(&onnx.TensorProto{DataType: proto.Int32(1), Dims: []int64{0, 3}}); err != nil || x.Len() != 0 {
		t.Errorf("an empty tensor: %v", err)
	}
}

func TestTensorValues(t *testing.T) {
	f := onnx.FromFloat32([]float32{1, 2.5}, 2)
	if v, err := f.Float32s(); err != nil || !slices.Equal(v, []float32{1, 2.5}) {
		t.Errorf("%v, %v", v, err)
	}
	d := onnx.FromFloat64(onnx.Double, []float64{1, 2.5}, 2, 1)
	if v, err := d.Float32s(); err != nil || !slices.Equal(v, []float32{1, 2.5}) {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := f.Int64s(); err == nil {
		t.Error("floats are no integers")
	}
	i := onnx.FromInt64([]int64{math.MinInt64, math.MaxInt64}, 2)
	if v, err := i.Int64s(); err != nil || !slices.Equal(v, []int64{math.MinInt64, math.MaxInt64}) {
		t.Errorf("%v, %v", v, err)
	}
	u := &onnx.Tensor{DType: onnx.Uint64, Dims: []int64{1}, Raw: []byte{1, 0, 0, 0, 0, 0, 0, 0x40}}
	if v, err := u.Int64s(); err != nil || v[0] != 1<<62+1 {
		t.Errorf("%v, %v", v, err)
	}
	b := &onnx.Tensor{DType: onnx.Bool, Raw: []byte{1}}
	if v, err := b.Int64s(); err != nil || !slices.Equal(v, []int64{1}) {
		t.Errorf("%v, %v", v, err)
	}
	for _, short := range []onnx.DType{onnx.Float, onnx.Int64, onnx.Int8} {
		x := &onnx.Tensor{DType: short, Dims: []int64{2}, Raw: []byte{1}}
		_, errF := x.Float64s()
		_, errI := x.Int64s()
		if errF == nil || errI == nil {
			t.Errorf("%v: two elements in one byte", short)
		}
	}
	if _, err := (&onnx.Tensor{DType: onnx.String}).Float64s(); err == nil {
		t.Error("strings are no numbers")
	}
}

func TestConstructorsPanicOnWrongNumber(t *testing.T) {
	for name, f := range map[string]func(){
		"FromFloat32": func() { onnx.FromFloat32([]float32{1}, 2) },
		"FromInt64":   func() { onnx.FromInt64([]int64{1}, 2) },
		"FromFloat64": func() { onnx.FromFloat64(onnx.Int64, []float64{1}, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
}

func TestDTypes(t *testing.T) {
	if onnx.BFloat16.String() != "bfloat16" || onnx.BFloat16.Size() != 2 || !onnx.BFloat16.IsFloat() || onnx.BFloat16.IsInt() {
		t.Error("bfloat16")
	}
	if onnx.Bool.IsInt() || !onnx.Uint16.IsInt() || onnx.String.Size() != 0 || onnx.String.String() != "STRING" {
		t.Error("others")
	}
}
