package transform_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// auto is the default method with match auto and another refit.
func auto(t *testing.T, refit string) transform.Settings {
	t.Helper()
	s := preset(t, "best")
	s.Match, s.Refit = transform.MatchAuto, refit
	return s
}

// first are the first samples of a source.
type first struct {
	calibrate.Source
	n int
}

func (f first) Samples() int { return f.n }

// checkChoices fails unless every choice follows from the residuals, the counts from the choices, and what was kept from the
// errors.
func checkChoices(t *testing.T, rep transform.Report) {
	t.Helper()
	plain := []string{"identity", "permute", "subset", "zip"}
	counts := map[string]int{}
	for _, sp := range rep.Spaces {
		if sp.Match == "" {
			continue
		}
		if counts[sp.Match]++; rep.Auto.Merge == "average" {
			if sp.Match != "identity" {
				t.Errorf("space %q says %q of an averaged merge", sp.Name, sp.Match)
			}
			continue
		}
		taken, ok := sp.Residuals[sp.Match]
		if !ok || len(sp.Residuals) < 2 {
			t.Errorf("space %q took %q of %v", sp.Name, sp.Match, sp.Residuals)
		}
		for name, other := range sp.Residuals {
			if !(other >= 0) || taken > other*1.06+1e-8 || slices.Index(plain, name) < slices.Index(plain, sp.Match) && other*0.95 <= taken*0.999 {
				t.Errorf("space %q took %q of %v", sp.Name, sp.Match, sp.Residuals)
			}
		}
	}
	for name, n := range rep.Auto.Taken {
		if counts[name] != n && rep.Auto.Merge == "spaces" {
			t.Errorf("counts are %v, %v in the spaces", rep.Auto.Taken, counts)
		}
	}
	spaces, compared := rep.Auto.Errors["spaces"]
	if average := rep.Auto.Errors["average"]; compared && (rep.Auto.Merge == "average") != (average <= spaces) {
		t.Errorf("kept %q of the errors %v", rep.Auto.Merge, rep.Auto.Errors)
	}
}

// TestAutoIsNeverBelowAveraging: of models tuned from one checkpoint, what auto makes is at least as near to its sources as
// averaging feature by feature with the same refit, and as plain averaging; most spaces keep their places.
func TestAutoIsNeverBelowAveraging(t *testing.T) {
	p, src := pairOf(t, "tuned", "a", "b")
	plain := math.Inf(1) // without a refit, which comes first
	for _, refit := range transform.Refits {
		s := preset(t, "average")
		s.Refit = refit
		average := mergeAll(t, p, src, transform.Options{Settings: s, Judge: true}).Report.HeldOut.RelativeError()
		plain = min(plain, average)
		res := mergeAll(t, p, src, transform.Options{Settings: auto(t, refit), Judge: true})
		rep := res.Report
		checkChoices(t, rep)
		if got := rep.HeldOut.RelativeError(); got > average*(1+1e-6) || got > plain*(1+1e-6) {
			t.Errorf("refit %s: the outputs err by %.4f, averaged ones by %.4f, plainly by %.4f", refit, got, average, plain)
		}
		if e := rep.Auto.Errors["average"]; len(rep.Auto.Errors) > 0 && math.Abs(e-average) > 1e-6*average {
			t.Errorf("refit %s: %.6f is given as the error of averaging, it is %.6f", refit, e, average)
		}
		if rep.Auto.Taken["identity"] < 3 {
			t.Errorf("refit %s took %v", refit, rep.Auto.Taken)
		}
	}
}

// TestAutoOfUnlikeModels: independent models are not averaged by place, and come out no worse than averaged, permuted or zipped.
func TestAutoOfUnlikeModels(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	for _, refit := range transform.Refits {
		res := mergeAll(t, p, src, transform.Options{Settings: auto(t, refit), Judge: true})
		checkChoices(t, res.Report)
		if n := res.Report.Auto.Taken["identity"]; n > 0 || res.Report.Auto.Merge != "spaces" {
			t.Errorf("refit %s took %v and kept %q", refit, res.Report.Auto.Taken, res.Report.Auto.Merge)
		}
		got := res.Report.HeldOut.RelativeError()
		for _, match := range []string{"identity", "permute", "zip"} {
			s := auto(t, refit)
			s.Match = match
			if e := mergeAll(t, p, src, transform.Options{Settings: s, Judge: true}).Report.HeldOut.RelativeError(); got > e*1.02 {
				t.Errorf("refit %s: the outputs err by %.4f, by %.4f with match %s", refit, got, e, match)
			}
		}
	}
}

// TestAutoOfAPermutedCopy: a model and its copy in another order give the model.
func TestAutoOfAPermutedCopy(t *testing.T) {
	_, src := pairOf(t, "mlp", "a")
	p := prepare(t, real(t, "mlp_a"), copyOf(t, "mlp_a", 3))
	for _, refit := range transform.Refits {
		res := mergeAll(t, p, src, transform.Options{Settings: auto(t, refit)})
		checkChoices(t, res.Report)
		want := sampled(t, real(t, "mlp_a"), src)["logits"]
		got := sampled(t, res.Model, src)
		for _, head := range []string{"a", "b"} {
			if d := deviation(got[head+"_logits"], want); !(d <= 1e-4) {
				t.Errorf("refit %s: head %s is off by %.2g (%v)", refit, head, d, res.Report.Auto.Taken)
			}
		}
		for _, sp := range res.Report.Spaces {
			if sp.Match == "identity" || sp.Residuals[sp.Match] > 1e-2 {
				t.Errorf("refit %s: space %q took %q of %v", refit, sp.Name, sp.Match, sp.Residuals)
			}
		}
	}
}

