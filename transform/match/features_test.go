package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCorrelation(t *testing.T) {
	f := Features{Widths: []int{2, 2}, Mean: []float64{0, 0, 0, 1e6}, Cov: symmetric(
		[]float64{4, 1, 0, 0.1}, []float64{1, 0, 0.1}, []float64{1e-16, 0}, []float64{0.01})}
	want := symmetric([]float64{1, 0.5, 0, 0}, []float64{1, 0, 0}, []float64{0, 0}, []float64{0})
	if diff := cmp.Diff(want, f.Correlation()); diff != "" {
		t.Errorf("features 2 (dead) and 3 (constant but for noise) correlate with nothing (-want +got):\n%s", diff)
	}
}
