package eval

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// head makes a head of the logits of each sample.
func head(name string, classes []int, logits ...[]float64) Head {
	h := Head{Task: Task{Head: name, Classes: classes}, Width: len(logits[0])}
	for _, z := range logits {
		h.Top = append(h.Top, topOf(z))
	}
	return h
}

func TestTopOf(t *testing.T) {
	inf := math.Inf(1)
	tests := []struct {
		z     []float64
		index int
	}{
		{[]float64{1, 3, 2}, 1},
		{[]float64{2, 5, 5}, 1}, // ties go to the lowest
		{[]float64{0, 0, 0}, 0},
		{[]float64{-inf, -2, -inf}, 1}, // masked classes
		{[]float64{-inf, -inf}, -1},
		{[]float64{1, inf}, -1},
		{[]float64{math.NaN(), 1}, -1},
		{[]float64{1, math.NaN()}, -1},
		{nil, -1},
	}
	for _, test := range tests {
		if got := topOf(test.z); got.Index != test.index {
			t.Errorf("%v: %d, want %d", test.z, got.Index, test.index)
		}
	}
	near(t, "confidence", topOf([]float64{0, math.Log(3)}).Confidence(), 0.75, 1e-15)
	near(t, "of large logits", topOf([]float64{1e4, 1e4}).Confidence(), 0.5, 0)
}

func TestScore(t *testing.T) {
	a := head("a", []int{0, 2}, []float64{5, 0}, []float64{0, 3}, []float64{1, 0}, []float64{9, 0}, []float64{4, 4}, []float64{1, 1})
	b := head("b", []int{1, 3}, []float64{1, 0}, []float64{0, 4}, []float64{2, 0}, []float64{0, 1}, []float64{0, 0}, []float64{2, 0})
	labels := []int64{0, 2, 1, 3, 0, 7}
	r, err := Score([]Head{a, b}, labels, nil)
	if err != nil {
		t.Fatal(err)
	}
	// a's samples are 0, 1 and 4 (a tie, won by the lowest: class 0); b's are 2 and 3.
	if got := r.Tasks[0].Accuracy; got.N != 3 || got.Correct != 3 {
		t.Errorf("a: %v", got)
	}
	if got := r.Tasks[1].Accuracy; got.N != 2 || got.Correct != 2 {
		t.Errorf("b: %v", got)
	}
	// Margins of a: 5 3 1 9 0, of b: 1 4 2 1 0. The joint classes are 0, 3, 1, 0 and, a tie of heads, a's 0.
	joint := r.Joint.Softmax
	if want := []int64{0, 3, 1, 0, 0}; !slices.Equal(joint.Predictions.Classes, want) {
		t.Errorf("joint classes %v, want %v", joint.Predictions.Classes, want)
	}
	if joint.Accuracy.N != 5 || joint.Accuracy.Correct != 3 || r.Joint.Standardised != nil {
		t.Errorf("joint: %v", joint.Accuracy)
	}
	if r.Outside != 1 || len(r.Warnings) != 1 || r.Warnings[0].Code != "labels_outside" {
		t.Errorf("outside: %d, %v", r.Outside, r.Warnings)
	}
}

func TestSureAnswersDoNotTie(t *testing.T) {
	a := head("a", []int{0, 1}, []float64{60, 0})
	b := head("b", []int{2, 3}, []float64{0, 70}) // both probabilities round to 1
	r, err := Score([]Head{a, b}, []int64{3}, nil)
	if err != nil || r.Joint.Softmax.Accuracy.Correct != 1 {
		t.Errorf("%v, %v", r.Joint.Softmax, err)
	}
}

func TestStandardisedRule(t *testing.T) {
	// b's logits are ten times those of a: by the softmax it always wins.
	a := head("a", []int{0, 1}, []float64{3, 0}, []float64{1, 0})
	b := head("b", []int{2, 3}, []float64{10, 0}, []float64{30, 0})
	maxima := Maxima([]Head{a, b})
	if want := (Maximum{Head: "b", N: 2, Mean: 20, Deviation: 10}); maxima[1] != want {
		t.Fatalf("%+v, want %+v", maxima[1], want)
	}
	r, err := Score([]Head{a, b}, []int64{0, 2}, maxima)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Joint.Softmax.Predictions.Classes; !slices.Equal(got, []int64{2, 2}) {
		t.Errorf("softmax: %v", got)
	}
	if got := r.Joint.Standardised.Predictions.Classes; !slices.Equal(got, []int64{0, 2}) {
		t.Errorf("standardised: %v", got)
	}

	maxima[1].Deviation = 0
	r, err = Score([]Head{a, b}, []int64{0, 2}, maxima)
	if err != nil || r.Joint.Standardised != nil || !strings.Contains(r.Joint.StandardisedSkipped, `"b"`) {
		t.Errorf("no deviation: %+v, %v", r.Joint, err)
	}
	r, _ = Score([]Head{a, b}, []int64{0, 2}, maxima[:1])
	if r.Joint.StandardisedSkipped == "" {
		t.Error("a head without statistics is standardised")
	}
}

