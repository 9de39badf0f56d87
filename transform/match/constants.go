package match

import (
	"cmp"
	"math"
	"slices"
)

// constantSlots returns how many of width merged features (at least 2) hold the
// constant ones. As many live slots as the model with the most live features
// needs come first, so a model and its permuted copy lose nothing; constants
// share what is left, but not more than every model has of them.
func (f Features) constantSlots(live, constant []int, width int) int {
	if len(constant) == 0 {
		return 0
	}
	perModel := make([]int, len(f.Widths))
	model, _ := f.pickOrigin(live)
	for _, m := range model {
		perModel[m]++
	}
	common := f.Widths[0] // constants that every model has
	for m, n := range perModel {
		common = min(common, f.Widths[m]-n)
	}
	slots := min(width-slices.Max(perModel), common)
	// At least one; and live features need not fill more slots than they are.
	return max(slots, 1, width-len(live))
}

// groupConstants returns the clusters of the constant features before the first
// merge: the closer their means, the more similar. typical is a deviation of
// the space: differences far below it do not matter.
func (f Features) groupConstants(constant []int, typical float64) *clusters[float64] {
	n := len(constant)
	means := f.roundedMeans(constant, typical)
	sim := make([]float64, n*n)
	for a := range n {
		for b := range n {
			sim[a*n+b] = -math.Abs(means[a] - means[b])
		}
	}
	model, position := f.pickOrigin(constant)
	c := newClusters(sim, model, position, make([]int, len(f.Widths)))
	c.alpha = 1
	c.lifted = true // merging equal constants of one model costs nothing
	return c
}

// roundedMeans returns the means of the features in pick in units of the
// largest one (or of typical, if that is larger), rounded to what a constant is
// allowed to vary.
func (f Features) roundedMeans(pick []int, typical float64) []float64 {
	scale := typical
	for _, k := range pick {
		scale = max(scale, math.Abs(f.mean(k)))
	}
	means := make([]float64, len(pick))
	for a, k := range pick {
		if scale > 0 {
			means[a] = math.RoundToEven(f.mean(k)/scale/constantRatio) * constantRatio
		}
	}
	return means
}

// rematchConstants exchanges partners among the constant features a of one
// model which of (partners in model 0) has given constant partners: they are
// paired by their means, equal ones at the same position first. Assignment by
// correlation can't tell them apart. constant is indexed by position.
func rematchConstants(of []int, meansA, means0 []float64, constantA, constant0 []bool) {
	var rows, cols []int
	for a, b := range of {
		if constantA[a] && constant0[b] {
			rows = append(rows, a)
			cols = append(cols, b)
		}
	}
	taken := map[int]bool{}
	for _, a := range rows {
		if slices.Contains(cols, a) && meansA[a] == means0[a] {
			of[a] = a
			taken[a] = true
		}
	}
	isTaken := func(p int) bool { return taken[p] }
	rows = slices.DeleteFunc(rows, isTaken)
	cols = slices.DeleteFunc(cols, isTaken)
	// In one dimension, pairing in sorted order has the least total distance.
	slices.SortFunc(rows, byMean(meansA))
	slices.SortFunc(cols, byMean(means0))
	for i, a := range rows {
		of[a] = cols[i]
	}
}

// byMean orders positions by mean, then by position.
func byMean(means []float64) func(a, b int) int {
	return func(a, b int) int { return cmp.Or(cmp.Compare(means[a], means[b]), cmp.Compare(a, b)) }
}
