package ort

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func relu(dtype onnx.DType, dims []onnx.Dim) *onnx.Model {
	g := graphOf("g", []*onnx.ValueInfo{onnx.NewValueInfo("x", dtype, dims)},
		[]*onnx.ValueInfo{onnx.NewValueInfo("y", dtype, dims)}, onnx.NewNode("Relu", "relu", []string{"x"}, []string{"y"}))
	return modelOf(g, 8, 17)
}

func ops(g *onnx.Graph) []string {
	var names []string
	for _, n := range g.GetNode() {
		names = append(names, n.GetOpType())
	}
	return names
}

func TestPrepareChangesOnlyWhatItMust(t *testing.T) {
	for _, c := range []struct {
		name  string
		dtype onnx.DType
		dims  []onnx.Dim
		want  []string
	}{
		{"float32 of a rank", onnx.Float, onnx.Static(2), []string{"Relu"}},
		{"float32 of any rank", onnx.Float, nil, []string{"Relu", "Constant", "Unsqueeze"}},
		{"a scalar", onnx.Float, []onnx.Dim{}, []string{"Constant", "Squeeze", "Relu", "Constant", "Unsqueeze"}},
		{"float16", onnx.Float16, onnx.Static(2), []string{"Relu", "Cast"}},
		{"a bfloat16 scalar", onnx.BFloat16, []onnx.Dim{}, []string{"Constant", "Squeeze", "Relu", "Cast", "Constant", "Unsqueeze"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := relu(c.dtype, c.dims)
			before := m.Clone()
			p, err := prepare(m, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := ops(p.model.Graph()); !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
			if !onnx.Equal(m.Proto, before.Proto) {
				t.Error("the model itself was changed")
			}
			if _, err := onnx.NewIndex(p.model.Graph()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Names of ours that a model has already are avoided.
func TestPrepareFindsFreeNames(t *testing.T) {
	m := relu(onnx.Float16, onnx.Static(2))
	m.Graph().Node = append(m.Graph().Node, onnx.NewNode("Neg", "neg", []string{"x"}, []string{"y/onnx_zip_0"}))
	p, err := prepare(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.outputs[0].bound != "y/onnx_zip_1" {
		t.Error(p.outputs[0].bound)
	}
}

func TestPrepareKeepsDefaultInputs(t *testing.T) {
	m := relu(onnx.Float, onnx.Static(1))
	g := m.Graph()
	g.Input = append(g.Input, onnx.NewValueInfo("w", onnx.Float, onnx.Static(1)))
	g.Initializer = append(g.Initializer, onnx.FromFloat32([]float32{1}, 1).Proto("w"))
	p, err := prepare(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.inputs) != 1 || p.inputs[0].name != "x" {
		t.Error(p.inputs)
	}
}

func TestPrepareWithoutDefaultOperators(t *testing.T) {
	m := relu(onnx.Float, nil)
	m.Proto.OpsetImport[0].Domain = proto.String("com.example")
	p, err := prepare(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.model.Opset("") == 0 || m.Opset("") != 0 {
		t.Error(p.model.Proto.OpsetImport, m.Proto.OpsetImport)
	}
}

func TestShallowKeepsUnknownFields(t *testing.T) {
	m := relu(onnx.Float, nil).Proto
	unknown := protoreflect.RawFields{0xf8, 0x07, 1} // field 127, a varint
	m.ProtoReflect().SetUnknown(unknown)
	c := onnx.Shallow(m)
	if !onnx.Equal(m, c) || c.Graph != m.Graph {
		t.Error("the copy differs, or is a deep one")
	}
}
