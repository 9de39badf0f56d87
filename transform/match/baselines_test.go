package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaselines(t *testing.T) {
	if diff := cmp.Diff(Zip{Width: 5, Of: []int{0, 1, 2, 3, 4}}, Full([]int{2, 3})); diff != "" {
		t.Errorf("Full (-want +got):\n%s", diff)
	}
	z, err := Identity([]int{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Zip{Width: 3, Of: []int{0, 1, 0, 1, 2}}, z); diff != "" {
		t.Errorf("Identity (-want +got):\n%s", diff)
	}
	if _, err := Identity(nil); err == nil {
		t.Error("Identity: no error for no models")
	}
	if _, err := Random(Features{Widths: []int{1, 2}}, Options{}); err == nil {
		t.Error("Random: no error for a model wider than model 0")
	}
	if _, _, err := RandomHalves(Features{Widths: []int{2, 1}}, Options{}); err == nil {
		t.Error("RandomHalves: no error for unequal widths")
	}
}

// TestRandomIsFixed: a seed gives the same zip on every machine and in every
// release.
func TestRandomIsFixed(t *testing.T) {
	z, err := Random(Features{Widths: []int{6, 6}}, Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 4, 3, 2, 0, 5, 1}, z.Of); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
