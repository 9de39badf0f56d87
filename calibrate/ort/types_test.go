//go:build cgo

package ort_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

var allTypes = []onnx.DType{
	onnx.Float, onnx.Double, onnx.Float16, onnx.BFloat16, onnx.Bool,
	onnx.Int8, onnx.Int16, onnx.Int32, onnx.Int64, onnx.Uint8, onnx.Uint16, onnx.Uint32, onnx.Uint64,
}

// sample has elements 0, 1, 0, 1, … of a type: a value that every type holds.
func sample(d onnx.DType, dims ...int64) *onnx.Tensor {
	t := onnx.NewTensor(d, dims...)
	if d.IsFloat() {
		v := make([]float64, t.Len())
		for i := range v {
			v[i] = float64(i % 2)
		}
		return onnx.FromFloat64(d, v, dims...)
	}
	for i := range t.Len() {
		t.Raw[i*d.Size()] = byte(i % 2)
	}
	return t
}

func TestEveryTypeAndRankPasses(t *testing.T) {
	for _, opset := range []int64{11, 13} { // the axes of Unsqueeze moved in 13
		for _, d := range allTypes {
			if d == onnx.BFloat16 && opset < 13 {
				continue // Identity does not take it yet
			}
			for _, dims := range [][]int64{{}, {1}, {5}, {2, 3}, {0, 3}} {
				t.Run(fmt.Sprint(opset, d, dims), func(t *testing.T) { passes(t, opset, d, dims) })
			}
		}
	}
}

func passes(t *testing.T, opset int64, d onnx.DType, dims []int64) {
	declared := onnx.Static(dims...)
	g := newGraph(opset, node("Identity", []string{"x"}, "y")).in("x", d, declared...).out("y", d, declared...)
	if len(dims) == 0 {
		g = newGraph(opset, node("Identity", []string{"x"}, "y")).scalarIn("x", d).scalarOut("y", d)
	}
	x := sample(d, dims...)
	out := run(t, open(t, g.Model, calibrate.SessionOptions{}), map[string]*onnx.Tensor{"x": x})
	y := out["y"]
	if len(out) != 1 || y == nil {
		t.Fatalf("outputs %v", out)
	}
	if y.DType != d || !slices.Equal(y.Dims, x.Dims) || !bytes.Equal(y.Raw, x.Raw) {
		t.Errorf("%v %v % x came back as %v %v % x", d, x.Dims, x.Raw, y.DType, y.Dims, y.Raw)
	}
}

// A 16-bit output is rounded once, as the model says, and not left as float32.
func TestHalfArithmetic(t *testing.T) {
	for _, d := range []onnx.DType{onnx.Float16, onnx.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			// bfloat16 has no Add on the CPU: compute in float32 and round
			g := newGraph(13,
				node("Cast", []string{"x"}, "wide", onnx.Int("to", int64(onnx.Float))),
				node("Div", []string{"wide", "three"}, "third"),
				node("Cast", []string{"third"}, "y", onnx.Int("to", int64(d))),
			).in("x", d, free).out("y", d, free).init("three", onnx.FromFloat32([]float32{3}, 1))
			x := onnx.FromFloat64(d, []float64{1, 2, 100}, 3)
			y := run(t, open(t, g.Model, calibrate.SessionOptions{}), map[string]*onnx.Tensor{"x": x})["y"]
			want := onnx.FromFloat64(d, []float64{float64(float32(1) / 3), float64(float32(2) / 3), float64(float32(100) / 3)}, 3)
			if y.DType != d || !bytes.Equal(y.Raw, want.Raw) {
				t.Errorf("% x, want % x", y.Raw, want.Raw)
			}
		})
	}
}

func TestUndeclaredOutputs(t *testing.T) {
	g := newGraph(13,
		node("Cast", []string{"x"}, "half", onnx.Int("to", int64(onnx.Float16))),
		node("ReduceSum", []string{"x"}, "sum", onnx.Int("keepdims", 0)),
		node("Shape", []string{"x"}, "shape"),
	).in("x", onnx.Float, free, size(2)).untyped("half").untyped("sum").out("shape", onnx.Undefined)
	out := run(t, open(t, g.Model, calibrate.SessionOptions{}),
		map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 3, 2)})
	for name, want := range map[string]*onnx.Tensor{
		"half":  onnx.FromFloat64(onnx.Float16, []float64{1, 2, 3, 4, 5, 6}, 3, 2),
		"sum":   onnx.FromFloat32([]float32{21}),
		"shape": onnx.FromInt64([]int64{3, 2}, 2),
	} {
		got := out[name]
		if got == nil || got.DType != want.DType || !slices.Equal(got.Dims, want.Dims) || !bytes.Equal(got.Raw, want.Raw) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestInt64Input(t *testing.T) {
	g := newGraph(13, node("Gather", []string{"table", "ids"}, "y")).
		in("ids", onnx.Int64, free).out("y", onnx.Float, free, size(2)).
		init("table", onnx.FromFloat32([]float32{0, 1, 10, 11, 20, 21}, 3, 2))
	y := run(t, open(t, g.Model, calibrate.SessionOptions{}), map[string]*onnx.Tensor{"ids": onnx.FromInt64([]int64{2, 0}, 2)})["y"]
	if v, err := y.Float64s(); err != nil || !slices.Equal(v, []float64{20, 21, 0, 1}) {
		t.Error(v, err)
	}
}

func TestNoInputs(t *testing.T) {
	g := newGraph(13, node("Neg", []string{"c"}, "y")).out("y", onnx.Float, size(2)).
		init("c", onnx.FromFloat32([]float32{1, 2}, 2))
	y := run(t, open(t, g.Model, calibrate.SessionOptions{}), nil)["y"]
	if v, err := y.Float64s(); err != nil || !slices.Equal(v, []float64{-1, -2}) {
		t.Error(v, err)
	}
}

// Before version 4 of the file format, initializers had to be inputs: the helpers need none.
func TestOldFileFormat(t *testing.T) {
	g := newGraph(13, node("ReduceSum", []string{"x"}, "y", onnx.Int("keepdims", 0))).
		in("x", onnx.Float, free).scalarOut("y", onnx.Float)
	g.Proto.IrVersion = proto.Int64(3)
	y := run(t, open(t, g.Model, calibrate.SessionOptions{}), map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{1, 2}, 2)})["y"]
	if v, err := y.Float64s(); err != nil || !slices.Equal(v, []float64{3}) || len(y.Dims) != 0 {
		t.Error(v, y.Dims, err)
	}
}

// Tensors cut out of a file's bytes may begin anywhere.
func TestUnalignedFeed(t *testing.T) {
	g := newGraph(13, node("Neg", []string{"x"}, "y")).in("x", onnx.Double, free).out("y", onnx.Double, free)
	aligned := onnx.FromFloat64(onnx.Double, []float64{1, 2, 3}, 3)
	raw := append([]byte{0}, aligned.Raw...)[1:]
	y := run(t, open(t, g.Model, calibrate.SessionOptions{}),
		map[string]*onnx.Tensor{"x": {DType: onnx.Double, Dims: []int64{3}, Raw: raw}})["y"]
	if v, err := y.Float64s(); err != nil || !slices.Equal(v, []float64{-1, -2, -3}) {
		t.Error(v, err)
	}
}
