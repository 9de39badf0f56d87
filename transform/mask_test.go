package transform_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// sentences are n token sequences of `real` tokens, padded to length by tokens that the mask leaves out.
func sentences(n, real, length, words int) samples {
	rng := rand.New(rand.NewPCG(3, 4))
	ids, mask := make([]int64, n*length), make([]int64, n*length)
	pad := rand.New(rand.NewPCG(5, uint64(length)))
	for s := range n {
		for k := range length {
			if k < real {
				ids[s*length+k], mask[s*length+k] = rng.Int64N(int64(words)), 1
			} else {
				ids[s*length+k] = pad.Int64N(int64(words))
			}
		}
	}
	return samples{n: n, batch: func(from, to int) map[string]*onnx.Tensor {
		cut := func(v []int64) *onnx.Tensor {
			return onnx.FromInt64(v[from*length:to*length], int64(to-from), int64(length))
		}
		return map[string]*onnx.Tensor{"input_ids": cut(ids), "attention_mask": cut(mask)}
	}}
}

func zooPair(t *testing.T, a, b string) *transform.Prepared {
	t.Helper()
	var models []*onnx.Model
	for _, name := range []string{a, b} {
		m, err := onnx.Load(filepath.Join(onnxtest.Root(t), "testdata", "zoo", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	return prepare(t, models...)
}

// TestMaskedPositions: sentences padded to twice their length have the same statistics, the same least-squares problems
// and the same errors, by the attention mask that is found in the model; without it they have not.
func TestMaskedPositions(t *testing.T) {
	const real, n, words = 9, 40, 50
	for _, pair := range [][2]string{{"bert-t14-a", "bert-t14-b"}, {"bert-d18-a", "bert-d18-b"}} {
		p := zooPair(t, pair[0], pair[1])
		if got := p.Masks(); !slices.Equal(got, []string{"attention_mask"}) {
			t.Fatalf("%s: masks %v", pair[0], got)
		}
		trunk := findTrunk(t, p, merge.Cut{})
		measure := func(length int, mask string) *transform.Statistics {
			s, err := p.Measure(context.Background(), engine(t), trunk, sentences(n, real, length, words), true,
				calibrate.CaptureOptions{Mask: mask, Batch: 16})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		short := measure(real, "attention_mask")
		if d := difference(t, short, measure(2*real, "attention_mask")); d > 1e-6 {
			t.Errorf("%s: padding changes statistics by %.2g", pair[0], d)
		}
		if d := difference(t, short, measure(real, "")); d > 1e-12 {
			t.Errorf("%s: a mask without zeros changes statistics by %.2g", pair[0], d)
		}
		if d := difference(t, short, measure(2*real, "")); d < 1e-2 {
			t.Errorf("%s: without the mask padding changes statistics by %.2g only: the test shows nothing", pair[0], d)
		}

		for _, refit := range []string{"ls", "repair"} {
			merged := func(length int) *transform.Result {
				s := preset(t, "best")
				s.Refit = refit
				return mergeAll(t, p, sentences(n, real, length, words), transform.Options{Settings: s})
			}
			a, b := merged(real), merged(2*real)
			if a.Report.Mask != "attention_mask" {
				t.Errorf("%s: the report names the mask %q", pair[0], a.Report.Mask)
			}
			for way, e := range a.Report.Refit.Errors {
				if other := b.Report.Refit.Errors[way]; math.Abs(other-e) > 1e-3*(e+1e-3) {
					t.Errorf("%s, %s: padding changes the error after %s from %.6g to %.6g", pair[0], refit, way, e, other)
				}
			}
			for k, f := range a.Report.Refit.Fits {
				if g := b.Report.Refit.Fits[k]; f.Samples != g.Samples || math.Abs(f.Before-g.Before) > 1e-4*(f.Before+1e-4) {
					t.Errorf("%s: padding changes %s: %g positions, error %.6g; %g, %.6g", pair[0], f.Node, f.Samples, f.Before, g.Samples, g.Before)
				}
			}
		}
	}
}

// difference is the largest of two statistics, relative to each tap's largest deviation.
func difference(t *testing.T, a, b *transform.Statistics) float64 {
	t.Helper()
	if len(a.Moments) == 0 || len(a.Moments) != len(b.Moments) {
		t.Fatalf("%d and %d taps", len(a.Moments), len(b.Moments))
	}
	worst := 0.0
	for name, m := range a.Moments {
		o := b.Moments[name]
		if m.N != o.N {
			worst = math.Max(worst, math.Abs(m.N-o.N)/m.N)
		}
		std := slices.Max(m.Std())
		for k := range m.Mean {
			worst = math.Max(worst, math.Abs(m.Mean[k]-o.Mean[k])/std)
		}
		for k := range m.Cov {
			worst = math.Max(worst, math.Abs(m.Cov[k]-o.Cov[k])/(std*std))
		}
	}
	return worst
}
