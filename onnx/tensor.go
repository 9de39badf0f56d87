package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"google.golang.org/protobuf/proto"
)

// Tensor is a dense tensor in host memory: its elements lie in Raw, row-major, little-endian, as in
// TensorProto.raw_data. Its zero value is an empty tensor of no type.
type Tensor struct {
	DType DType
	Dims  []int64
	Raw   []byte
}

// Len is the number of elements: the product of the dims, 1 for a scalar.
func (t *Tensor) Len() int { return int(product(t.Dims)) }

func product(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// NewTensor allocates a tensor of zeros.
func NewTensor(dtype DType, dims ...int64) *Tensor {
	t := &Tensor{DType: dtype, Dims: dims}
	t.Raw = make([]byte, t.Len()*dtype.Size())
	return t
}

// FromFloat32 makes a float32 tensor. It panics where the number of values is not the product of dims.
func FromFloat32(v []float32, dims ...int64) *Tensor {
	t := NewTensor(Float, dims...)
	mustFit(len(v), t)
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Raw[4*i:], math.Float32bits(x))
	}
	return t
}

// FromInt64 makes an int64 tensor. It panics where the number of values is not the product of dims.
func FromInt64(v []int64, dims ...int64) *Tensor {
	t := NewTensor(Int64, dims...)
	mustFit(len(v), t)
	for i, x := range v {
		binary.LittleEndian.PutUint64(t.Raw[8*i:], uint64(x))
	}
	return t
}

// FromFloat64 makes a tensor of a floating type from float64 values, each rounded once, to nearest even.
// It panics where the number of values is not the product of dims or dtype is not a floating type.
func FromFloat64(dtype DType, v []float64, dims ...int64) *Tensor {
	t := NewTensor(dtype, dims...)
	mustFit(len(v), t)
	put, ok := floatPutters[dtype]
	if !ok {
		panic(fmt.Sprintf("onnx: FromFloat64 into %v", dtype))
	}
	size := dtype.Size()
	for i, x := range v {
		put(t.Raw[size*i:], x)
	}
	return t
}

func mustFit(n int, t *Tensor) {
	if n != t.Len() {
		panic(fmt.Sprintf("onnx: %d values for a tensor of dims %v", n, t.Dims))
	}
}

// PutFloat64s writes v over the elements from one on, each rounded once, to nearest even. It panics where they do not fit
// or the tensor is of no floating type.
func (t *Tensor) PutFloat64s(from int, v []float64) {
	put, size := floatPutters[t.DType], t.DType.Size()
	raw := t.Raw[from*size : (from+len(v))*size]
	for i, x := range v {
		put(raw[size*i:], x)
	}
}

var floatPutters = map[DType]func([]byte, float64){
	Float:    func(b []byte, x float64) { binary.LittleEndian.PutUint32(b, math.Float32bits(float32(x))) },
	Double:   func(b []byte, x float64) { binary.LittleEndian.PutUint64(b, math.Float64bits(x)) },
	Float16:  func(b []byte, x float64) { binary.LittleEndian.PutUint16(b, halfFromFloat64(x)) },
	BFloat16: func(b []byte, x float64) { binary.LittleEndian.PutUint16(b, bfloatFromFloat64(x)) },
}

// Float64s returns the elements as float64, whatever the type. int64 and uint64 beyond 2^53 round.
func (t *Tensor) Float64s() ([]float64, error) {
	if len(t.Raw) != t.Len()*t.DType.Size() { // before anything is allocated for dims that nothing fills
		return t.AppendFloat64s(nil)
	}
	return t.AppendFloat64s(make([]float64, 0, t.Len()))
}

// AppendFloat64s appends what Float64s returns to v, so that its memory can be used again.
func (t *Tensor) AppendFloat64s(v []float64) ([]float64, error) {
	get, ok := floatGetters[t.DType]
	if !ok {
		return nil, fault.New(fault.Unsupported, "tensor_type", "cannot compute with elements of type %v", t.DType)
	}
	size := t.DType.Size()
	if len(t.Raw) != t.Len()*size {
		return nil, fault.New(fault.Model, "tensor_size", "%d bytes for dims %v of %v", len(t.Raw), t.Dims, t.DType)
	}
	v = slices.Grow(v, t.Len())
	out := v[len(v) : len(v)+t.Len()]
	for i := range out {
		out[i] = get(t.Raw[size*i:])
	}
	return v[:len(v)+len(out)], nil
}

// Part is the elements of t from one on, as a vector that shares t's bytes. It panics where t has fewer.
func (t *Tensor) Part(from, n int) *Tensor {
	size := t.DType.Size()
	return &Tensor{DType: t.DType, Dims: []int64{int64(n)}, Raw: t.Raw[from*size : (from+n)*size]}
}

