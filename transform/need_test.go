package transform_test

import (
	"context"
	"testing"

	"github.com/onnx-zip/onnx-zip/transform"
)

// TestNeedIsWhatIsKept: what a dry run predicts is what least squares keeps, in memory and, where that is not enough, beyond.
func TestNeedIsWhatIsKept(t *testing.T) {
	for _, c := range []struct {
		pair     string
		settings transform.Settings
	}{{"mlp", preset(t, "best")}, {"vgg", preset(t, "best")}, {"vgg", narrowed(t, "ensemble", 1)}} {
		pair := c.pair
		p, src := pairOf(t, pair, "a", "b")
		for _, memory := range []int64{0, 1 << 18} {
			o := transform.Options{Settings: c.settings, Workers: 1}
			o.Refit.Memory, o.Refit.Scratch = memory, t.TempDir()
			need, err := p.Need(context.Background(), engine(t), src, o)
			if err != nil {
				t.Fatal(err)
			}
			rep := mergeAll(t, p, src, o).Report
			r := rep.Refit
			if used := rep.Statistics; *used != need.Statistics {
				t.Errorf("%s: statistics of %+v were predicted, %+v used", pair, need.Statistics, *used)
			}
			least := 0.99
			if memory > 0 { // tensors are kept whole: the last one may not fit
				least = 0.8
			}
			if used := float64(r.Memory) / float64(need.Memory); used > 1.01 || used < least {
				t.Errorf("%s: %d bytes of memory were predicted, %d used", pair, need.Memory, r.Memory)
			}
			if (need.Scratch > 0) != (memory > 0) || float64(r.Scratch) < 0.8*float64(need.Scratch) || float64(r.Scratch) > 2*float64(need.Scratch) {
				t.Errorf("%s with %d bytes: %d bytes of scratch were predicted, %d used", pair, memory, need.Scratch, r.Scratch)
			}
		}
	}
}
