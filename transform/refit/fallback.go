package refit

import (
	"math"
	"slices"
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
	for i := range m.o {
		row := w[i*(m.d+1):][:m.d]
		for j, a := range row {
			dot := 0.0
			for k, b := range row {
				dot += s.v[j*m.d+k] * float64(b)
			}
			made[i] += float64(a) * dot
			wanted[i] += 2 * float64(a) * c.v[i*m.d+j]
		}
		wanted[i] += made[i] + m.rr[i]/m.n - r[i]*r[i]
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
