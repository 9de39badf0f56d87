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

// sourceRuns counts the samples that run through all linear nodes of two VGGs; first looks apart.
type sourceRuns struct {
	calibrate.Engine
	samples *atomic.Int64
}

type sourceSession struct {
	calibrate.Session
	samples *atomic.Int64
}

func (e sourceRuns) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	s, err := e.Engine.Open(ctx, m, o)
	linear := 0
	for _, n := range m.Graph().GetNode() {
		if op := n.GetOpType(); op == "Conv" || op == "Gemm" {
			linear++
		}
	}
	if err != nil || o.Unoptimized || linear < 16 {
		return s, err
	}
	return sourceSession{s, e.samples}, nil
}

func (s sourceSession) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	for _, x := range feeds {
		if len(x.Dims) == 4 {
			s.samples.Add(x.Dims[0])
		}
	}
	return s.Session.Run(ctx, feeds)
}

// TestSourcesRunOnce: a merge with least squares runs the sources once over the samples that it fits to, and twice over those
// that judge: for the heads' outputs, and for what each node is judged by. Where the statistics were measured before, they
// run once more, and the merge is the same.
func TestSourcesRunOnce(t *testing.T) {
	for _, budget := range []float64{0, 0.5} {
		p, src := pairOf(t, "vgg", "a", "b") // 160 images
		o := transform.Options{Settings: preset(t, "best")}
		o.Settings.Budget = budget
		e := sourceRuns{engine(t), new(atomic.Int64)}
		alone, err := p.Merge(context.Background(), e, src, o)
		if err != nil {
			t.Fatal(err)
		}
		if n := e.samples.Swap(0); n != 144+2*16 {
			t.Errorf("budget %g: the sources ran over %d samples, want 144 to fit and twice 16 that are held out", budget, n)
		}
		if o.Shared, err = p.Share(context.Background(), engine(t), src, []transform.Options{o}); err != nil {
			t.Fatal(err)
		}
		shared, err := p.Merge(context.Background(), e, src, o)
		if err != nil {
			t.Fatal(err)
		}
		if n := e.samples.Load(); n != 144+2*16 {
			t.Errorf("budget %g: over shared statistics the sources ran over %d samples, want 144 to fit and twice 16 that are held out", budget, n)
		}
		if !bytes.Equal(bytesOf(t, alone.Model), bytesOf(t, shared.Model)) {
			t.Errorf("budget %g: over shared statistics the model is another", budget)
		}
	}
}
