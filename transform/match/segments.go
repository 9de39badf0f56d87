package match

import (
	"cmp"
	"fmt"
	"slices"
)

// solver matches the features of one segment. Its options are resolved.
type solver func(Features, Options) (Zip, error)

// bySegment lets solve match each segment on its own and puts the results
// together. f and o are validated. Without segments, f goes through as it is.
func bySegment(f Features, o Options, solve solver) (Zip, error) {
	groups := f.segments()
	if len(groups) < 2 {
		return solve(f, o)
	}
	widths, err := f.SegmentWidths(o.Width)
	if err != nil {
		return Zip{}, err
	}
	whole := Zip{Width: o.Width, Of: make([]int, f.total())}
	first := 0
	for s, positions := range groups {
		pick := f.stacked(positions)
		o.Width = widths[s]
		part, err := solve(f.sub(pick, len(positions)), o)
		if err != nil {
			return Zip{}, err
		}
		for a, k := range pick {
			whole.Of[k] = first + part.Of[a]
		}
		first += widths[s]
	}
	return whole, nil
}

// segments returns the positions of each segment, segments in the order of
// their first positions; nil without segments.
func (f Features) segments() [][]int {
	var groups [][]int
	index := map[int]int{}
	for p, id := range f.Segments {
		s, ok := index[id]
		if !ok {
			s = len(groups)
			index[id] = s
			groups = append(groups, nil)
		}
		groups[s] = append(groups[s], p)
	}
	return groups
}

// stacked returns the source features at the given positions of all models.
// Widths are equal, as they are wherever there are segments.
func (f Features) stacked(positions []int) []int {
	pick := make([]int, 0, len(f.Widths)*len(positions))
	for m, w := range f.Widths {
		for _, p := range positions {
			pick = append(pick, m*w+p)
		}
	}
	return pick
}

// sub returns the features in pick alone, width of them from each model.
// Statistics are left out where f has none.
func (f Features) sub(pick []int, width int) Features {
	g := Features{Widths: slices.Repeat([]int{width}, len(f.Widths))}
	if f.Mean != nil {
		g.Mean = make([]float64, len(pick))
		for a, k := range pick {
			g.Mean[a] = f.Mean[k]
		}
	}
	if f.Cov == nil {
		return g
	}
	total := f.total()
	g.Cov = make([]float64, 0, len(pick)*len(pick))
	for _, i := range pick {
		for _, j := range pick {
			g.Cov = append(g.Cov, f.Cov[i*total+j])
		}
	}
	return g
}

// SegmentWidths returns how many of width merged features each segment gets,
// segments in the order of their first positions: in proportion to their sizes
// (largest remainders), at least one each. At a width of n a segment keeps its
// own size. Without segments there is one, of that width.
func (f Features) SegmentWidths(width int) ([]int, error) {
	groups := f.segments()
	if len(groups) == 0 {
		return []int{width}, nil
	}
	if width < len(groups) {
		return nil, fmt.Errorf("match: width %d is less than the %d segments", width, len(groups))
	}
	n := len(f.Segments)
	widths := make([]int, len(groups))
	order := make([]int, len(groups))
	rest := width
	for s, positions := range groups {
		widths[s] = max(1, width*len(positions)/n)
		order[s] = s
		rest -= widths[s]
	}
	// surplus: what a segment has beyond its exact share, in units of 1/n.
	surplus := func(s int) int { return widths[s]*n - width*len(groups[s]) }
	byNeed := func(a, b int) int { return cmp.Or(cmp.Compare(surplus(a), surplus(b)), cmp.Compare(a, b)) }
	for ; rest > 0; rest-- {
		widths[slices.MinFunc(order, byNeed)]++
	}
	for ; rest < 0; rest++ { // the minimum of one each took too much
		wide := slices.DeleteFunc(slices.Clone(order), func(s int) bool { return widths[s] == 1 })
		widths[slices.MaxFunc(wide, byNeed)]--
	}
	return widths, nil
}
