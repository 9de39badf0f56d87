package transform_test

import (
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform"
)

// TestWeigh: the more a model counts, the less its head loses and the more the other's, on held-out samples, whatever
// merged features imitate; weights that are all the same change nothing.
func TestWeigh(t *testing.T) {
	for _, method := range []string{"mean", "select"} {
		p, src := pairOf(t, "mlp", "a", "b")
		errorsOf := func(weights map[string]float64) (a, b float64, share []float64) {
			if err := p.Weigh(weights); err != nil {
				t.Fatal(err)
			}
			s := preset(t, "best")
			s.Represent = method
			res := mergeAll(t, p, src, transform.Options{Settings: s})
			return judged(res.Report.HeldOut, "a"), judged(res.Report.HeldOut, "b"), res.Report.Spaces[1].Share
		}
		a, b, even := errorsOf(nil)
		if sameA, sameB, _ := errorsOf(map[string]float64{"a": 2, "b": 2}); math.Abs(sameA-a) > 1e-6 || math.Abs(sameB-b) > 1e-6 {
			t.Errorf("%s: equal weights give the errors %g and %g, none %g and %g", method, sameA, sameB, a, b)
		}
		forA, lessB, share := errorsOf(map[string]float64{"a": 5})
		lessA, forB, _ := errorsOf(map[string]float64{"b": 5})
		if !(forA < a && a < lessA) || !(forB < b && b < lessB) {
			t.Errorf("%s: head a is off by %.3f, %.3f where it counts more, %.3f where less; b by %.3f, %.3f, %.3f", method, a, forA, lessA, b, forB, lessB)
		}
		if !(share[0] > even[0]) {
			t.Errorf("%s: the share of model a is %.3f where it counts five times, else %.3f", method, share[0], even[0])
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
