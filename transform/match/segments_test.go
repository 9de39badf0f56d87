package match

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSegmentWidths(t *testing.T) {
	for _, test := range []struct {
		segments []int
		width    int
		want     []int
	}{
		{nil, 5, []int{5}},
		{[]int{7, 7, 7, 3}, 4, []int{3, 1}},
		{[]int{0, 0, 0, 0, 0, 0, 1, 1}, 4, []int{3, 1}},
		{[]int{0, 0, 0, 0, 0, 0, 0, 1, 2, 3}, 4, []int{1, 1, 1, 1}},
		{[]int{0, 0, 1, 1}, 5, []int{3, 2}},
		{[]int{0, 1, 0, 1}, 8, []int{4, 4}},
	} {
		got, err := Features{Segments: test.segments}.SegmentWidths(test.width)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("segments %v, width %d (-want +got):\n%s", test.segments, test.width, diff)
		}
	}
}
