package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// small is a model with a bit of everything.
const small = `opset 17
	opset com.microsoft 1
	input x f32[N,3,8,8]
	w = init f32[4,3,3,3] random(1)
	b = init f32[4] random(2)
	c = Conv(x, w, b) {pads=[1,1,1,1], auto_pad="NOTSET"}
	r = LeakyRelu(c) {alpha=0.1}
	p = GlobalAveragePool(r)
	f = Flatten(p) {axis=1}
	value f f32[N,4]
	output f f32[N,4]`

func smallBytes(t testing.TB) []byte {
	t.Helper()
	data, err := onnxtest.Build(t, small).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sameBytes parses data, writes it, and wants the same bytes from the model and from a clone of it.
func sameBytes(t *testing.T, data []byte) {
	t.Helper()
	m, err := onnx.Parse(data, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*onnx.Model{m, m.Clone()} {
		out, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out, data) {
			t.Fatalf("%d bytes became %d others", len(data), len(out))
		}
	}
}

func TestRealModelsRoundTrip(t *testing.T) {
	for _, path := range onnxtest.Models(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sameBytes(t, data)
		})
	}
}

func TestUnknownFieldsSurvive(t *testing.T) {
	data := smallBytes(t)
	// At the model's end: a varint, a message, a fixed64, with numbers that no version of the format uses.
	tail := protowire.AppendTag(nil, 900, protowire.VarintType)
	tail = protowire.AppendVarint(tail, 7)
	tail = protowire.AppendTag(tail, 901, protowire.BytesType)
	tail = protowire.AppendBytes(tail, []byte("something new"))
	tail = protowire.AppendTag(tail, 902, protowire.Fixed64Type)
	tail = protowire.AppendFixed64(tail, 1)
	sameBytes(t, append(data, tail...))
}

func TestUnknownFieldsInsideSurvive(t *testing.T) {
	m := onnxtest.Build(t, small)
	extra := protowire.AppendVarint(protowire.AppendTag(nil, 777, protowire.VarintType), 42)
	g := m.Graph()
	for _, message := range []proto.Message{g, g.Node[0], g.Node[0].Attribute[0], g.Initializer[0], g.Input[0], g.Input[0].Type} {
		message.ProtoReflect().SetUnknown(extra)
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, extra); n != 6 {
		t.Fatalf("%d of 6 unknown fields were written", n)
	}
	sameBytes(t, data)
}

func TestDefaultValuesSurvive(t *testing.T) {
	m := onnxtest.Build(t, small)
	m.Proto.ModelVersion = proto.Int64(0)
	m.Proto.DocString = proto.String("")
	m.Proto.Domain = proto.String("")
	m.Graph().Node[0].Domain = proto.String("")
	m.Graph().Node[1].Attribute[0].I = proto.Int64(0)
	m.Graph().Initializer[0].DocString = proto.String("")
	m.Graph().Initializer = append(m.Graph().Initializer, &onnx.TensorProto{
		Name: proto.String("none"), Dims: []int64{0}, DataType: proto.Int32(1), RawData: []byte{},
	})
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, data)
	back, err := onnx.Parse(data, "test")
	if err != nil {
		t.Fatal(err)
	}
	if back.Proto.ModelVersion == nil || back.Proto.DocString == nil || back.Graph().Node[0].Domain == nil {
		t.Error("a field that is set to its default came back unset")
	}
}

func TestInvalidUTF8Survives(t *testing.T) {
	m := onnxtest.Build(t, "input x f32[2]\ny = Relu(x)\noutput y")
	m.Graph().Node[0].Name = proto.String("caf\xe9")
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, data)
}

// skeleton is a real model without the contents of its larger tensors, which would only slow a fuzzer down.
func skeleton(t testing.TB, path string) []byte {
	t.Helper()
	m, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Graph().GetInitializer() {
		w.RawData = w.RawData[:min(len(w.RawData), 64)]
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// FuzzParse: any bytes are refused or make a model that is written to bytes which parse to the same model, and
// whose index can be asked for.
func FuzzParse(f *testing.F) {
	f.Add(smallBytes(f))
	f.Add([]byte("PK\x03\x04"))
	for _, path := range onnxtest.Models(f) {
		f.Add(skeleton(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Parse(data, "fuzz")
		if err != nil {
			return
		}
		out, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := onnx.Parse(out, "again")
		if err != nil {
			t.Fatalf("what was written does not parse: %v", err)
		}
		again, err := back.Marshal()
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("written twice, %d and %d bytes: %v", len(out), len(again), err)
		}
		if ix, err := onnx.NewIndex(m.Graph()); err == nil && len(ix.Order) != len(m.Graph().GetNode()) {
			t.Fatal("the order misses nodes")
		}
		for _, p := range m.Graph().GetInitializer() {
			if tensor, err := onnx.TensorOf(p); err == nil && len(tensor.Raw) != tensor.Len()*tensor.DType.Size() {
				t.Fatalf("%v with %d bytes", tensor.Dims, len(tensor.Raw))
			}
		}
	})
}
