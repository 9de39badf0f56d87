package calibrate

import (
	"fmt"
	"math"
)

// Moments are the first and second moments of O features over N positions (samples × pixels or tokens).
// The zero value holds no positions; Merge fills it. Those of a Capture with a Scratch live as long as that.
type Moments struct {
	// N is the number of positions.
	N float64
	// Mean is the mean of each feature, len O.
	Mean []float64
	// Cov is the population covariance (divided by N): O×O, row-major and symmetric, or, of a diagonal
	// tap, the O variances alone.
	Cov []float64
}

// Features is O, the number of features.
func (m *Moments) Features() int { return len(m.Mean) }

// IsDiagonal reports whether only the variances are known. A single feature counts as diagonal.
func (m *Moments) IsDiagonal() bool { return len(m.Cov) == len(m.Mean) }

// Covariance is cov(i, j). It panics for i ≠ j where only the variances are known.
func (m *Moments) Covariance(i, j int) float64 {
	switch {
	case !m.IsDiagonal():
		return m.Cov[i*len(m.Mean)+j]
	case i == j:
		return m.Cov[i]
	}
	panic(fmt.Sprintf("calibrate: covariance (%d, %d) of diagonal moments", i, j))
}

// Std returns the standard deviation of each feature, len O. The square root is of the population variance.
func (m *Moments) Std() []float64 {
	std := make([]float64, len(m.Mean))
	for i := range std {
		std[i] = math.Sqrt(max(0, m.Covariance(i, i)))
	}
	return std
}

// Merge adds the positions of other to m, as if both had been measured in one run; other stays as it is.
// Shards may be merged in any order and grouping: the results differ by rounding only. With
// δ = mean_b − mean_a and n = n_a + n_b, both divided by n at the end,
//
//	mean = mean_a + δ·n_b/n
//	n·cov = n_a·cov_a + n_b·cov_b + δ·δᵀ·n_a·n_b/n
//
// (Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances,
// Stanford STAN-CS-79-773, 1979, eq. 2.1). It is an error to merge moments of differing features.
func (m *Moments) Merge(other *Moments) error {
	if other.N == 0 {
		return nil
	}
	if m.N == 0 {
		m.N = other.N
		m.Mean = append([]float64(nil), other.Mean...)
		m.Cov = append([]float64(nil), other.Cov...)
		return nil
	}
	if len(m.Mean) != len(other.Mean) || len(m.Cov) != len(other.Cov) {
		return fmt.Errorf("calibrate: moments of %d features (%d covariances) do not merge with those of %d (%d)",
			len(m.Mean), len(m.Cov), len(other.Mean), len(other.Cov))
	}
	m.merge(other)
	return nil
}

// merge is Merge of two that fit and are not empty.
func (m *Moments) merge(other *Moments) {
	n := m.N + other.N
	wa, wb := m.N/n, other.N/n
	delta := make([]float64, len(m.Mean))
	for i := range delta {
		delta[i] = other.Mean[i] - m.Mean[i]
		m.Mean[i] += delta[i] * wb
	}
	if m.IsDiagonal() {
		for i, d := range delta {
			m.Cov[i] = wa*m.Cov[i] + wb*other.Cov[i] + wa*wb*(d*d)
		}
	} else {
		for i, d := range delta {
			row, otherRow := m.Cov[i*len(delta):(i+1)*len(delta)], other.Cov[i*len(delta):(i+1)*len(delta)]
			for j, e := range delta {
				row[j] = wa*row[j] + wb*otherRow[j] + wa*wb*(d*e) // d*e first: keeps the matrix symmetric
			}
		}
	}
	m.N = n
}