// TestAutoMovesHeads: heads of an attention move together where that leaves less, and stay where nothing has moved.
func TestAutoMovesHeads(t *testing.T) {
	text := `
		opset 23
		input x f32[N,5,6]
		we = init f32[6,8] random(1)
		h = MatMul(x, we)
		wq = init f32[8,8] random(3)
		wk = init f32[8,8] random(4)
		wv = init f32[8,8] random(5)
		q = MatMul(h, wq)
		k = MatMul(h, wk)
		v = MatMul(h, wv)
		a, present, _, scores = Attention(q, k, v) {q_num_heads=4, kv_num_heads=4}
		wo = init f32[8,8] random(6)
		o = MatMul(a, wo)
		r = Add(h, o)
		wy = init f32[8,3] random(7)
		t = Tanh(r)
		y = MatMul(t, wy)
		output y f32[N,5,3]
	`
	m := onnxtest.Build(t, text)
	single := prepare(t, m)
	trunk := findTrunk(t, single, merge.Cut{Distinct: true})
	p := prepare(t, m, permuted(t, single, trunk, permutations(trunk, 4)))
	src := randomSamples(200, "x", 5, 6)
	res := mergeAll(t, p, src, transform.Options{Settings: auto(t, "none")})
	checkChoices(t, res.Report)
	heads := 0
	for _, sp := range res.Report.Spaces {
		if sp.Match == "permute" && sp.Mode == "permute" {
			heads++
		}
		if sp.Match == "identity" {
			t.Errorf("space %q keeps its places: %v", sp.Name, sp.Residuals)
		}
	}
	if heads == 0 {
		t.Errorf("no heads were moved: %v", res.Report.Auto.Taken)
	}
	feeds := src.batch(0, 16)
	want, got := run(t, engine(t), m, feeds)["y"], run(t, engine(t), res.Model, feeds)
	for _, head := range []string{"a", "b"} {
		if d := deviation(got[head+"_y"], want); !(d <= 1e-4) {
			t.Errorf("head %s is off by %.2g", head, d)
		}
	}
}

// TestAutoAtOtherWidths: what cannot change a width is not tried where a budget changes it.
func TestAutoAtOtherWidths(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	s := auto(t, "ls")
	s.Budget = 0.5
	res := mergeAll(t, p, src, transform.Options{Settings: s, Controls: true})
	checkChoices(t, res.Report)
	for _, sp := range res.Report.Spaces {
		_, identity := sp.Residuals["identity"]
		if _, permute := sp.Residuals["permute"]; sp.Width != sp.Dim && (identity || permute || len(sp.Residuals) != 2) {
			t.Errorf("space %q from %d to %d: %v", sp.Name, sp.Dim, sp.Width, sp.Residuals)
		}
	}
	if len(res.Report.Auto.Errors) > 0 || len(res.Report.Controls) != 2 { // halves and shrunk
		t.Errorf("compared %v, %d controls", res.Report.Auto.Errors, len(res.Report.Controls))
	}
}

// TestAutoByWeight: the task that counts more loses less.
func TestAutoByWeight(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	of := func(weights map[string]float64) transform.Judgement {
		if err := p.Weigh(weights); err != nil {
			t.Fatal(err)
		}
		res := mergeAll(t, p, src, transform.Options{Settings: auto(t, "ls")})
		checkChoices(t, res.Report)
		return res.Report.HeldOut
	}
	alike, heavy := of(nil), of(map[string]float64{"a": 10})
	if heavy[0].RelativeError > 0.9*alike[0].RelativeError || heavy[1].RelativeError < alike[1].RelativeError {
		t.Errorf("errors %v, with ten times the weight of a %v", alike, heavy)
	}
}

// TestAutoOfFewSamples: where none can be held out, models of one checkpoint are averaged, others zipped.
func TestAutoOfFewSamples(t *testing.T) {
	for pair, want := range map[string]string{"tuned": "identity", "mlp": "zip"} {
		p, src := pairOf(t, pair, "a", "b")
		rep := mergeAll(t, p, first{src, 12}, transform.Options{Settings: auto(t, "repair")}).Report
		if rep.Auto.HeldOut != 0 || len(rep.Auto.Taken) != 1 || rep.Auto.Taken[want] == 0 {
			t.Errorf("%s: %+v", pair, rep.Auto)
		}
		for _, sp := range rep.Spaces {
			if len(sp.Residuals) > 0 {
				t.Errorf("%s: space %q has residuals %v of no samples", pair, sp.Name, sp.Residuals)
			}
		}
	}
}

// TestAutoKeepsWhatIsIdentical: a trunk that is the same in both models needs no data and no choice.
func TestAutoKeepsWhatIsIdentical(t *testing.T) {
	p, _ := pairOf(t, "frozen", "a", "b")
	res, err := p.Merge(context.Background(), engine(t), nil, transform.Options{Settings: auto(t, "ls")})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Exact || res.Report.Auto != nil {
		t.Errorf("exact %t, %+v", res.Exact, res.Report.Auto)
	}
}

func TestAutoNeedsData(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	s := auto(t, "none")
	if _, err := p.Merge(context.Background(), engine(t), nil, transform.Options{Settings: s}); err == nil || fault.As(err).Code != "no_data" {
		t.Errorf("without data: %v", err)
	}
	s.DataFree = true
	if _, err := p.Merge(context.Background(), engine(t), src, transform.Options{Settings: s}); err == nil || fault.As(err).Code != "needs_data" {
		t.Errorf("data-free: %v", err)
	}
	trunk := findTrunk(t, p, merge.Cut{})
	stats, err := p.Measure(context.Background(), engine(t), trunk, src, false, calibrate.CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Assign(trunk, stats, auto(t, "none")); err == nil || fault.As(err).Code != "needs_data" {
		t.Errorf("without held-out samples: %v", err)
	}
}
