package transform_test

import (
	"context"
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// rounder is an engine whose optimised runs are off by a part of the largest value, for the models it applies to.
type rounder struct {
	calibrate.Engine
	by      float64
	applies func(*onnx.Model) bool
}

func (r rounder) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	s, err := r.Engine.Open(ctx, m, o)
	if err != nil || o.Unoptimized || !r.applies(m) {
		return s, err
	}
	return roundingSession{s, r.by}, nil
}

type roundingSession struct {
	calibrate.Session
	by float64
}

func (s roundingSession) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	out, err := s.Session.Run(ctx, feeds)
	for name, t := range out {
		v, _ := t.Float64s()
		largest, at := 0.0, 0
		for k, x := range v {
			if math.Abs(x) > largest {
				largest, at = math.Abs(x), k
			}
		}
		v[at] += largest * s.by
		out[name] = onnx.FromFloat64(t.DType, v, t.Dims...)
	}
	return out, err
}

// An optimised run may deviate as far as rounding takes the sources, and no further.
func TestVerifyAllowsTheSourcesRounding(t *testing.T) {
	e := engine(t)
	p := prepare(t, real(t, "mlp_a"), real(t, "mlp_b"))
	settings, err := transform.Preset("average")
	if err != nil {
		t.Fatal(err)
	}
	settings.Refit = "none"
	res, err := p.Merge(context.Background(), e, randomSamples(16, "input", 1, 28, 28), transform.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	all := func(*onnx.Model) bool { return true }
	merged := func(m *onnx.Model) bool { return len(m.Graph().GetOutput()) > 1 }
	for _, c := range []struct {
		name    string
		by      float64
		applies func(*onnx.Model) bool
		passes  bool
	}{
		{"the sources round as much", 5e-5, all, true},
		{"only the merged file deviates", 5e-5, merged, false},
		{"further than rounding goes", 5e-3, all, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.Verify(context.Background(), rounder{e, c.by, c.applies}, res.Model, res, nil)
			if (err == nil) != c.passes {
				t.Errorf("verification: %v", err)
			}
		})
	}
}

// Opening a large model costs most of its verification: each is opened once for all sizes of batches.
func TestVerifyOpensEachModelOnce(t *testing.T) {
	e := &meteredEngine{Engine: engine(t)}
	p := prepare(t, real(t, "mlp_a"), real(t, "mlp_b"))
	src := randomSamples(16, "input", 1, 28, 28)
	for _, c := range []struct {
		match            string
		sessions, checks int
	}{{"identity", 3, 8}, {"full", 5, 14}} { // full is compared with its sources, too
		res, err := p.Merge(t.Context(), e, src, transform.Options{Settings: transform.Settings{Match: c.match, Represent: "mean", Refit: "none"}})
		if err != nil {
			t.Fatal(err)
		}
		e.sessions = 0
		checks, err := p.Verify(t.Context(), e, res.Model.Clone(), res, src)
		if err != nil || e.sessions != c.sessions || len(checks) != c.checks {
			t.Errorf("%s: %d sessions, %d checks, %v", c.match, e.sessions, len(checks), err)
		}
	}
}
