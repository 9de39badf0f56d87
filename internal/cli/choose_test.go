package cli

import (
	"io"
	"testing"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/transform"
)

// TestGoalNotConfirmed: what was chosen passes by the half that chose it; missing the goal on the other half is a warning,
// and an error with --strict.
func TestGoalNotConfirmed(t *testing.T) {
	limit := 0.5
	for _, strict := range []bool{false, true} {
		m := &merging{a: &app{stderr: newConsole(io.Discard)}, f: &mergeFlags{}, res: &transform.Result{}}
		m.f.gates.maxDrop, m.f.gates.strict = &limit, strict
		m.choice = &choosing{gates: []gate{{Name: "max-drop", Limit: limit, Value: 0.4, Passed: true}}}
		m.choice.report.ReportSamples = map[string]int{}
		m.result.Report = &transform.Report{}
		m.result.Scores = &scores{Tasks: []taskRow{{Head: "a", Accuracy: eval.RateOf(93, 100), Difference: &eval.Diff{Points: -0.8}}}}
		m.judge()
		if len(m.a.doc.Warnings) != 1 || m.a.doc.Warnings[0].Code != "goal_not_confirmed" || m.a.doc.Warnings[0].Head != "a" {
			t.Fatalf("warnings %+v", m.a.doc.Warnings)
		}
		if err := m.a.gateError(); (err != nil) != strict {
			t.Errorf("strict %t: %v", strict, err)
		}
		if g := m.a.doc.Gates[0]; g.Name != "max-drop" || !g.Passed || g.Value != 0.4 || m.choice.report.ReportSamples["a"] != 100 {
			t.Errorf("%+v, %v", g, m.choice.report.ReportSamples)
		}
	}
}

// TestMisses: the distance to the goals is the worst one's, a score's in percent of its limit.
func TestMisses(t *testing.T) {
	drop, limit := 0.5, 0.8
	m := &merging{a: &app{stderr: newConsole(io.Discard)}, f: &mergeFlags{}}
	m.f.gates.maxDrop, m.f.gates.scoreLimit = &drop, &limit
	lost := func(points float64) []sweep.Task {
		return []sweep.Task{{Head: "a", Difference: &eval.Diff{Points: -points}}}
	}
	for _, c := range []struct {
		lost, score, misses float64
		keeps               bool
	}{{0.5, 0.8, 0, true}, {2.5, 0.9, 2, false}, {0.1, 0.6, 25, false}, {1.5, 0.792, 1, false}} {
		one := tried{Row: sweep.Row{Tasks: lost(c.lost), Score: &score.Result{Key: "map", Goal: score.Max, Value: c.score}}}
		one.judge(m)
		if one.Keeps != c.keeps || one.Misses < c.misses-1e-6 || one.Misses > c.misses+1e-6 || len(one.Gates) != 2 {
			t.Errorf("lost %g, score %g: keeps %t, misses by %g; want %t, %g", c.lost, c.score, one.Keeps, one.Misses, c.keeps, c.misses)
		}
	}
}

// TestNearest: a cut that shares less is taken only where it is nearer by more than what few samples can tell.
func TestNearest(t *testing.T) {
	merge := func(err float64, samples int) tried {
		return tried{Row: sweep.Row{HeldOut: transform.Judgement{{RelativeError: err, Samples: samples}}}}
	}
	failed := tried{Row: sweep.Row{Failed: &sweep.Failure{}}}
	for _, c := range []struct {
		errors  []float64
		samples int
		want    int
	}{
		{[]float64{0.100, 0.097, 0.098}, 64, 1}, // 3 % of 64 samples are noise
		{[]float64{0.100, 0.097, 0.098}, 512, 2},
		{[]float64{0.100, 0.090, 0.089}, 64, 2},
	} {
		all := []tried{failed}
		for _, e := range c.errors {
			all = append(all, merge(e, c.samples))
		}
		if got := nearest(all); got != &all[c.want] {
			t.Errorf("%v of %d samples: took %+v", c.errors, c.samples, got.HeldOut)
		}
	}
	if nearest([]tried{failed}) != nil {
		t.Error("a merge that failed was taken")
	}
}
