package transform_test

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/transform"
)

// TestBudgetIsSpent: rounding widths leaves next to nothing of a budget unspent, and no space is far from the common factor.
func TestBudgetIsSpent(t *testing.T) {
	s := preset(t, "halves")
	s.Represent, s.Refit = "mean", "none" // no data is needed to draw features
	for _, pair := range []string{"mlp", "vgg", "resnet20"} {
		p := prepare(t, real(t, pair+"_a"), real(t, pair+"_b"))
		for _, budget := range []float64{0.25, 0.5, 1, 1.5} {
			s.Budget = budget
			res, err := p.Merge(t.Context(), nil, nil, transform.Options{Settings: s})
			if err != nil {
				t.Fatal(err)
			}
			if share := 2 * res.Report.Cost.FLOPsRatio / budget; share > 1 || share < 0.99 {
				t.Errorf("%s: %.3f of a budget of %gx is spent", pair, share, budget)
			}
			least, most := 2.0, 0.0
			for _, sp := range res.Report.Spaces {
				if sp.Width != sp.Dim { // a pinned space keeps its own
					factor := float64(sp.Width) / float64(sp.Dim)
					least, most = min(least, factor), max(most, factor)
				}
			}
			if most > 1.4*least {
				t.Errorf("%s, %gx: widths from %.2f to %.2f of their own", pair, budget, least, most)
			}
			t.Logf("%s %gx: %.2f to %.2f", pair, budget, least, most)
		}
	}
}
