package match

import "math"

// minDeviations is the least product of two deviations that the published
// program divides a covariance by.
const minDeviations = 1e-7

// Reference zips the features as the program published with the ZipIt! paper
// does, its float32 arithmetic, its order of ties and its quirks included:
//
//   - Budgets of ⌊⌊(O-Width)/N⌋·β + 1e-4⌋ are looked at only after a merge inside
//     a model, so β = 0 still lets each model merge one pair.
//   - A mixed cluster counts for the model of its first member.
//   - α raises negative correlations.
//   - Dead features compete with live ones at a correlation of 0.
//
// Two things are not reproduced. Where no allowed pair is left (three models and
// more) the program deletes features without a word; here the ban on same-model merges
// is lifted for the rest and nothing is lost. And α = 0 simply multiplies by 0;
// the program's branch for α ≤ 0 mixes up its indices.
//
// It reads Alpha, Beta and Width; the paper has α = 0.3 and β = 0.125. Working
// memory is one float32 matrix, 4·O² bytes: float32 because the program's is.
func Reference(f Features, o Options) (Zip, error) {
	o, err := f.prepare(o)
	if err != nil {
		return Zip{}, err
	}
	return bySegment(f, o, reference)
}

// reference is Reference inside one segment.
func reference(f Features, o Options) (Zip, error) {
	model, position := f.origin()
	share := (len(model) - o.Width) / len(f.Widths)
	budget := make([]int, len(f.Widths))
	for m := range budget {
		// Capped only so that no β overflows: a model has no more merges. The
		// conversion keeps compilers from fusing the product and the sum.
		merges := float64(float64(share)*o.Beta) + 1e-4
		budget[m] = int(min(merges, float64(len(model))))
	}
	c := newClusters(f.correlation32(), model, position, budget)
	c.alpha = float32(o.Alpha)
	c.published = true
	c.run(o.Width)
	return number(c.into), nil
}

// correlation32 is the correlation in the published program's float32
// arithmetic, cov / max(σ_i·σ_j, 1e-7). The diagonal is not set.
func (f Features) correlation32() []float32 {
	n := f.total()
	sigma := make([]float32, n)
	for k := range sigma {
		// The square root of a float32, rounded twice, is still exact.
		sigma[k] = float32(math.Sqrt(float64(max(float32(f.Cov[k*n+k]), 0))))
	}
	c := make([]float32, n*n)
	for i := range n {
		for j := i + 1; j < n; j++ {
			c[i*n+j] = float32(f.Cov[i*n+j]) / max(sigma[i]*sigma[j], minDeviations)
		}
	}
	mirror(n, c)
	return c
}
