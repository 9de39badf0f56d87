package shape_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// The engine says what every value of the cases really is.
func TestRulesAgainstEngine(t *testing.T) {
	for _, c := range allCases() {
		if c.only {
			continue
		}
		t.Run(c.name, func(t *testing.T) { againstEngine(t, onnxtest.Build(t, c.text), sizes) })
	}
}

// The engine says what every value of the real models is, at two batch sizes.
func TestModelsAgainstEngine(t *testing.T) {
	for _, path := range onnxtest.Models(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := onnx.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			shapes, err := shape.Infer(m, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if u := shape.Unknown(shapes); len(u) > 0 {
				t.Errorf("unknown: %v", u)
			}
			for _, n := range []int64{1, 3} {
				againstEngine(t, m, map[string]int64{"batch": n})
			}
		})
	}
}

// againstEngine compares what is inferred, once with the symbols bound and once without, with what the
// engine computes.
func againstEngine(t *testing.T, m *onnx.Model, sizes map[string]int64) {
	t.Helper()
	feeds := onnxtest.Feeds(m, 1, sizes)
	bound := map[string][]int64{}
	for name, f := range feeds {
		bound[name] = f.Dims
	}
	exact, err := shape.Infer(m, shape.Options{InputDims: bound})
	if err != nil {
		t.Fatal(err)
	}
	symbolic, err := shape.Infer(m, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	values, err := runAll(t, m, exact, feeds)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range values {
		for _, shapes := range []shape.Shapes{exact, symbolic} {
			if err := compare(shapes[name], got, sizes); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// runAll computes every node's outputs.
func runAll(t *testing.T, m *onnx.Model, shapes shape.Shapes, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	t.Helper()
	m = m.Clone()
	g := m.Graph()
	g.Output, g.ValueInfo = nil, nil
	for _, n := range g.GetNode() {
		for _, out := range n.GetOutput() {
			if out != "" {
				g.Output = append(g.Output, onnx.NewValueInfo(out, shapes[out].DType, nil))
			}
		}
	}
	ctx := context.Background()
	s, err := orttest.Engine(t).Open(ctx, m, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Run(ctx, feeds)
}

// compare finds a known property of v that the tensor does not have. sizes are those of the symbols.
func compare(v shape.Value, got *onnx.Tensor, sizes map[string]int64) error {
	if v.DType != onnx.Undefined && v.DType != got.DType {
		return fmt.Errorf("inferred %v, the engine has %v", v, got.DType)
	}
	if !v.HasRank {
		return nil
	}
	if !fits(v.Dims, got.Dims, sizes) {
		return fmt.Errorf("inferred %v, the engine has %v", v, got.Dims)
	}
	if v.Ints == nil {
		return nil
	}
	ints, err := got.Int64s()
	if err != nil {
		return err
	}
	if !fits(v.Ints, ints, sizes) {
		return fmt.Errorf("inferred %v, the engine has %v", v.Ints, ints)
	}
	return nil
}

// fits reports whether the numbers, and the symbols that can be evaluated, are what the engine has.
func fits(dims []shape.Dim, got []int64, sizes map[string]int64) bool {
	return slices.EqualFunc(dims, got, func(d shape.Dim, n int64) bool {
		if d.Known() {
			return d.Size == n
		}
		size, ok := evaluate(d.Sym, sizes)
		return !ok || size == n
	})
}
