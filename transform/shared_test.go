package transform_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// counting counts the runs of an engine.
type counting struct {
	calibrate.Engine
	runs *atomic.Int64
}

type countingSession struct {
	calibrate.Session
	runs *atomic.Int64
}

func (c counting) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	s, err := c.Engine.Open(ctx, m, o)
	return countingSession{s, c.runs}, err
}

func (s countingSession) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	s.runs.Add(1)
	return s.Session.Run(ctx, feeds)
}

// TestSharedStatistics: merges over shared statistics are, byte for byte, those that measure for themselves, and the
// sources run once for all of them.
func TestSharedStatistics(t *testing.T) {
	for _, pair := range []string{"vgg", "tuned"} {
		p, src := pairOf(t, pair, "a", "b")
		var options []transform.Options
		for _, until := range []string{"", "40%", "cut:2"} {
			for _, method := range []string{"zip", "permute", "graft", "average"} {
				o := transform.Options{Settings: preset(t, method), Until: until, Judge: true}
				o.Settings.Refit = "none" // what is measured afterwards is not shared
				options = append(options, o)
			}
		}
		e := counting{engine(t), new(atomic.Int64)}
		shared, err := p.Share(context.Background(), e, src, options)
		if err != nil {
			t.Fatal(err)
		}
		if e.runs.Load() == 0 {
			t.Fatal("nothing was measured")
		}
		for _, o := range options {
			alone, err := p.Merge(context.Background(), engine(t), src, o)
			if err != nil {
				t.Fatal(err)
			}
			o.Shared = shared
			together, err := p.Merge(context.Background(), e, src, o)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(bytesOf(t, alone.Model), bytesOf(t, together.Model)) {
				t.Errorf("%s, %s until %q: another model", pair, o.Method, o.Until)
			}
			if a, b := alone.Report.HeldOut.RelativeError(), together.Report.HeldOut.RelativeError(); a != b || a <= 0 {
				t.Errorf("%s, %s until %q: relative errors %g and %g", pair, o.Method, o.Until, a, b)
			}
		}
		// the sources' outputs are kept as well: a merge that was made before runs nothing but itself, once
		before := e.runs.Load()
		if _, err := p.Merge(context.Background(), e, src, with(options[0], shared)); err != nil {
			t.Fatal(err)
		}
		if runs := e.runs.Load() - before; runs > 2 {
			t.Errorf("%s: a further merge ran models %d times", pair, runs)
		}
	}
}

func with(o transform.Options, s *transform.Shared) transform.Options {
	o.Shared = s
	return o
}

func bytesOf(t *testing.T, m *onnx.Model) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
