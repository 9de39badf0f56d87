//go:build cgo

package ort_test

import (
	"context"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// graph is a model under construction.
type graph struct{ *onnx.Model }

func newGraph(opset int64, nodes ...*onnx.Node) graph {
	return graph{&onnx.Model{Proto: &onnx.ModelProto{
		IrVersion:   proto.Int64(8),
		OpsetImport: []*onnx.OpsetID{{Version: proto.Int64(opset)}},
		Graph:       &onnx.Graph{Name: proto.String("test"), Node: nodes},
	}}}
}

func (g graph) in(name string, dtype onnx.DType, dims ...onnx.Dim) graph {
	g.Graph().Input = append(g.Graph().Input, onnx.NewValueInfo(name, dtype, dims))
	return g
}

func (g graph) out(name string, dtype onnx.DType, dims ...onnx.Dim) graph {
	g.Graph().Output = append(g.Graph().Output, onnx.NewValueInfo(name, dtype, dims))
	return g
}

// scalarIn and scalarOut declare values of rank 0; no dims at all leave the rank open.
func (g graph) scalarIn(name string, dtype onnx.DType) graph {
	g.Graph().Input = append(g.Graph().Input, onnx.NewValueInfo(name, dtype, []onnx.Dim{}))
	return g
}

func (g graph) scalarOut(name string, dtype onnx.DType) graph {
	g.Graph().Output = append(g.Graph().Output, onnx.NewValueInfo(name, dtype, []onnx.Dim{}))
	return g
}

// untyped declares an output by name only.
func (g graph) untyped(name string) graph {
	g.Graph().Output = append(g.Graph().Output, &onnx.ValueInfo{Name: proto.String(name)})
	return g
}

func (g graph) init(name string, t *onnx.Tensor) graph {
	g.Graph().Initializer = append(g.Graph().Initializer, t.Proto(name))
	return g
}

func node(op string, inputs []string, output string, attrs ...*onnx.Attribute) *onnx.Node {
	return onnx.NewNode(op, op+"_"+output, inputs, []string{output}, attrs...)
}

var free = onnx.Dim{Size: -1, Param: "N"}

func size(n int64) onnx.Dim { return onnx.Dim{Size: n} }

func open(t testing.TB, m *onnx.Model, o calibrate.SessionOptions) calibrate.Session {
	t.Helper()
	s, err := orttest.Engine(t).Open(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func run(t testing.TB, s calibrate.Session, feeds map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	t.Helper()
	out, err := s.Run(context.Background(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantFault checks an error's kind and code, and returns it.
func wantFault(t testing.TB, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	e := fault.As(err)
	if e.Kind != kind || e.Code != code {
		t.Fatalf("kind %d, code %q, want %d, %q: %v", e.Kind, e.Code, kind, code, err)
	}
	return e
}
