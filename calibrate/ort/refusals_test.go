//go:build cgo

package ort_test

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

func TestFeedsThatDoNotFit(t *testing.T) {
	g := newGraph(13, node("Identity", []string{"x"}, "y"), node("Identity", []string{"anything"}, "z")).
		in("x", onnx.Float, free, size(3)).in("anything", onnx.Float).
		out("y", onnx.Float, free, size(3)).out("z", onnx.Float, free)
	s := open(t, g.Model, calibrate.SessionOptions{})
	fits := onnx.NewTensor(onnx.Float, 2, 3)
	for _, c := range []struct {
		name  string
		x     *onnx.Tensor
		code  string
		words string
	}{
		{"missing", nil, "missing_input", "float32 [N,3]"},
		{"type", onnx.NewTensor(onnx.Double, 2, 3), "input_type", "expected float32 [N,3], got float64 [2,3]"},
		{"rank", onnx.NewTensor(onnx.Float, 3), "input_shape", "expected float32 [N,3], got float32 [3]"},
		{"size", onnx.NewTensor(onnx.Float, 3, 2), "input_shape", "axis 1: expected float32 [N,3], got float32 [3,2]"},
		{"bytes", &onnx.Tensor{DType: onnx.Float, Dims: []int64{2, 3}, Raw: make([]byte, 23)}, "input_size", "23 bytes"},
		{"negative", &onnx.Tensor{DType: onnx.Float, Dims: []int64{-2, 3}, Raw: nil}, "input_size", "[-2,3]"},
		{"overflow", &onnx.Tensor{DType: onnx.Float, Dims: []int64{1 << 62, 3}, Raw: nil}, "input_size", "0 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.Run(context.Background(), map[string]*onnx.Tensor{"x": c.x, "anything": fits})
			e := wantFault(t, err, fault.Data, c.code)
			if e.Value != "x" || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v: no %q", err, c.words)
			}
		})
	}
	_, err := s.Run(context.Background(), map[string]*onnx.Tensor{"anything": fits})
	wantFault(t, err, fault.Data, "missing_input")
	_, err = s.Run(context.Background(), map[string]*onnx.Tensor{"x": fits, "anything": fits, "more": fits})
	if e := wantFault(t, err, fault.Data, "unknown_input"); !strings.Contains(e.Message, `"x", "anything"`) {
		t.Errorf("%v does not name the inputs", err)
	}
	_, err = s.Run(context.Background(), map[string]*onnx.Tensor{"x": fits, "anything": onnx.FromFloat32([]float32{1})})
	wantFault(t, err, fault.Data, "input_shape")
	run(t, s, map[string]*onnx.Tensor{"x": fits, "anything": fits}) // and the session still works
}

