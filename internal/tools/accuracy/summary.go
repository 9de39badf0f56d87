package main

import (
	"fmt"
	"math"
	"slices"
)

// row is a variant's results over the seeds of a family, on one split.
type row struct {
	variant
	seeds   []int // that it was measured on
	results []result
	refused string // where the command line refused to make it
}

// rowOf reads what was measured.
func (b *benchmark) rowOf(f *family, v variant, split string) row {
	r := row{variant: v}
	for _, p := range f.pairs {
		one, err := readResult(b.resultPath(p, v, split))
		switch {
		case err != nil:
			continue
		case one.Error != "":
			r.refused = one.Error
			continue
		}
		r.seeds = append(r.seeds, p.seed)
		r.results = append(r.results, one)
	}
	return r
}

// measured reports whether there is anything to show.
func (r row) measured() bool { return len(r.results) > 0 }

// mean is the mean over the seeds.
func (r row) mean(of func(result) float64) float64 {
	sum := 0.0
	for _, one := range r.results {
		sum += of(one)
	}
	return sum / float64(len(r.results))
}

// Measures of one result, in percent.
func softmax(r result) float64      { return percent(r.Softmax, r.images()) }
func standardised(r result) float64 { return percent(r.Standardised, r.images()) }
func flops(r result) float64        { return float64(r.FLOPs) }
func params(r result) float64       { return float64(r.Params) }

func task(i int) func(result) float64 {
	return func(r result) float64 { return percent(r.Tasks[i], r.TaskN[i]) }
}

// tasks is the mean over the tasks.
func tasks(r result) float64 {
	sum := 0.0
	for i := range r.Tasks {
		sum += task(i)(r)
	}
	return sum / float64(len(r.Tasks))
}

func percent(b bits, n int) float64 { return 100 * float64(b.count()) / float64(n) }

// difference is a mean of paired differences in points, with its 95 % interval.
type difference struct {
	points, low, high float64
	seeds             int
}

// String is like "+0.8 [0.3, 1.3]", with a star where the interval holds zero.
func (d difference) String() string {
	star := ""
	if d.low <= 0 && d.high >= 0 {
		star = "*"
	}
	return fmt.Sprintf("%+.1f%s [%.1f, %.1f]", d.points, star, d.low, d.high)
}

// against compares two rows image by image, over the seeds that both have: d_i is the mean over the seeds of what image i
// contributes, the interval ± 1.96·s/√n of them. It says what other images would do, not other trainings.
func (r row) against(other row, of func(result) bits) (difference, bool) {
	var d []float64
	seeds := 0.0
	for i, seed := range r.seeds {
		for j, theirs := range other.seeds {
			if seed != theirs {
				continue
			}
			a, b, n := of(r.results[i]), of(other.results[j]), r.results[i].images()
			if d == nil {
				d = make([]float64, n)
			}
			seeds++
			for k := range n {
				d[k] += number(a.at(k)) - number(b.at(k))
			}
		}
	}
	if seeds == 0 {
		return difference{}, false
	}
	n, sum, squares := float64(len(d)), 0.0, 0.0
	for _, x := range d {
		sum += x / seeds
		squares += x / seeds * x / seeds
	}
	mean := sum / n
	half := 1.96 * math.Sqrt(max(0, squares/n-mean*mean)/n)
	return difference{100 * mean, 100 * (mean - half), 100 * (mean + half), int(seeds)}, true
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// gap is the share of the way from the graft to the ensemble that a row has gone, by an accuracy.
func gap(r, graft, ensemble row, of func(result) float64) float64 {
	from, to := graft.mean(of), ensemble.mean(of)
	return (r.mean(of) - from) / (to - from)
}

// gaps are those by both joint rules, softmax first; "" where the rows are not of the same seeds.
func gaps(r, graft, ensemble row) string {
	if !slices.Equal(r.seeds, ensemble.seeds) || !slices.Equal(graft.seeds, ensemble.seeds) {
		return ""
	}
	return fmt.Sprintf("%.0f, %.0f %%", 100*gap(r, graft, ensemble, softmax), 100*gap(r, graft, ensemble, standardised))
}
