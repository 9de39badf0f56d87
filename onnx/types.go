package onnx

import (
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The messages of the file format. They are the truth: every other structure of this package is an
// index over them, so that fields nobody here knows of survive a round trip.
type (
	ModelProto  = onnxpb.ModelProto
	Graph       = onnxpb.GraphProto
	Node        = onnxpb.NodeProto
	Attribute   = onnxpb.AttributeProto
	TensorProto = onnxpb.TensorProto
	ValueInfo   = onnxpb.ValueInfoProto
	OpsetID     = onnxpb.OperatorSetIdProto
	TypeProto   = onnxpb.TypeProto
	Function    = onnxpb.FunctionProto
	KeyValue    = onnxpb.StringStringEntryProto
)

// DType is an element type, numbered as in TensorProto.DataType.
type DType int32

// The element types that tensors of this package can hold. Others (strings, complex numbers, packed
// 2-, 4- and 6-bit and 8-bit floating types) pass through files untouched but cannot be computed with.
const (
	Undefined DType = 0
	Float     DType = 1
	Uint8     DType = 2
	Int8      DType = 3
	Uint16    DType = 4
	Int16     DType = 5
	Int32     DType = 6
	Int64     DType = 7
	String    DType = 8
	Bool      DType = 9
	Float16   DType = 10
	Double    DType = 11
	Uint32    DType = 12
	Uint64    DType = 13
	BFloat16  DType = 16
)

var dtypes = map[DType]struct {
	name string
	size int
}{
	Float: {"float32", 4}, Double: {"float64", 8}, Float16: {"float16", 2}, BFloat16: {"bfloat16", 2},
	Int8: {"int8", 1}, Int16: {"int16", 2}, Int32: {"int32", 4}, Int64: {"int64", 8},
	Uint8: {"uint8", 1}, Uint16: {"uint16", 2}, Uint32: {"uint32", 4}, Uint64: {"uint64", 8}, Bool: {"bool", 1},
}

// String is the numpy-like name ("float32"), or the format's own for types without one.
func (d DType) String() string {
	if t, ok := dtypes[d]; ok {
		return t.name
	}
	return onnxpb.TensorProto_DataType(d).String()
}

// Size is the number of bytes of an element, 0 for types without a fixed whole number of bytes.
func (d DType) Size() int { return dtypes[d].size }

// IsFloat reports whether d is a floating type that can be computed with.
func (d DType) IsFloat() bool {
	return d == Float || d == Double || d == Float16 || d == BFloat16
}

// IsInt reports whether d is an integer type (bool excluded).
func (d DType) IsInt() bool {
	switch d {
	case Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64:
		return true
	}
	return false
}

// NewNode returns a node of the default domain. Absent optional inputs are "".
func NewNode(op, name string, inputs, outputs []string, attrs ...*Attribute) *Node {
	return &Node{OpType: proto.String(op), Name: proto.String(name), Input: inputs, Output: outputs, Attribute: attrs}
}

// Dim is one dimension of a declared shape: a size, or a symbol (Size -1).
type Dim struct {
	Size  int64  // -1 where unknown
	Param string // the symbol's name, where there is one
}

// Static returns dimensions of known sizes.
func Static(sizes ...int64) []Dim {
	dims := make([]Dim, len(sizes))
	for i, s := range sizes {
		dims[i].Size = s
	}
	return dims
}

// NewValueInfo declares a tensor value. A nil dims leaves the rank open.
func NewValueInfo(name string, dtype DType, dims []Dim) *ValueInfo {
	tensor := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(dtype))}
	if dims != nil {
		shape := &onnxpb.TensorShapeProto{}
		for _, d := range dims {
			shape.Dim = append(shape.Dim, newDimProto(d))
		}
		tensor.Shape = shape
	}
	return &ValueInfo{
		Name: proto.String(name),
		Type: &TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tensor}},
	}
}

func newDimProto(d Dim) *onnxpb.TensorShapeProto_Dimension {
	out := &onnxpb.TensorShapeProto_Dimension{}
	switch {
	case d.Size >= 0:
		out.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d.Size}
	case d.Param != "":
		out.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d.Param}
	}
	return out
}

// TensorType returns the element type and dimensions that v declares. dims is nil where no shape is
// declared and non-nil (perhaps empty: a scalar) where one is; ok is false for a value that is not a tensor.
func TensorType(v *ValueInfo) (dtype DType, dims []Dim, ok bool) {
	t := v.GetType().GetTensorType()
	if t == nil {
		return Undefined, nil, false
	}
	if t.Shape != nil {
		dims = make([]Dim, len(t.Shape.Dim))
		for i, d := range t.Shape.Dim {
			dims[i] = Dim{Size: -1, Param: d.GetDimParam()}
			if value, ok := d.Value.(*onnxpb.TensorShapeProto_Dimension_DimValue); ok {
				dims[i].Size = value.DimValue
			}
		}
	}
	return DType(t.GetElemType()), dims, true
}

// Clone returns a deep copy of any message of the format. A tensor's copy shares its raw data: weights are most of a
// model's size, and nothing writes to raw data that lies in a message; who changes a weight puts other bytes there.
func Clone[M proto.Message](m M) M {
	if t, ok := any(m).(*TensorProto); ok {
		return any(cloneTensor(t)).(M)
	}
	return proto.Clone(m).(M)
}

func cloneTensor(t *TensorProto) *TensorProto {
	if t == nil {
		return nil
	}
	rest := Shallow(t)
	rest.RawData = nil
	c := proto.Clone(rest).(*TensorProto)
	c.RawData = t.RawData
	return c
}

// Shallow copies a message without what it refers to: the fields of the copy can be replaced, but not changed in place.
func Shallow[M proto.Message](m M) M {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		to.Set(field, v)
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface().(M)
}

// Equal reports whether two messages hold the same fields.
func Equal(a, b proto.Message) bool { return proto.Equal(a, b) }
