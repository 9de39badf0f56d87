package match

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAssignPrefersTheIdentity(t *testing.T) {
	for _, test := range []struct {
		name   string
		n      int
		profit []float64
		want   []int
	}{
		{"empty", 0, nil, []int{}},
		{"constant", 3, slices.Repeat([]float64{-2}, 9), []int{0, 1, 2}},
		{"better", 2, []float64{0, 1, 1, 0}, []int{1, 0}},
		{"equal sums", 2, []float64{1, 2, 3, 4}, []int{0, 1}},
		{"one row fixed", 3, []float64{0, 0, 9, 0, 0, 0, 0, 0, 0}, []int{2, 1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Assign(test.n, test.profit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAssignErrors(t *testing.T) {
	if _, err := Assign(2, make([]float64, 3)); err == nil {
		t.Error("no error for three profits of two rows")
	}
	if _, err := Assign(1, []float64{math.NaN()}); err == nil {
		t.Error("no error for a profit of NaN")
	}
}
