package match

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// Subset keeps o.Width of the features, those that explain all of them best in least squares (see [Rank]), and lets
// every other feature join the kept one with which it is correlated most. keep[m] is the kept feature of merged
// feature m. What is kept may come from any model, in any share. Dead and constant features are treated as by
// [Greedy]. It reads o.Width and o.Tie; f.Segments must be nil.
func Subset(f Features, o Options) (z Zip, keep []int, err error) {
	o, err = f.prepare(o)
	if err != nil {
		return Zip{}, nil, err
	}
	if f.Segments != nil {
		return Zip{}, nil, errors.New("match: a subset cannot be chosen by segments")
	}
	r, err := f.rank(o.Width)
	if err != nil {
		return Zip{}, nil, err
	}
	return f.subset(r, o)
}

func (f Features) subset(r Ranking, o Options) (z Zip, keep []int, err error) {
	sigma, typical := f.deviations()
	live, constant := split(sigma)
	if len(live) == 0 || o.Width == 1 { // at width 1 live and constant features have to share
		z, err = Greedy(f, o)
		return z, z.keep(r.Order), err
	}
	into := make([]int, f.total())
	slots := f.constantSlots(live, constant, o.Width)
	if len(constant) > 0 {
		f.groupConstants(constant, typical).link(slots, constant, into)
	}
	c := similar{n: len(live), v: f.correlate(live, sigma, o.round)}
	kept := c.cover(places(live, r.Order), o.Width-slots)
	first := map[int]int{} // the first of those that join a kept feature
	model, position := f.pickOrigin(live)
	for a, to := range c.nearest(kept, model, position) {
		if _, ok := first[to]; !ok {
			first[to] = live[a]
		}
		into[live[a]] = first[to]
	}
	z = number(into)
	for a, k := range kept {
		kept[a] = live[k]
	}
	return z, z.keep(kept), nil
}

// split tells the features that vary from those that do not.
func split(sigma []float64) (live, constant []int) {
	for k, s := range sigma {
		if s > 0 {
			live = append(live, k)
		} else {
			constant = append(constant, k)
		}
	}
	return live, constant
}

// places are where the given features stand in live.
func places(live, features []int) []int {
	out := make([]int, len(features))
	for i, k := range features {
		out[i], _ = slices.BinarySearch(live, k)
	}
	return out
}

// keep is the member that stands for each merged feature: the first of order that is one, else its first.
func (z Zip) keep(order []int) []int {
	keep := make([]int, z.Width)
	for m, members := range z.Members() {
		keep[m] = members[0]
	}
	for _, k := range slices.Backward(order) {
		keep[z.Of[k]] = k
	}
	return keep
}

// similar are the correlations of n features.
type similar struct {
	n int
	v []float64
}

// cover is the first width features of order. Where those are fewer, features are added that are the least like any
// kept so far: linear functions of these, that still are features of their own. Of equal ones it takes one with the
// most duplicates for each that is kept.
func (c similar) cover(order []int, width int) []int {
	kept := slices.Clone(order[:min(width, len(order))])
	closest := slices.Repeat([]float64{-1}, c.n) // correlation with the nearest kept feature
	see := func(k int) {
		for a := range closest {
			closest[a] = max(closest[a], c.v[k*c.n+a])
		}
		closest[k] = math.Inf(1) // not to be taken again
	}
	for _, k := range kept {
		see(k)
	}
	for len(kept) < width {
		least := slices.Min(closest)
		best, most := -1, 0.0
		for a, v := range closest {
			if v != least {
				continue
			}
			if crowd := c.crowd(a, least, kept); best < 0 || crowd > most {
				best, most = a, crowd
			}
		}
		kept = append(kept, best)
		see(best)
	}
	return kept
}

// crowd is the number of features that are at least as like a as given, for each kept one.
func (c similar) crowd(a int, like float64, kept []int) float64 {
	all, have := 0.0, 0.0
	row := c.v[a*c.n : (a+1)*c.n]
	for _, v := range row {
		if v >= like {
			all++
		}
	}
	for _, k := range kept {
		if row[k] >= like {
			have++
		}
	}
	return all / max(have, 1)
}

// nearest is, for each feature, the kept one that is most like it: itself where it is kept. Of equal ones it takes
// one that has the fewest members of its model so far, of these one at its own position, else the first kept.
func (c similar) nearest(kept, model, position []int) []int {
	to := make([]int, c.n)
	for a := range to {
		to[a] = -1
	}
	models := slices.Max(model) + 1
	members := make([]int, c.n*models) // by kept feature and model
	for _, k := range kept {
		to[k] = k
		members[k*models+model[k]]++
	}
	for a := range to {
		if to[a] >= 0 {
			continue
		}
		row, count := c.v[a*c.n:(a+1)*c.n], members[model[a]:]
		elsewhere := func(k int) int {
			if position[k] == position[a] {
				return 0
			}
			return 1
		}
		best := kept[0]
		for _, k := range kept[1:] {
			if row[k] < row[best] {
				continue
			}
			if row[k] > row[best] || cmp.Or(cmp.Compare(count[k*models], count[best*models]), elsewhere(k)-elsewhere(best)) < 0 {
				best = k
			}
		}
		to[a] = best
		count[best*models]++
	}
	return to
}
