package sweep_test

import (
	"errors"
	"math/bits"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"pgregory.net/rapid"
)

// TestCheapest: on lines whose quality grows, halving finds what looking at every candidate finds, with few tries.
func TestCheapest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []sweep.Line
		var first []int // of each line, the first that is good
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			n := rapid.IntRange(0, 9).Draw(t, "n")
			var l sweep.Line
			for k := range n {
				l.Prices = append(l.Prices, float64(k+1)+rapid.Float64Range(0, 0.9).Draw(t, "price"))
			}
			lines, first = append(lines, l), append(first, rapid.IntRange(0, n).Draw(t, "first"))
		}
		best := -1.0
		for l, line := range lines {
			if first[l] < len(line.Prices) && (best < 0 || line.Prices[first[l]] < best) {
				best = line.Prices[first[l]]
			}
		}
		for _, prune := range []bool{false, true} {
			tries := map[int]int{}
			found, err := sweep.Cheapest(lines, prune, func(s sweep.Spot) (bool, error) {
				tries[s.Line]++
				return s.At >= first[s.Line], nil
			})
			if err != nil {
				t.Fatal(err)
			}
			cheapest := -1.0
			for _, s := range found {
				if p := lines[s.Line].Prices[s.At]; cheapest < 0 || p < cheapest {
					cheapest = p
				}
				if s.At != first[s.Line] {
					t.Fatalf("line %d: %d, the first good one is %d", s.Line, s.At, first[s.Line])
				}
			}
			if cheapest != best {
				t.Fatalf("prune %t: %g, the cheapest is %g", prune, cheapest, best)
			}
			for l, n := range tries {
				if most := bits.Len(uint(len(lines[l].Prices))) + 1; n > most {
					t.Fatalf("line %d of %d: %d tries, more than %d", l, len(lines[l].Prices), n, most)
				}
			}
		}
	})
	broken := errors.New("broken")
	if _, err := sweep.Cheapest([]sweep.Line{{[]float64{1, 2}}}, true, func(sweep.Spot) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("an error of a try: %v", err)
	}
}

func TestBudgets(t *testing.T) {
	if got := sweep.Budgets(1); len(got) != 15 || got[0] != 0.0625 || got[14] != 0.9375 {
		t.Errorf("one model: %v", got)
	}
	if got := sweep.Budgets(2); len(got) != 15 || slices.Max(got) != 1.875 {
		t.Errorf("two models: %v", got)
	}
}
