package refit

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRepairOfSums: with the repair that the sums tell, each channel has its target's mean and deviation; a channel
// that does not vary keeps its weights.
func TestRepairOfSums(t *testing.T) {
	const n, d, o = 200, 3, 3
	rng := rand.New(rand.NewPCG(1, 2))
	w := []float32{1, -2, .5, .3, .2, .1, 1, -1, 0, 0, 0, .7}
	m := newNormal(d, o)
	m.n = n
	xs, ts := make([][]float64, n), make([][]float64, n)
	make1 := func(w []float64, x []float64) float64 { return w[0]*x[0] + w[1]*x[1] + w[2]*x[2] + w[3]*x[3] }
	wide := make([]float64, len(w))
	for k, v := range w {
		wide[k] = float64(v)
	}
	for s := range n {
		x := []float64{rng.NormFloat64() + 1, 2 * rng.NormFloat64(), rng.NormFloat64() - 3, 1}
		xs[s], ts[s] = x, make([]float64, o)
		for i := range o {
			z := make1(wide[4*i:], x)
			ts[s][i] = 1.5*z + rng.NormFloat64() + 2
			e := ts[s][i] - z
			for j := range d + 1 {
				m.rx[i*(d+1)+j] += e * x[j]
			}
			m.rr[i] += e * e
		}
		for a := range d + 1 {
			for b := a; b <= d; b++ {
				m.xx[a*(d+1)+b] += x[a] * x[b]
			}
		}
	}
	c := m.repair(w)
	spread := func(v func(int) float64) (mean, std float64) {
		for s := range n {
			mean += v(s) / n
		}
		for s := range n {
			std += (v(s) - mean) * (v(s) - mean) / n
		}
		return mean, math.Sqrt(std)
	}
	for i := range o {
		now := append([]float64(nil), wide[4*i:4*i+4]...)
		for j := range d {
			now[j] += c.w.row(i)[j]
		}
		now[d] += c.b[i]
		mean, std := spread(func(s int) float64 { return make1(now, xs[s]) })
		wantMean, wantStd := spread(func(s int) float64 { return ts[s][i] })
		if i == 2 {
			wantStd = 0
		}
		if math.Abs(mean-wantMean) > 1e-9 || math.Abs(std-wantStd) > 1e-9 {
			t.Errorf("channel %d: mean %.6g and deviation %.6g, its target has %.6g and %.6g", i, mean, std, wantMean, wantStd)
		}
	}
}
