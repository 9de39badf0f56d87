package onnx

import (
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"google.golang.org/protobuf/proto"
)

// Attr returns n's attribute of that name, or nil.
func Attr(n *Node, name string) *Attribute {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a
		}
	}
	return nil
}

// AttrInt returns an integer attribute, or def where it is absent.
func AttrInt(n *Node, name string, def int64) int64 {
	if a := Attr(n, name); a != nil && (a.I != nil || isZero(a, onnxpb.AttributeProto_INT)) {
		return a.GetI()
	}
	return def
}

// AttrFloat returns a floating attribute, or def where it is absent.
func AttrFloat(n *Node, name string, def float32) float32 {
	if a := Attr(n, name); a != nil && (a.F != nil || isZero(a, onnxpb.AttributeProto_FLOAT)) {
		return a.GetF()
	}
	return def
}

// AttrString returns a string attribute, or def where it is absent.
func AttrString(n *Node, name, def string) string {
	if a := Attr(n, name); a != nil && (a.S != nil || isZero(a, onnxpb.AttributeProto_STRING)) {
		return string(a.GetS())
	}
	return def
}

// isZero reports whether a is an attribute of type t whose value was left out because it is zero: writers that
// take the format for proto3 leave out every zero. A function's reference has a type and no value either.
func isZero(a *Attribute, t onnxpb.AttributeProto_AttributeType) bool {
	return a.GetType() == t && a.GetRefAttrName() == ""
}

// AttrInts returns an integer list attribute, nil where it is absent.
func AttrInts(n *Node, name string) []int64 {
	if a := Attr(n, name); a != nil {
		return a.GetInts()
	}
	return nil
}

// AttrTensor returns a tensor attribute, nil where it is absent.
func AttrTensor(n *Node, name string) *TensorProto { return Attr(n, name).GetT() }

// HasSubgraph reports whether n holds a graph (If, Loop, Scan and their like).
func HasSubgraph(n *Node) bool {
	for _, a := range n.GetAttribute() {
		if a.G != nil || len(a.Graphs) > 0 {
			return true
		}
	}
	return false
}

// IsRandom reports whether n makes something else in every run. Dropout in training mode is not counted.
func IsRandom(n *Node) bool {
	switch n.GetOpType() {
	case "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial":
		return true
	}
	return false
}

// SetAttr adds a to n, replacing an attribute of the same name.
func SetAttr(n *Node, a *Attribute) {
	for i, old := range n.Attribute {
		if old.GetName() == a.GetName() {
			n.Attribute[i] = a
			return
		}
	}
	n.Attribute = append(n.Attribute, a)
}

// DeleteAttr removes the attribute of that name, if there is one.
func DeleteAttr(n *Node, name string) {
	for i, a := range n.Attribute {
		if a.GetName() == name {
			n.Attribute = append(n.Attribute[:i:i], n.Attribute[i+1:]...)
			return
		}
	}
}

func newAttr(name string, t onnxpb.AttributeProto_AttributeType) *Attribute {
	return &Attribute{Name: proto.String(name), Type: t.Enum()}
}

// Int is an integer attribute.
func Int(name string, v int64) *Attribute {
	a := newAttr(name, onnxpb.AttributeProto_INT)
	a.I = proto.Int64(v)
	return a
}

// Ints is an integer list attribute.
func Ints(name string, v ...int64) *Attribute {
	a := newAttr(name, onnxpb.AttributeProto_INTS)
	a.Ints = v
	return a
}

// FloatAttr is a floating attribute.
func FloatAttr(name string, v float32) *Attribute {
	a := newAttr(name, onnxpb.AttributeProto_FLOAT)
	a.F = proto.Float32(v)
	return a
}

// StringAttr is a string attribute.
func StringAttr(name, v string) *Attribute {
	a := newAttr(name, onnxpb.AttributeProto_STRING)
	a.S = []byte(v)
	return a
}

// TensorAttr is a tensor attribute.
func TensorAttr(name string, t *TensorProto) *Attribute {
	a := newAttr(name, onnxpb.AttributeProto_TENSOR)
	a.T = t
	return a
}
