package refit_test

import (
	"bytes"
	"context"
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

const models = "../../testdata/models/"

// fixture is a real pair, zipped in full and not yet repaired.
type fixture struct {
	engine   calibrate.Engine
	prepared *transform.Prepared
	trunk    *merge.Trunk
	stats    *transform.Statistics
	as       merge.Assignments
	src      data.Source
}

// load zips a pair of testdata/models in full.
func load(t *testing.T, pair string, samples int) *fixture {
	t.Helper()
	var loaded []*onnx.Model
	for _, half := range []string{"a", "b"} {
		m, err := onnx.Load(models + pair + "_" + half + ".onnx")
		check(t, err)
		loaded = append(loaded, m)
	}
	f := loadModels(t, samples, loaded...)
	f.assign(t, "zip", "mean")
	return f
}

// loadModels measures models on calibration images.
func loadModels(t *testing.T, samples int, loaded ...*onnx.Model) *fixture {
	t.Helper()
	f := &fixture{engine: orttest.Engine(t)}
	original, err := onnx.Load(models + "fmnist_vgg_a.onnx")
	check(t, err)
	inputs, err := data.Inputs(original)
	check(t, err)
	file, err := data.Open(models+"fmnist_calib.npz", data.Options{})
	check(t, err)
	bound, err := file.Bind(inputs)
	check(t, err)
	f.src, err = data.Sample(bound, samples, 1)
	check(t, err)
	if dtype, _, _ := onnx.TensorType(loaded[0].Graph().GetInput()[0]); dtype == onnx.Float16 {
		f.src = halfSource{f.src}
	}
	f.prepared, err = transform.Prepare(loaded, transform.PrepareOptions{})
	check(t, err)
	f.trunk, err = merge.FindTrunk(f.prepared.Sources, merge.Cut{})
	check(t, err)
	f.stats, err = f.prepared.Measure(context.Background(), f.engine, f.trunk, f.src, true, calibrate.CaptureOptions{})
	check(t, err)
	return f
}

func (f *fixture) assign(t *testing.T, method, represent string) {
	t.Helper()
	s, err := transform.Preset(method)
	check(t, err)
	s.Represent = represent
	f.as, err = f.prepared.Assign(f.trunk, f.stats, s)
	check(t, err)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build merges without a refit.
func (f *fixture) build(t *testing.T) *merge.Merged {
	t.Helper()
	m, err := merge.Build(f.prepared.Sources, f.trunk, f.as, merge.Options{})
	check(t, err)
	return m
}

// fitted refits by least squares; every tenth sample is held out.
func (f *fixture) fitted(t *testing.T, o refit.Options) (*merge.Merged, []refit.Fit) {
	t.Helper()
	fit, held, err := data.Split(f.src, 10)
	check(t, err)
	m := f.build(t)
	fits, err := f.prepared.LeastSquares(context.Background(), f.engine, f.trunk, f.as, m, fit, held, o)
	check(t, err)
	return m, fits
}

func (f *fixture) repaired(t *testing.T, o refit.Options) (*merge.Merged, []refit.Outcome) {
	t.Helper()
	m := f.build(t)
	out, err := f.prepared.Repair(context.Background(), f.engine, f.trunk, f.as, f.stats, m, f.src, nil, o)
	check(t, err)
	return m, out
}

// TestRepairReachesItsTargets measures the repaired network afresh, by another route: every channel of every
// repaired node must have its members' mean and deviation.
func TestRepairReachesItsTargets(t *testing.T) {
	for _, pair := range []string{"fmnist_vgg", "fmnist_resnet20"} {
		t.Run(pair, func(t *testing.T) {
			f := load(t, pair, 64)
			m, outcomes := f.repaired(t, refit.Options{Workers: 2})
			side, err := f.prepared.SideBySide(nil)
			check(t, err)
			nodes := f.prepared.RepairNodes(f.trunk, f.as, f.stats, side)
			if len(outcomes) != len(nodes) || len(nodes) < 6 {
				t.Fatalf("%d outcomes for %d nodes", len(outcomes), len(nodes))
			}
			var taps []calibrate.Tap
			for _, n := range nodes {
				part := calibrate.Part{Value: n.Output, Axis: n.Axis, Len: len(n.Mean)}
				taps = append(taps, calibrate.Tap{Name: n.Output, Parts: []calibrate.Part{part}, Diagonal: true})
			}
			got, err := calibrate.Capture(context.Background(), f.engine, m.Model, taps, f.src, calibrate.CaptureOptions{})
			check(t, err)
			for k, n := range nodes {
				if outcomes[k].Clamped+outcomes[k].Left > 0 {
					continue // such channels keep another deviation, by intention
				}
				for c := range n.Mean {
					mean, std := got[n.Output].Mean[c], math.Sqrt(got[n.Output].Cov[c])
					if math.Abs(mean-n.Mean[c]) > 1e-3*n.Std[c]+1e-5 || math.Abs(std-n.Std[c]) > 1e-3*n.Std[c]+1e-5 {
						t.Fatalf("node %s channel %d: mean %.5g deviation %.5g, want %.5g %.5g", n.Name, c, mean, std, n.Mean[c], n.Std[c])
					}
				}
			}
		})
	}
}

// TestRepairSameBytes: neither the number of workers nor spilling to disk changes a byte.
func TestRepairSameBytes(t *testing.T) {
	f := load(t, "fmnist_vgg", 70)
	var first []byte
	for _, o := range []refit.Options{{Workers: 1}, {Workers: 4}, {Workers: 2, Memory: 1, Scratch: t.TempDir()}} {
		m, _ := f.repaired(t, o)
		b, err := m.Model.Marshal()
		check(t, err)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%+v: the bytes differ", o)
		}
	}
}

// TestRepairOfExactMerge: where the merge is the model itself, there is nothing to repair.
func TestRepairOfExactMerge(t *testing.T) {
	a, err := onnx.Load(models + "fmnist_vgg_a.onnx")
	check(t, err)
	f := load(t, "fmnist_vgg", 64)
	f.prepared, err = transform.Prepare([]*onnx.Model{a, a}, transform.PrepareOptions{})
	check(t, err)
	f.trunk, err = merge.FindTrunk(f.prepared.Sources, merge.Cut{})
	check(t, err)
	if !f.trunk.Exact {
		t.Fatal("a model and itself are not found to be identical")
	}
	f.as, err = f.prepared.Assign(f.trunk, nil, transform.Settings{Match: "zip"})
	check(t, err)
	if _, outcomes := f.repaired(t, refit.Options{}); len(outcomes) != 0 {
		t.Errorf("%d nodes of an exact merge were repaired", len(outcomes))
	}
}
