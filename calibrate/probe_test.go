package calibrate_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func TestProbe(t *testing.T) {
	// A batch-dependent shape chain as exporters write it, a scalar, and a sequence.
	m := model(14, []int64{3, 4}, map[string]*onnx.Tensor{
		"zero": onnx.FromInt64([]int64{0}), "minus": onnx.FromInt64([]int64{-1}, 1), "axis": onnx.FromInt64([]int64{0}, 1),
		"table": random(1, 5, 2),
	},
		node("Shape", "x", "shape"), node("Gather", "shape zero", "n", onnx.Int("axis", 0)),
		node("Unsqueeze", "n axis", "n1"), node("Concat", "n1 minus", "target", onnx.Int("axis", 0)),
		node("Reshape", "x target", "y"),
		node("ReduceSum", "x", "scalar", onnx.Int("keepdims", 0)),
		node("SequenceConstruct", "x y", "list"), node("Identity", "list", "same"), node("SequenceLength", "same", "length"),
		node("Cast", "x", "ids", onnx.Int("to", int64(onnx.Int64))),
	)
	feeds := func(n int64) map[string]*onnx.Tensor {
		return map[string]*onnx.Tensor{"x": onnx.NewTensor(onnx.Float, n, 3, 4)}
	}
	got, err := calibrate.Probe(t.Context(), orttest.Engine(t), m, feeds(1), feeds(2))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int64{1, 2} {
		want := calibrate.Probed{
			Dims: map[string][]int64{
				"shape": {3}, "n": {}, "n1": {1}, "target": {2}, "y": {n, 12}, "scalar": {}, "length": {}, "ids": {n, 3, 4},
			},
			Ints: map[string][]int64{"shape": {n, 3, 4}, "n": {n}, "n1": {n}, "target": {n, -1}},
		}
		if diff := cmp.Diff(want, got[i]); diff != "" {
			t.Errorf("batch %d (-want +got):\n%s", n, diff)
		}
	}
	_, err = calibrate.Probe(t.Context(), orttest.Engine(t), m, map[string]*onnx.Tensor{})
	wantFault(t, err, fault.Data, "missing_input", "x")
}

func TestProbeOfRealModels(t *testing.T) {
	for _, name := range []string{"mlp", "vgg", "resnet20"} {
		m, src := pair(t, name), calibration(t, 2)
		one, err := src.Batch(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		two, err := src.Batch(0, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := calibrate.Probe(t.Context(), orttest.Engine(t), m, one, two)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range m.Graph().GetNode() {
			a, b := got[0].Dims[n.GetOutput()[0]], got[1].Dims[n.GetOutput()[0]]
			if len(a) < 2 || len(a) != len(b) || a[0] != 1 || b[0] != 2 || !slices.Equal(a[1:], b[1:]) {
				t.Errorf("%s: %s has the dims %v and %v", name, n.GetOutput()[0], a, b)
			}
		}
	}
}