func TestJointIsSkipped(t *testing.T) {
	a, b := head("a", []int{0, 1}, []float64{1, 0}), head("b", []int{1, 2}, []float64{1, 0})
	r, err := Score([]Head{a, b}, []int64{1}, nil)
	if err != nil || r.Joint.Softmax != nil || !strings.Contains(r.Joint.Skipped, `class 1 belongs to "a" and to "b"`) {
		t.Errorf("%+v, %v", r.Joint, err)
	}
	if r.Tasks[0].Accuracy.Correct != 0 || r.Tasks[1].Accuracy.Correct != 1 {
		t.Errorf("a shared class belongs to both tasks: %+v", r.Tasks)
	}
	if r, _ = Score([]Head{a}, []int64{1}, nil); r.Joint.Skipped != "there is one head only" {
		t.Errorf("%+v", r.Joint)
	}
	a.Task.Classes, b.Task.Classes = nil, nil // local labels
	if r, _ = Score([]Head{a, b}, []int64{0}, nil); r.Joint.Skipped == "" || r.Tasks[0].Accuracy.Correct != 1 {
		t.Errorf("%+v", r)
	}
}

func TestNotFiniteIsWrong(t *testing.T) {
	a := head("a", []int{0, 1}, []float64{math.NaN(), 0}, []float64{1, 0})
	b := head("b", []int{2, 3}, []float64{1, 0}, []float64{0, 0})
	r, err := Score([]Head{a, b}, []int64{0, 0}, nil)
	if err != nil || r.NotFinite != 1 || r.Tasks[0].Accuracy.Correct != 1 || r.Joint.Softmax.Accuracy.Correct != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	var codes []string
	for _, w := range r.Warnings {
		codes = append(codes, w.Code+" "+w.Head)
	}
	if want := []string{"not_finite a", "no_samples b"}; !slices.Equal(codes, want) {
		t.Errorf("warnings %v, want %v", codes, want)
	}
}

func TestScoreErrors(t *testing.T) {
	a := head("a", []int{0, 1}, []float64{1, 0})
	for code, labels := range map[string][]int64{"label_count": {0, 0}, "labels_outside": {5}} {
		_, err := Score([]Head{a}, labels, nil)
		if e := fault.As(err); err == nil || e.Code != code || e.Kind != fault.Data {
			t.Errorf("%v, want %s", err, code)
		}
	}
}

func TestSanityOf(t *testing.T) {
	var logits [][]float64
	for i := range 20 {
		z := []float64{0, math.Log(3)}
		if i == 0 {
			z = []float64{math.Log(3), 0}
		}
		logits = append(logits, z)
	}
	s := SanityOf([]Head{head("a", []int{4, 7}, logits...)})[0]
	if s.N != 20 || !slices.Equal(s.Histogram, []int{1, 19}) || s.TopClass != 7 || s.TopShare != 0.95 {
		t.Errorf("%+v", s)
	}
	near(t, "confidence", s.MeanConfidence, 0.75, 1e-12)
	if len(s.Warnings) != 1 || s.Warnings[0].Code != "one_class" {
		t.Errorf("warnings %v", s.Warnings)
	}
	if s := SanityOf([]Head{head("a", nil, logits[1:10]...)})[0]; len(s.Warnings) > 0 {
		t.Errorf("nine samples are no evidence: %v", s.Warnings)
	}
	nan := []float64{math.NaN(), 0}
	if s := SanityOf([]Head{head("a", nil, nan)})[0]; s.NotFinite != 1 || len(s.Warnings) != 1 || s.MeanConfidence != 0 {
		t.Errorf("%+v", s)
	}
}
