package match

import "fmt"

// Permute matches every model to model 0, feature by feature, so that the sum of
// the correlations of the pairs is the largest possible (linear assignment on
// the cross-correlation: Git Re-Basin's activation matching, Ainsworth et al.,
// ICLR 2023, arXiv 2209.04836, §3.1). Dead and constant features correlate with
// nothing; those that meet are paired by their means, at the same position
// where that is possible. Correlations are rounded to o.Tie.
//
// The width is that of model 0; no model may be wider, and o.Width must be 0 or
// that width. Alpha, Beta and Seed are not used.
func Permute(f Features, o Options) (Zip, error) {
	o, err := f.prepare(o)
	if err != nil {
		return Zip{}, err
	}
	for m, w := range f.Widths {
		if w > f.Widths[0] {
			return Zip{}, fmt.Errorf("match: model %d has %d features, more than the %d of model 0 to match them to", m, w, f.Widths[0])
		}
	}
	if o.Width != f.Widths[0] {
		return Zip{}, fmt.Errorf("match: a permutation has width %d, that of model 0, not %d", f.Widths[0], o.Width)
	}
	return bySegment(f, o, permute)
}

// permute is Permute inside one segment.
func permute(f Features, o Options) (Zip, error) {
	z, err := Identity(f.Widths[:1])
	if err != nil {
		return Zip{}, err
	}
	sigma, typical := f.deviations()
	model, all := f.origin()
	for k := range all {
		all[k] = k
	}
	means := f.roundedMeans(all, typical)
	constant := make([]bool, len(model))
	for k, s := range sigma {
		constant[k] = s == 0
	}
	first := z.Width
	for _, w := range f.Widths[1:] {
		of, err := Assign(z.Width, f.crossCorrelation(first, w, sigma, o))
		if err != nil {
			return Zip{}, err
		}
		of = of[:w]
		rematchConstants(of, means[first:first+w], means, constant[first:first+w], constant)
		z.Of = append(z.Of, of...)
		first += w
	}
	return z, nil
}

// crossCorrelation returns the correlation of the w features from first on
// (rows) with those of model 0 (columns), filled up with rows of 0 to a square.
func (f Features) crossCorrelation(first, w int, sigma []float64, o Options) []float64 {
	n, total := f.Widths[0], f.total()
	c := make([]float64, n*n)
	for a := range w {
		i := first + a
		for b := range n {
			// Only the upper triangle of Cov is read; model 0 comes first.
			if lo, hi := min(i, b), max(i, b); sigma[lo] > 0 && sigma[hi] > 0 {
				c[a*n+b] = o.round(min(max(f.Cov[lo*total+hi]/(sigma[lo]*sigma[hi]), -1), 1))
			}
		}
	}
	return c
}