var floatGetters = map[DType]func([]byte) float64{
	Float:    func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) },
	Double:   func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) },
	Float16:  func(b []byte) float64 { return halfToFloat64(binary.LittleEndian.Uint16(b)) },
	BFloat16: func(b []byte) float64 { return bfloatToFloat64(binary.LittleEndian.Uint16(b)) },
	Int8:     func(b []byte) float64 { return float64(int8(b[0])) },
	Int16:    func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) },
	Int32:    func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) },
	Int64:    func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) },
	Uint8:    func(b []byte) float64 { return float64(b[0]) },
	Uint16:   func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) },
	Uint32:   func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) },
	Uint64:   func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) },
	Bool:     func(b []byte) float64 { return float64(b[0]) },
}

// Int64s returns the elements of an integer or bool tensor. uint64 beyond 2^63 wrap.
func (t *Tensor) Int64s() ([]int64, error) {
	if t.DType == Int64 || t.DType == Uint64 { // not by way of float64, which has 53 bits
		out := make([]int64, t.Len())
		if len(t.Raw) != 8*len(out) {
			return nil, fault.New(fault.Model, "tensor_size", "%d bytes for dims %v of %v", len(t.Raw), t.Dims, t.DType)
		}
		for i := range out {
			out[i] = int64(binary.LittleEndian.Uint64(t.Raw[8*i:]))
		}
		return out, nil
	}
	if !t.DType.IsInt() && t.DType != Bool {
		return nil, fault.New(fault.Model, "tensor_type", "integers expected, got %v", t.DType)
	}
	f, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	out := make([]int64, len(f))
	for i, x := range f {
		out[i] = int64(x)
	}
	return out, nil
}

// Float32s returns the elements as float32.
func (t *Tensor) Float32s() ([]float32, error) {
	if t.DType == Float && len(t.Raw) == 4*t.Len() {
		out := make([]float32, t.Len())
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
		}
		return out, nil
	}
	f, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(f))
	for i, x := range f {
		out[i] = float32(x)
	}
	return out, nil
}

// TensorOf reads a TensorProto whose data is in the message (external data is resolved on Load).
// Raw is shared with p where p has raw_data.
func TensorOf(p *TensorProto) (*Tensor, error) {
	t := &Tensor{DType: DType(p.GetDataType()), Dims: p.GetDims(), Raw: p.GetRawData()}
	size := t.DType.Size()
	if size == 0 {
		return nil, fault.New(fault.Unsupported, "tensor_type", "elements of type %v cannot be computed with", t.DType).AtValue(p.GetName())
	}
	n, err := checkedLen(t.Dims, size)
	if err != nil {
		return nil, fault.Wrap(fault.Model, "tensor_size", err, "bad dims").AtValue(p.GetName())
	}
	if p.RawData == nil && n > 0 {
		if t.Raw, err = rawFromTyped(p, t.DType, n); err != nil {
			return nil, err
		}
	}
	if len(t.Raw) != n*size {
		return nil, fault.New(fault.Model, "tensor_size", "dims %v of %v need %d bytes, the file has %d",
			t.Dims, t.DType, n*size, len(t.Raw)).AtValue(p.GetName()).WithHint("the file is damaged: export it again")
	}
	return t, nil
}

// checkedLen is the number of elements of dims, refused where negative or where the bytes overflow.
func checkedLen(dims []int64, size int) (int, error) {
	n := int64(1)
	for _, d := range dims {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in %v", dims)
		}
		if d > 0 && n > math.MaxInt64/int64(size)/d {
			return 0, fmt.Errorf("dims %v overflow", dims)
		}
		n *= d
	}
	return int(n), nil
}

// rawFromTyped converts the typed fields (float_data, int32_data, …) to raw bytes.
func rawFromTyped(p *TensorProto, d DType, n int) ([]byte, error) {
	size := d.Size()
	raw := make([]byte, 0, min(n, 1<<20)*size)
	switch {
	case d == Float:
		for _, x := range p.GetFloatData() {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
	case d == Double:
		for _, x := range p.GetDoubleData() {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
		}
	case d == Int64:
		for _, x := range p.GetInt64Data() {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
		}
	case d == Uint64 || d == Uint32:
		for _, x := range p.GetUint64Data() {
			raw = binary.LittleEndian.AppendUint64(raw, x)[:len(raw)+size]
		}
	default: // int32_data carries all the narrower types, 16-bit floats as their bits
		for _, x := range p.GetInt32Data() {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(x))[:len(raw)+size]
		}
	}
	return raw, nil
}

// Proto returns t as a TensorProto of that name with raw_data, sharing t's bytes.
func (t *Tensor) Proto(name string) *TensorProto {
	return &TensorProto{
		Name: proto.String(name), Dims: t.Dims, DataType: proto.Int32(int32(t.DType)), RawData: t.Raw,
	}
}
