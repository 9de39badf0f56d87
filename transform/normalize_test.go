package transform

import "testing"

// One normalisation after another is one, numbers for all channels and for each mixed.
func TestNormalizationsInARow(t *testing.T) {
	first := Normalization{Mean: []float64{1}, Std: []float64{2, 4}}
	next := Normalization{Mean: []float64{0.5, 3}, Std: []float64{10}}
	both := first.then(next)
	for k, x := range []float64{7, -2} {
		want := ((x-1)/first.Std[k] - next.Mean[k]) / 10
		if got := (x - both.Mean[k]) / both.Std[k]; got != want {
			t.Errorf("channel %d: %v, want %v", k, got, want)
		}
	}
}
