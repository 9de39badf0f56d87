package refit

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// normal holds the sums behind a least-squares fit of O residual channels on d inputs: the normal equations.
type normal struct {
	d, o int
	n    float64
	xx   []float64 // Σ x̃x̃ᵀ, (d+1)×(d+1), the last row the sums of x
	rx   []float64 // Σ r x̃ᵀ, o×(d+1)
	rr   []float64 // Σ r², o
}

func newNormal(d, o int) *normal {
	return &normal{d: d, o: o, xx: make([]float64, (d+1)*(d+1)), rx: make([]float64, o*(d+1)), rr: make([]float64, o)}
}

// centred returns S = Cov[x, x] and C = Cov[r, x] around the given means (its own where nil), and the means.
func (m *normal) centred(meanX, meanR []float64) (s *mat.SymDense, c *mat.Dense, x, r []float64) {
	x, r = m.means()
	if meanX == nil {
		meanX, meanR = x, r
	}
	s, c = mat.NewSymDense(m.d, nil), mat.NewDense(m.o, m.d, nil)
	for i := range m.d {
		for j := i; j < m.d; j++ {
			// E[(x−a)(x−a)ᵀ] = E[xxᵀ] − x̄aᵀ − ax̄ᵀ + aaᵀ
			v := m.xx[i*(m.d+1)+j]/m.n - x[i]*meanX[j] - meanX[i]*x[j] + meanX[i]*meanX[j]
			s.SetSym(i, j, v)
		}
	}
	for i := range m.o {
		for j := range m.d {
			c.Set(i, j, m.rx[i*(m.d+1)+j]/m.n-r[i]*meanX[j]-meanR[i]*x[j]+meanR[i]*meanX[j])
		}
	}
	return s, c, x, r
}

func (m *normal) means() (x, r []float64) {
	x, r = make([]float64, m.d), make([]float64, m.o)
	for j := range m.d {
		x[j] = m.xx[m.d*(m.d+1)+j] / m.n
	}
	for i := range m.o {
		r[i] = m.rx[i*(m.d+1)+m.d] / m.n
	}
	return x, r
}

// energy is E|r|², the error if nothing is changed.
func (m *normal) energy() float64 {
	e := 0.0
	for _, v := range m.rr {
		e += v / m.n
	}
	return e
}

// correction is a change of weights: W ← W + W', b ← b + b'.
type correction struct {
	w *mat.Dense // o×d
	b []float64  // o
}

// Ridge strengths relative to the mean of S's diagonal. Held-out samples choose one of them for each node:
// less overfits, more shrinks too much.
var ridges = []float64{1e-3, 1e-2, 3e-2, 1e-1, 1}

// fit solves ΔW = C(S + λ·tr(S)/d·I)⁻¹, Δb = r̄ − ΔW·x̄ for each λ on the samples of m and returns the one
// with the least error on held's, with that error. The correction shrinks towards none, so that an exact merge
// stays exact; it is nil where leaving the node alone is best.
func (m *normal) fit(held *normal) (best *correction, lambda, err float64) {
	s, c, x, r := m.centred(nil, nil)
	hs, hc, _, _ := held.centred(x, r)
	_, hr := held.means()
	scale := mat.Trace(s) / float64(m.d)
	err = held.energy()
	if scale <= 0 || math.IsNaN(scale) {
		return nil, 0, err
	}
	for _, l := range ridges {
		w := solve(s, c, l*scale)
		if w == nil {
			continue
		}
		if e := held.errorOf(w, hs, hc, r, hr); e < err {
			err, lambda = e, l
			best = &correction{w: w, b: bias(w, x, r)}
		}
	}
	return best, lambda, err
}

// bias is r̄ − W·x̄.
func bias(w *mat.Dense, x, r []float64) []float64 {
	var wx mat.VecDense
	wx.MulVec(w, mat.NewVecDense(len(x), x))
	b := make([]float64, len(r))
	for i := range b {
		b[i] = r[i] - wx.AtVec(i)
	}
	return b
}

// solve returns C(S + λI)⁻¹ by Cholesky, nil where the matrix is not positive definite.
func solve(s *mat.SymDense, c *mat.Dense, lambda float64) *mat.Dense {
	a := mat.NewSymDense(s.SymmetricDim(), nil)
	a.CopySym(s)
	for i := range a.SymmetricDim() {
		a.SetSym(i, i, a.At(i, i)+lambda)
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		return nil
	}
	var wt mat.Dense
	if chol.SolveTo(&wt, c.T()) != nil {
		return nil
	}
	return mat.DenseCopyOf(wt.T())
}

// errorOf is E|r − r̄ − W(x − x̄)|² over m, where x̄, r̄ are the means of the samples that W was fitted on,
// s and c m's moments around them, and own m's own mean of r.
func (m *normal) errorOf(w *mat.Dense, s *mat.SymDense, c *mat.Dense, r, own []float64) float64 {
	var ws mat.Dense
	ws.Mul(w, s)
	e := 0.0
	for i := range m.o {
		// E(r−r̄)² around the fit's mean
		e += m.rr[i]/m.n - 2*own[i]*r[i] + r[i]*r[i]
		for j := range m.d {
			e += w.At(i, j) * (ws.At(i, j) - 2*c.At(i, j))
		}
	}
	return e
}
