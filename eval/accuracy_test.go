package eval

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// TestAccuracyOfSources compares with what PyTorch measured: each model's accuracy on all 5,000 test images of
// its task, of which the test file holds 1,000, and the exact joint accuracy on that file.
func TestAccuracyOfSources(t *testing.T) {
	e := orttest.Engine(t)
	man := readManifest(t)
	full := map[string]float64{}
	for _, m := range man.Models {
		full[strings.TrimSuffix(m.File, ".onnx")] = m.Accuracy.Value
	}
	for _, pair := range man.Pairs {
		if testing.Short() && pair.Name == "fmnist_resnet20" {
			continue
		}
		var heads []Head
		var labels []int64
		for i, name := range []string{"a", "b"} {
			file := pair.Name + "_" + name
			m := load(t, file)
			src, l := testData(t, m)
			labels = l
			tasks := []Task{{Head: name, Classes: [][]int{classesA, classesB}[i]}}
			h, err := Predict(ctx, e, m, tasks, src, Options{Batch: 100})
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, h...)
			r, err := Score(h, labels, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Tasks[0].Accuracy
			if got.N != 1000 || r.Outside != 1000 {
				t.Errorf("%s: n = %d, outside %d", file, got.N, r.Outside)
			}
			if got.Low > full[file] || full[file] > got.High {
				t.Errorf("%s: %v, PyTorch has %v on all images", file, got, full[file])
			}
		}
		r, err := Score(heads, labels, nil)
		if err != nil {
			t.Fatal(err)
		}
		// float32 rounds sure answers to equal probabilities in PyTorch; a sample may then differ
		if got := r.Joint.Softmax.Accuracy; got.N != 2000 || math.Abs(got.Value-pair.Ensemble.Value) > 0.0005 {
			t.Errorf("%s: joint %v, PyTorch has %v", pair.Name, got, pair.Ensemble.Value)
		}
	}
}

// TestAccuracyOfTwoHeads judges one file with two heads; it must do exactly as the two files alone.
func TestAccuracyOfTwoHeads(t *testing.T) {
	e := orttest.Engine(t)
	a, b := load(t, "fmnist_frozen_a"), load(t, "fmnist_frozen_b")
	merged := sideBySide(a, b)
	src, labels := testData(t, merged)
	tasks := []Task{{"a", classesA, "a_logits"}, {"b", classesB, "b_logits"}}

	calibration, err := Predict(ctx, e, merged, tasks, openData(t, "fmnist_calib.npz", merged), Options{})
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	o := AccuracyOptions{Options: Options{Progress: func(n, _ int) { done = n }}, Maxima: Maxima(calibration)}
	r, err := Accuracy(ctx, e, merged, tasks, src, labels, o)
	if err != nil {
		t.Fatal(err)
	}
	if done != 2000 {
		t.Errorf("progress ended at %d", done)
	}
	for i, m := range []*onnx.Model{a, b} {
		alone, err := Accuracy(ctx, e, m, []Task{{Head: tasks[i].Head, Classes: tasks[i].Classes}}, src, labels, AccuracyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := Compare(r.Tasks[i].Predictions, alone.Tasks[0].Predictions)
		if err != nil || d.OnlyFirst+d.OnlySecond > 0 || d.N != 1000 {
			t.Errorf("%s: %+v, %v", tasks[i].Head, d, err)
		}
	}
	// Two heads on one trunk differ in the scale of their logits, which this rule takes out.
	gain, err := Compare(r.Joint.Standardised.Predictions, r.Joint.Softmax.Predictions)
	if err != nil || gain.N != 2000 || gain.Low < 5 {
		t.Errorf("standardised against softmax: %+v, %v", gain, err)
	}
	for _, s := range SanityOf(calibration) {
		if len(s.Warnings) > 0 || s.N != 640 || s.MeanConfidence < 0.5 || s.MeanConfidence > 1 {
			t.Errorf("sanity: %+v", s)
		}
	}
}

// TestFixedBatch: 2,000 samples in batches of 7 leave a rest of 5.
func TestFixedBatch(t *testing.T) {
	e := orttest.Engine(t)
	m := load(t, "fmnist_mlp_a")
	src, labels := testData(t, m)
	tasks := []Task{{Head: "a", Classes: classesA}}
	want, err := Accuracy(ctx, e, m, tasks, src, labels, AccuracyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fixed := withBatch(m, 7)
	got, err := Accuracy(ctx, e, fixed, tasks, src, labels, AccuracyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Tasks[0].Accuracy != want.Tasks[0].Accuracy {
		t.Errorf("%v, want %v", got.Tasks[0].Accuracy, want.Tasks[0].Accuracy)
	}
}

// withBatch fixes the batch of a model with one input and one output of five classes.
func withBatch(m *onnx.Model, batch int64) *onnx.Model {
	m = m.Clone()
	g := m.Graph()
	g.Input[0] = onnx.NewValueInfo(g.Input[0].GetName(), onnx.Float, onnx.Static(batch, 1, 28, 28))
	g.Output[0] = onnx.NewValueInfo(g.Output[0].GetName(), onnx.Float, onnx.Static(batch, 5))
	g.ValueInfo = nil
	return m
}

func TestAccuracyErrors(t *testing.T) {
	e := orttest.Engine(t)
	m := load(t, "fmnist_mlp_a")
	src, labels := testData(t, m)
	tests := []struct {
		name   string
		tasks  []Task
		labels []int64
		code   string
	}{
		{"no tasks", nil, labels, "no_tasks"},
		{"no such output", []Task{{Head: "a", Output: "nowhere"}}, labels, "no_output"},
		{"a head twice", []Task{{Head: "a"}, {Head: "a"}}, labels, "same_head"},
		{"a class twice", []Task{{Head: "a", Classes: []int{1, 2, 3, 4, 1}}}, labels, "same_class"},
		{"too few classes", []Task{{Head: "a", Classes: []int{1, 2, 3}}}, labels, "class_count"},
		{"too few labels", []Task{{Head: "a", Classes: classesA}}, labels[1:], "label_count"},
		{"classes of others", []Task{{Head: "a", Classes: []int{10, 11, 12, 13, 14}}}, labels, "labels_outside"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Accuracy(ctx, e, m, test.tasks, src, test.labels, AccuracyOptions{})
			if err == nil || fault.As(err).Code != test.code {
				t.Errorf("%v, want %s", err, test.code)
			}
		})
	}
}

func TestLogits(t *testing.T) {
	six := make([]float32, 6)
	for _, ok := range [][]int64{{2, 3}, {2, 3, 1, 1}} {
		if _, width, err := logits(onnx.FromFloat32(six, ok...), 2, "y"); err != nil || width != 3 {
			t.Errorf("%v: width %d, %v", ok, width, err)
		}
	}
	for _, bad := range [][]int64{{6}, {3, 2}, {1, 2, 3}, {2, 1, 3}} {
		if _, _, err := logits(onnx.FromFloat32(six, bad...), 2, "y"); err == nil || fault.As(err).Code != "no_logits" {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
