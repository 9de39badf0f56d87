package gorgonnx

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
)

const models = "../../testdata/models/"

// run opens a model in an engine and runs it once.
func run(t testing.TB, e calibrate.Engine, m *onnx.Model, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	t.Helper()
	s, err := e.Open(t.Context(), m, calibrate.SessionOptions{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Run(t.Context(), feeds)
}

// near checks that got is want up to 10⁻⁴ of the largest absolute value.
func near(t testing.TB, got, want *onnx.Tensor) {
	t.Helper()
	x, errX := got.Float64s()
	y, errY := want.Float64s()
	if errX != nil || errY != nil || len(x) != len(y) || !slices.Equal(got.Dims, want.Dims) {
		t.Fatalf("%v %v %v, want %v %v %v", got.DType, got.Dims, errX, want.DType, want.Dims, errY)
	}
	worst, largest := 0.0, 0.0
	for i := range x {
		worst, largest = max(worst, math.Abs(x[i]-y[i])), max(largest, math.Abs(y[i]))
	}
	if !(worst <= 1e-4*largest) { // NaN fails
		t.Errorf("differs by %g where the largest value is %g", worst, largest)
	}
	t.Logf("differs by %.1e of the largest value", worst/largest)
}

// Every model of the test data, against ONNX Runtime, for one sample and for several.
func TestRealModels(t *testing.T) {
	files, err := filepath.Glob(models + "*.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	set, err := data.Open(models+"fmnist_test.npz", data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			m, err := onnx.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			inputs, err := data.Inputs(m)
			if err != nil {
				t.Fatal(err)
			}
			src, err := set.Bind(inputs)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range [][2]int{{0, 1}, {1, 4}} {
				feeds, err := src.Batch(r[0], r[1])
				if err != nil {
					t.Fatal(err)
				}
				want, err := run(t, orttest.Engine(t), m, feeds)
				if err != nil {
					t.Fatal(err)
				}
				got, err := run(t, Engine{}, m, feeds)
				if err != nil {
					t.Fatal(err)
				}
				near(t, got["logits"], want["logits"])
			}
		})
	}
}
