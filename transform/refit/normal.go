package refit

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// normal holds the sums behind a least-squares fit of what o channels leave, on d inputs: the normal equations.
type normal struct {
	d, o int
	n    float64
	xx   []float64 // Σ x̃x̃ᵀ, (d+1)×(d+1), its upper half; the last column has the sums of x
	rx   []float64 // Σ r x̃ᵀ, o×(d+1)
	rr   []float64 // Σ r², o
	// noBias is set where the node can have none: then nothing is centred.
	noBias bool
}

func newNormal(d, o int) *normal {
	return &normal{d: d, o: o, xx: make([]float64, (d+1)*(d+1)), rx: make([]float64, o*(d+1)), rr: make([]float64, o)}
}

// energy is E|r|², the error if nothing is changed.
func (m *normal) energy() float64 {
	e := 0.0
	for _, v := range m.rr {
		e += v / m.n
	}
	return e
}

// means are x̄ and r̄, or zero where the node can have no bias.
func (m *normal) means() (x, r []float64) {
	x, r = make([]float64, m.d), make([]float64, m.o)
	if m.noBias {
		return x, r
	}
	for j := range m.d {
		x[j] = m.xx[j*(m.d+1)+m.d] / m.n
	}
	for i := range m.o {
		r[i] = m.rx[i*(m.d+1)+m.d] / m.n
	}
	return x, r
}

// centred returns S = Cov[x, x], d×d, and C = Cov[r, x], o×d.
func (m *normal) centred() (s, c *matrix) {
	x, _ := m.means()
	s = newMatrix(m.d, m.d)
	for i := range m.d {
		for j := i; j < m.d; j++ {
			v := m.xx[i*(m.d+1)+j]/m.n - x[i]*x[j]
			s.v[i*m.d+j], s.v[j*m.d+i] = v, v
		}
	}
	return s, m.centredCross()
}

// centredCross is C = Cov[r, x], o×d.
func (m *normal) centredCross() *matrix {
	x, r := m.means()
	c := newMatrix(m.o, m.d)
	for i := range m.o {
		for j := range m.d {
			c.v[i*m.d+j] = m.rx[i*(m.d+1)+j]/m.n - r[i]*x[j]
		}
	}
	return c
}

// correction is a change of weights: W ← W + W', b ← b + b'. A nil one changes nothing.
type correction struct {
	w *matrix   // o×d
	b []float64 // o
}

// append writes the correction as [o, d+1], the bias behind the weights.
func (c *correction) append(flat []float32, d, o int) []float32 {
	if c == nil {
		return append(flat, make([]float32, o*(d+1))...)
	}
	for i := range o {
		for _, v := range c.w.row(i) {
			flat = append(flat, float32(v))
		}
		flat = append(flat, float32(c.b[i]))
	}
	return flat
}

// ridges are strengths relative to the mean of S's diagonal. Held-out samples choose one of them for each node:
// less overfits, more shrinks too much, and finer steps change nothing (docs/refit.md). Where positions are few,
// the strong ones are tried too.
var (
	ridges       = []float64{1e-3, 1e-2, 1e-1}
	strongRidges = []float64{3e-1, 1}
)

// fits solves ΔW = C(S + λ·tr(S)/d·I)⁻¹, Δb = r̄ − ΔW·x̄ for each λ, so many at once. The corrections
// shrink towards none; one that cannot be computed (S has no variance, or is not finite) is nil. solvers[k] has what S + λI was
// decomposed into, nil where there is nothing.
func (m *normal) fits(p *products, lambdas []float64, workers int) (out []*correction, solvers []*ridgeSolver, err error) {
	out, solvers = make([]*correction, len(lambdas)), make([]*ridgeSolver, len(lambdas))
	s, c := m.centred()
	scale := s.trace() / float64(m.d)
	if !(scale > 0) || math.IsInf(scale, 0) {
		return out, solvers, nil
	}
	x, r := m.means()
	return out, solvers, parallel(workers, 0, len(lambdas), func(k int) error {
		ridge := lambdas[k] * scale
		solve, err := p.decomposed(s, ridge)
		if solve == nil {
			return err
		}
		solvers[k] = &ridgeSolver{solve, ridge}
		w, err := solve(c)
		if w != nil && w.finite() {
			out[k] = &correction{w: w, b: bias(w, x, r)}
		}
		return err
	})
}

// bias is r̄ − W·x̄.
func bias(w *matrix, x, r []float64) []float64 {
	b := make([]float64, len(r))
	for i := range b {
		b[i] = r[i]
		for j, v := range w.row(i) {
			b[i] -= v * x[j]
		}
	}
	return b
}

// decomposeSmall is products.decomposed by gonum.
func decomposeSmall(s *matrix, lambda float64) func(c *matrix) (*matrix, error) {
	a := mat.NewSymDense(s.rows, append([]float64(nil), s.v...))
	for i := range s.rows {
		a.SetSym(i, i, a.At(i, i)+lambda)
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		return nil
	}
	return func(c *matrix) (*matrix, error) {
		var wt mat.Dense
		if chol.SolveTo(&wt, mat.NewDense(c.rows, c.columns, c.v).T()) != nil {
			return nil, nil
		}
		w := newMatrix(c.rows, c.columns)
		for i := range w.rows {
			mat.Col(w.row(i), i, &wt)
		}
		return w, nil
	}
}

// matrix is row-major.
type matrix struct {
	rows, columns int
	v             []float64
}

func newMatrix(rows, columns int) *matrix {
	return &matrix{rows, columns, make([]float64, rows*columns)}
}

func (m *matrix) row(i int) []float64 { return m.v[i*m.columns : (i+1)*m.columns] }

func (m *matrix) trace() float64 {
	t := 0.0
	for i := range m.rows {
		t += m.v[i*m.columns+i]
	}
	return t
}

func (m *matrix) finite() bool {
	for _, x := range m.v {
		if x-x != 0 {
			return false
		}
	}
	return true
}
