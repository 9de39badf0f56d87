package match

import (
	"testing"
)

func TestConstantSlots(t *testing.T) {
	for _, test := range []struct {
		name       string
		dead       [2]int // constants of the two models of 8 features each
		width      int
		wantSlots  int
		wantReason string
	}{
		{"none", [2]int{0, 0}, 8, 0, "nothing to hold"},
		{"equal", [2]int{3, 3}, 8, 3, "a copy loses nothing"},
		{"unequal", [2]int{5, 3}, 8, 3, "what both have"},
		{"one model", [2]int{5, 0}, 8, 1, "all in one slot"},
		{"narrow", [2]int{3, 3}, 4, 1, "live features first"},
		{"wide", [2]int{3, 3}, 11, 3, "more width is for live features"},
		{"full", [2]int{3, 3}, 16, 6, "nothing has to merge"},
		{"all", [2]int{8, 8}, 5, 5, "no live features"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := Features{Widths: []int{8, 8}}
			var live, constant []int
			for k := range 16 {
				if k%8 < test.dead[k/8] {
					constant = append(constant, k)
				} else {
					live = append(live, k)
				}
			}
			if got := f.constantSlots(live, constant, test.width); got != test.wantSlots {
				t.Errorf("%d slots: want %d, %s", got, test.wantSlots, test.wantReason)
			}
		})
	}
}
