package transform_test

import (
	"context"
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// TestFewSamplesOnRealPairs: with however few images, least squares is never worse than repair by more than noise
// on images that neither saw, and what it did to each node is counted. The errors are logged for docs/refit.md.
func TestFewSamplesOnRealPairs(t *testing.T) {
	const noise = 1.05 // of the relative error on 500 images
	for _, pair := range []string{"mlp", "vgg"} {
		p, src := pairOf(t, pair, "a", "b")
		test := testImages(t, p, 500)
		for _, n := range []int{1, 8, 32, 100} {
			few, err := data.Sample(src.(data.Source), n, 1)
			if err != nil {
				t.Fatal(err)
			}
			errors := map[string]float64{}
			for _, refit := range []string{"ls", "repair", "none"} {
				s := preset(t, "best")
				s.Refit = refit
				res := mergeAll(t, p, few, transform.Options{Settings: s})
				errors[refit] = outputError(t, p, res.Model, test)
				if refit == "ls" {
					checkFew(t, res.Report.Refit, n)
				}
			}
			t.Logf("%s, %d images: least squares %.3f, repair %.3f, none %.3f", pair, n, errors["ls"], errors["repair"], errors["none"])
			if errors["ls"] > noise*errors["repair"] {
				t.Errorf("%s, %d images: least squares leaves an error of %.3f, repair %.3f", pair, n, errors["ls"], errors["repair"])
			}
		}
	}
}

// checkFew holds the counts against the fits that they count.
func checkFew(t *testing.T, r *transform.RefitReport, n int) {
	t.Helper()
	nodes, listed := 0, map[string]bool{}
	for _, k := range r.Ways {
		nodes += k
	}
	if nodes != len(r.Fits) {
		t.Errorf("%d images: %d nodes are counted, %d were fitted", n, nodes, len(r.Fits))
	}
	for _, f := range r.Few {
		listed[f.Node] = true
		if f.Wanted <= n*9/10 || f.Way == "" {
			t.Errorf("%d images: node %s wants %d samples, %q was done", n, f.Node, f.Wanted, f.Way)
		}
	}
	for _, f := range r.Fits {
		if f.Samples < 4*float64(f.Inputs) != listed[f.Node] {
			t.Errorf("%d images: node %s has %g positions for %d inputs, listed as few: %t", n, f.Node, f.Samples, f.Inputs, listed[f.Node])
		}
	}
	if n < 20 && r.Enough != 20 {
		t.Errorf("%d images: %d are wanted, want 20 to hold some out", n, r.Enough)
	}
}

// testImages are labelled images that no calibration sees.
func testImages(t *testing.T, p *transform.Prepared, n int) calibrate.Source {
	t.Helper()
	some, err := data.Sample(images(t, p.Originals[0], "test"), n, 3)
	if err != nil {
		t.Fatal(err)
	}
	return some
}

// outputError is the relative error of a merged model's outputs against its sources', the mean over the outputs.
func outputError(t *testing.T, p *transform.Prepared, m *onnx.Model, src calibrate.Source) float64 {
	t.Helper()
	total, all := 0.0, outputErrors(t, p, m, src)
	for _, e := range all {
		total += e / float64(len(all))
	}
	return total
}

// outputErrors are the relative errors of a merged model's outputs, by name.
func outputErrors(t *testing.T, p *transform.Prepared, m *onnx.Model, src calibrate.Source) map[string]float64 {
	t.Helper()
	side, err := p.SideBySide(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, got := allOutputs(t, side.Model, src), allOutputs(t, m, src)
	out := map[string]float64{}
	for name, w := range want {
		diff, norm := 0.0, 0.0
		for k := range w {
			d := float64(got[name][k]) - float64(w[k])
			diff += d * d
			norm += float64(w[k]) * float64(w[k])
		}
		out[name] = math.Sqrt(diff / norm)
	}
	return out
}

func allOutputs(t *testing.T, m *onnx.Model, src calibrate.Source) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	err := calibrate.Forward(context.Background(), engine(t), m, src, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		for name, x := range b.Outputs {
			v, err := x.Float32s()
			if err != nil {
				return err
			}
			out[name] = append(out[name], v...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
