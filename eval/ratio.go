package eval

import (
	"math"
	"slices"
)

// Ratio is the median over rounds of the ratio of two times measured in the same round, with its 95 % interval.
type Ratio struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// ratioOf compares times of the same rounds. The interval lies between the order statistics of the ranks
// n/2 ± z·√n/2, which needs no assumption about how times are distributed.
func ratioOf(times, reference []float64) Ratio {
	ratios := make([]float64, len(times))
	for i := range times {
		ratios[i] = times[i] / reference[i]
	}
	slices.Sort(ratios)
	n := float64(len(ratios))
	half := z95 * math.Sqrt(n) / 2
	low := max(0, int(math.Floor(n/2-half))-1) // ranks count from 1
	high := min(len(ratios)-1, int(math.Ceil(n/2+half)))
	return Ratio{median(ratios), ratios[low], ratios[high]}
}

// median is the middle of sorted values, or of the two in the middle.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// summarise condenses the times of one subject; reference are those of the reference in the same rounds.
func summarise(batch int, times, reference []float64) BatchTimes {
	sorted := slices.Sorted(slices.Values(times))
	p95 := int(math.Ceil(.95*float64(len(sorted)))) - 1 // nearest rank
	return BatchTimes{
		Batch: batch, MedianMS: median(sorted), P95MS: sorted[p95],
		Ratio: ratioOf(times, reference), RoundsMS: times,
	}
}

// medianDifference is the median over rounds of a - b.
func medianDifference(a, b []float64) float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	slices.Sort(d)
	return median(d)
}
