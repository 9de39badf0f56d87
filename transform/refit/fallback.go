package refit

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// repair is the correction that gives each channel the mean and deviation of its target, w being the weights that
// the sums were made with, [o, d+1]:
//
//	g = σ_t/σ_z    W ← g·W    z̄ ← t̄
//
// with z = W·x + b, t = z + e, e what the node leaves: σ_z² = W·S·Wᵀ, σ_t² = σ_z² + 2·Cov[e, x]·Wᵀ + Var[e]. The
// gain keeps to the limits of Repair. The target is what the node is judged by, not its members' own deviations.
func (m *normal) repair(w []float32) *correction {
	s, c := m.centred()
	x, r := m.means()
	out := &correction{w: newMatrix(m.o, m.d), b: make([]float64, m.o)}
	made, wanted := make([]float64, m.o), make([]float64, m.o)
	weights := mat.NewDense(m.o, m.d, nil)
	for i := range m.o {
		for j, a := range w[i*(m.d+1):][:m.d] {
			weights.Set(i, j, float64(a))
		}
	}
	var ws mat.Dense
	ws.Mul(weights, mat.NewDense(m.d, m.d, s.v[:m.d*m.d]))
	for i := range m.o {
		row := weights.RawRowView(i)
		made[i] = floats.Dot(row, ws.RawRowView(i))
		wanted[i] = 2*floats.Dot(row, c.v[i*m.d:][:m.d]) + made[i] + m.rr[i]/m.n - r[i]*r[i]
	}
	sorted := slices.Clone(made)
	slices.Sort(sorted)
	tiny := tinyStd * tinyStd * sorted[len(sorted)/2]
	for i := range m.o {
		gain := 1.0
		if made[i] > tiny && wanted[i] > tiny {
			gain = min(max(math.Sqrt(wanted[i]/made[i]), 1.0/maxGain), maxGain)
		}
		out.b[i] = r[i]
		for j, a := range w[i*(m.d+1):][:m.d] {
			out.w.v[i*m.d+j] = (gain - 1) * float64(a)
			out.b[i] += (1 - gain) * float64(a) * x[j]
		}
	}
	if m.noBias {
		clear(out.b)
	}
	if !out.w.finite() {
		return nil
	}
	return out
}
