package transform_test

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform"
)

// TestWeigh: the more a model counts, the less its head loses and the more the other's, on images that were not used,
// however features are chosen; weights that are all the same change nothing.
func TestWeigh(t *testing.T) {
	for _, way := range []struct{ match, represent string }{{"zip", "mean"}, {"zip", "select"}, {"subset", ""}} {
		p, _ := pairOf(t, "mlp", "a", "b")
		src, test := images(t, p.Originals[0], "calib"), testImages(t, p, 1000)
		errorsOf := func(weights map[string]float64) (errs, share []float64) {
			if err := p.Weigh(weights); err != nil {
				t.Fatal(err)
			}
			s := preset(t, "best")
			s.Match = way.match
			if way.represent != "" {
				s.Represent = way.represent
			}
			res := mergeAll(t, p, src, transform.Options{Settings: s})
			off := outputErrors(t, p, res.Model, test)
			return []float64{off["a_logits"], off["b_logits"]}, res.Report.Spaces[1].Share
		}
		even, share := errorsOf(nil)
		same, _ := errorsOf(map[string]float64{"a": 2, "b": 2})
		forA, more := errorsOf(map[string]float64{"a": 5})
		forB, less := errorsOf(map[string]float64{"b": 5})
		if !slices.EqualFunc(even, same, func(x, y float64) bool { return math.Abs(x-y) <= 1e-6 }) {
			t.Errorf("%v: equal weights give the errors %.4f, none %.4f", way, same, even)
		}
		if !(forA[0] < even[0] && even[0] < forB[0]) || !(forB[1] < even[1] && even[1] < forA[1]) {
			t.Errorf("%v: the heads are off by %.3f, by %.3f where a counts five times, by %.3f where b does", way, even, forA, forB)
		}
		if !(more[0] > share[0] && share[0] > less[0]) {
			t.Errorf("%v: the share of model a is %.3f where it counts five times, %.3f where b does, else %.3f", way, more[0], less[0], share[0])
		}
	}
}

func TestWeighRefuses(t *testing.T) {
	p, _ := pairOf(t, "mlp", "a", "b")
	for _, w := range []map[string]float64{{"x": 1}, {"a": 0}, {"a": -1}, {"a": math.NaN()}, {"b": math.Inf(1)}} {
		if e := fault.As(p.Weigh(w)); e == nil || e.Code != "bad_weight" {
			t.Errorf("%v: %v", w, e)
		}
	}
}
