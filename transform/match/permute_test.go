package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPermuteRefusesOtherWidths(t *testing.T) {
	if _, err := Permute(Features{Widths: []int{1, 2}, Cov: diagonal(1, 1, 1)}, Options{}); err == nil {
		t.Error("no error for a model wider than model 0")
	}
	if _, err := Permute(Features{Widths: []int{2, 2}, Cov: crossed}, Options{Width: 3}); err == nil {
		t.Error("no error for a width that is not model 0's")
	}
}

func TestPermuteOfANarrowerModel(t *testing.T) {
	f := Features{Widths: []int{2, 1}, Cov: symmetric([]float64{1, 0, 0.1}, []float64{1, 0.9}, []float64{1})}
	z, err := Permute(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Zip{Width: 2, Of: []int{0, 1, 1}}, z); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
