package calibrate

import (
	"encoding/binary"
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// sums accumulates the shifted sums of one tap in float64.
type sums struct {
	tap    Tap
	shift  []float64
	n      float64
	sum    []float64
	square []float64
}

func newSums(p *tapPlan) *sums {
	o := len(p.shift)
	s := &sums{tap: p.tap, shift: p.shift, sum: make([]float64, o), square: make([]float64, o)}
	if !p.tap.Diagonal {
		s.square = make([]float64, o*o)
	}
	return s
}

// add adds the sums of a batch. Where a sum is not finite it returns an error of kind fault.Runtime that
// names the value.
func (s *sums) add(positions int64, sum, square *onnx.Tensor) error {
	if err := addTo(s.sum, sum); err != nil {
		return err
	}
	if err := addTo(s.square, square); err != nil {
		return err
	}
	s.n += float64(positions)
	o := len(s.sum)
	for k := range s.sum {
		variance := k
		if len(s.square) != o {
			variance = k*o + k
		}
		// A covariance is no larger than the variances: these tell for the whole matrix.
		if !finite(s.sum[k]) || !finite(s.square[variance]) {
			return fault.New(fault.Runtime, "not_finite", "it becomes infinite or NaN").AtValue(s.tap.valueOf(k)).
				WithHint("check that the data is normalised as the model wants it")
		}
	}
	return nil
}

// addTo adds a float64 tensor to total.
func addTo(total []float64, t *onnx.Tensor) error {
	if t == nil || t.DType != onnx.Double || len(t.Raw) != 8*len(total) {
		return fault.New(fault.Runtime, "bad_output", "the engine returned no %d float64 values", len(total))
	}
	for i := range total {
		total[i] += math.Float64frombits(binary.LittleEndian.Uint64(t.Raw[8*i:]))
	}
	return nil
}

// moments ends the accumulation: with d = Σ(x−s)/n, the mean is s + d and the covariance
// Σ(x−s)(x−s)ᵀ/n − d·dᵀ. Small d, which a shift near the mean ensures, leaves no cancellation.
func (s *sums) moments() *Moments {
	o := len(s.sum)
	m := &Moments{N: s.n, Mean: make([]float64, o), Cov: s.square}
	d := make([]float64, o)
	for i := range d {
		d[i] = s.sum[i] / s.n
		m.Mean[i] = s.shift[i] + d[i]
	}
	if s.tap.Diagonal {
		for i := range d {
			m.Cov[i] = max(0, m.Cov[i]/s.n-d[i]*d[i])
		}
		return m
	}
	for i := range d {
		m.Cov[i*o+i] = max(0, m.Cov[i*o+i]/s.n-d[i]*d[i])
		for j := range i { // both halves are the same sums, but an engine may round them differently
			c := (m.Cov[i*o+j]+m.Cov[j*o+i])/(2*s.n) - d[i]*d[j]
			m.Cov[i*o+j], m.Cov[j*o+i] = c, c
		}
	}
	return m
}
