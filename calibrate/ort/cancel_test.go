//go:build cgo

package ort_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// counter is a Loop that adds 1 as often as its input says.
func counter() *onnx.Model {
	body := newGraph(13,
		node("Identity", []string{"go_on"}, "goes_on"),
		node("Add", []string{"sum", "one"}, "next"),
	).scalarIn("i", onnx.Int64).scalarIn("go_on", onnx.Bool).in("sum", onnx.Float, size(1)).
		scalarOut("goes_on", onnx.Bool).out("next", onnx.Float, size(1))
	loop := node("Loop", []string{"times", "", "zero"}, "y", graphAttr("body", body.Graph()))
	return newGraph(13, loop).scalarIn("times", onnx.Int64).out("y", onnx.Float, size(1)).
		init("zero", onnx.FromFloat32([]float32{0}, 1)).init("one", onnx.FromFloat32([]float32{1}, 1)).Model
}

func graphAttr(name string, g *onnx.Graph) *onnx.Attribute {
	const graphType = 5 // AttributeProto.GRAPH
	a := onnx.Int(name, 0)
	a.I, a.G, *a.Type = nil, g, graphType
	return a
}

func times(n int64) map[string]*onnx.Tensor {
	return map[string]*onnx.Tensor{"times": onnx.FromInt64([]int64{n})}
}

func TestCancel(t *testing.T) {
	s := open(t, counter(), calibrate.SessionOptions{Threads: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	out, err := s.Run(ctx, times(1<<50))
	if !errors.Is(err, context.DeadlineExceeded) || out != nil {
		t.Fatal(out, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	v, err := run(t, s, times(3))["y"].Float64s()
	if err != nil || v[0] != 3 {
		t.Error("after a cancelled run:", v, err)
	}
}

func TestCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := open(t, counter(), calibrate.SessionOptions{})
	cancel()
	if _, err := s.Run(ctx, times(1)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := orttest.Engine(t).Open(ctx, counter(), calibrate.SessionOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