func TestModelsThatAreRefused(t *testing.T) {
	relu := func(opset int64) graph {
		return newGraph(opset, node("Relu", []string{"x"}, "y")).in("x", onnx.Float, free).out("y", onnx.Float, free)
	}
	for _, c := range []struct {
		name string
		make func() *onnx.Model
		kind fault.Kind
		code string
		node string
	}{
		{"no model", func() *onnx.Model { return nil }, fault.Model, "invalid_model", ""},
		{"no graph", func() *onnx.Model { return &onnx.Model{Proto: &onnx.ModelProto{}} }, fault.Model, "invalid_model", ""},
		{"no outputs", func() *onnx.Model { return newGraph(13).in("x", onnx.Float, free).Model }, fault.Model, "invalid_model", ""},
		{"future opset", func() *onnx.Model { return relu(99).Model }, fault.Unsupported, "unsupported_by_runtime", ""},
		{"future file format", func() *onnx.Model {
			g := relu(13)
			g.Proto.IrVersion = proto.Int64(99)
			return g.Model
		}, fault.Unsupported, "unsupported_by_runtime", ""},
		{"unknown operator", func() *onnx.Model {
			g := relu(13)
			g.Graph().Node[0].OpType = proto.String("Frobnicate")
			return g.Model
		}, fault.Unsupported, "unsupported_by_runtime", "Relu_y"},
		{"no kernel", func() *onnx.Model {
			return newGraph(14, node("Relu", []string{"x"}, "y")).in("x", onnx.Int16, free).out("y", onnx.Int16, free).Model
		}, fault.Unsupported, "unsupported_by_runtime", "Relu_y"},
		{"strings", func() *onnx.Model {
			return newGraph(13, node("Identity", []string{"x"}, "y")).in("x", onnx.String, free).out("y", onnx.String, free).Model
		}, fault.Unsupported, "unsupported_type", ""},
		{"string output, undeclared", func() *onnx.Model {
			return newGraph(13, node("Cast", []string{"x"}, "y", onnx.Int("to", int64(onnx.String)))).
				in("x", onnx.Float, free).untyped("y").Model
		}, fault.Unsupported, "unsupported_type", ""},
		{"dangling value", func() *onnx.Model {
			g := relu(13)
			g.Graph().Node[0].Input[0] = "nothing"
			return g.Model
		}, fault.Model, "invalid_model", ""},
		{"wrong arity", func() *onnx.Model {
			g := relu(13)
			g.Graph().Node[0].OpType = proto.String("Add")
			return g.Model
		}, fault.Model, "invalid_model", "Relu_y"},
		{"type that is none", func() *onnx.Model {
			g := relu(13)
			g.Graph().Output[0] = onnx.NewValueInfo("y", onnx.Int64, []onnx.Dim{free})
			return g.Model
		}, fault.Model, "invalid_model", "Relu_y"},
		{"negative dimension", func() *onnx.Model {
			g := newGraph(13, node("MatMul", []string{"x", "w"}, "y")).in("x", onnx.Float, free, size(4)).out("y", onnx.Float, free, free).
				init("w", onnx.NewTensor(onnx.Float, 4, 4))
			g.Graph().Initializer[0].Dims = []int64{-4, 4}
			return g.Model
		}, fault.Model, "invalid_model", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := orttest.Engine(t).Open(context.Background(), c.make(), calibrate.SessionOptions{})
			if s != nil {
				t.Error("a session beside the error")
			}
			if e := wantFault(t, err, c.kind, c.code); e.Node != c.node {
				t.Errorf("node %q, want %q: %v", e.Node, c.node, err)
			}
		})
	}
}

// Releases differ in whether they notice on Open or on Run.
func TestMoreMemoryThanThereIs(t *testing.T) {
	g := newGraph(13, node("ConstantOfShape", []string{"s"}, "y")).out("y", onnx.Float, free).
		init("s", onnx.FromInt64([]int64{1 << 45}, 1))
	s, err := orttest.Engine(t).Open(context.Background(), g.Model, calibrate.SessionOptions{})
	if err == nil {
		defer s.Close()
		_, err = s.Run(context.Background(), nil)
	}
	wantFault(t, err, fault.Runtime, "out_of_memory")
}

func TestNegativeThreads(t *testing.T) {
	_, err := orttest.Engine(t).Open(context.Background(), counter(), calibrate.SessionOptions{Threads: -1})
	wantFault(t, err, fault.Usage, "bad_threads")
}

// Damaged tensors must end in an error or in a result, never in a crash.
func TestShortTensorDoesNotCrash(t *testing.T) {
	g := newGraph(13, node("MatMul", []string{"x", "w"}, "y")).in("x", onnx.Float, free, size(4)).out("y", onnx.Float, free, size(4)).
		init("w", onnx.NewTensor(onnx.Float, 4, 4))
	g.Graph().Initializer[0].RawData = g.Graph().Initializer[0].RawData[:10]
	if _, err := orttest.Engine(t).Open(context.Background(), g.Model, calibrate.SessionOptions{}); err == nil {
		t.Error("a tensor of ten bytes passed as one of 64")
	}
}

func TestFailedRunNamesItsNode(t *testing.T) {
	g := newGraph(13, node("MatMul", []string{"a", "b"}, "y")).
		in("a", onnx.Float, free, free).in("b", onnx.Float, free, onnx.Dim{Size: -1}).out("y", onnx.Float, free, free)
	g.File = "model.onnx"
	s := open(t, g.Model, calibrate.SessionOptions{})
	_, err := s.Run(context.Background(), map[string]*onnx.Tensor{
		"a": onnx.NewTensor(onnx.Float, 2, 3), "b": onnx.NewTensor(onnx.Float, 4, 5)})
	e := wantFault(t, err, fault.Runtime, "run_failed")
	if e.Node != "MatMul_y" || e.File != "model.onnx" || !strings.Contains(err.Error(), "dimension mismatch") {
		t.Error(err)
	}
}
