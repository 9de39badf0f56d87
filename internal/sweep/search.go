package sweep

// Line is candidates along which both the price and the quality grow: one cut with ever larger budgets, say. Prices
// may be known before a candidate is made; they are never less than those of its neighbours to the left.
type Line struct{ Prices []float64 }

// Spot is a candidate of a line.
type Spot struct{ Line, At int }

// Cheapest looks for the cheapest candidate of each line that is good enough, by halving: quality is taken to
// grow along a line, so that ⌈log₂ n⌉ + 1 of n candidates are tried at most. With prune, a line is only searched below the
// price of the best spot so far, so that later spots in the result are cheaper than earlier ones.
func Cheapest(lines []Line, prune bool, try func(Spot) (good bool, err error)) (found []Spot, err error) {
	best := 0.0
	for l, line := range lines {
		end := len(line.Prices)
		for prune && len(found) > 0 && end > 0 && line.Prices[end-1] >= best {
			end--
		}
		if end == 0 {
			continue
		}
		low, high := 0, end-1
		good, err := try(Spot{l, high})
		if err != nil {
			return found, err
		}
		if !good { // nor is anything cheaper
			continue
		}
		for low < high {
			middle := (low + high) / 2
			if good, err = try(Spot{l, middle}); err != nil {
				return found, err
			}
			if good {
				high = middle
			} else {
				low = middle + 1
			}
		}
		best, found = line.Prices[high], append(found, Spot{l, high})
	}
	return found, nil
}

// Budgets are the sizes that are tried for a merge of n models, in FLOPs relative to one source: eighths up to what is
// less than the ensemble; sixteenths for one model that is to shrink.
func Budgets(models int) (out []float64) {
	step := 0.125
	if models == 1 {
		step = 0.0625
	}
	for k := 1; float64(k)*step < float64(models); k++ {
		out = append(out, float64(k)*step)
	}
	return out
}
