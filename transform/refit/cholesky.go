package refit

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"gonum.org/v1/gonum/mat"
)

// panel is the number of columns that the blocked decomposition takes at a time, and largeSystem the number of
// unknowns from which it pays: its products run in the engine, whose float64 kernels are many times as fast as
// gonum's.
const (
	panel       = 128
	largeSystem = 384
)

// products are float64 matrix products in the engine. It may be used from several goroutines.
type products struct{ engine *calibrate.Products }

// run returns x·y, or x·yᵀ where transposed; where c is not nil, c minus that.
func (p *products) run(c, x, y *matrix, transposed bool) (*matrix, error) {
	var from *mat.Dense
	if c != nil {
		from = c.dense()
	}
	out, err := p.engine.Multiply(from, x.dense(), y.dense(), transposed)
	if err != nil {
		return nil, err
	}
	rows, columns := out.Dims()
	return &matrix{rows, columns, out.RawMatrix().Data}, nil
}

func (m *matrix) dense() *mat.Dense { return mat.NewDense(m.rows, m.columns, m.v[:m.rows*m.columns]) }

// slice is the rows of m in [from, to), in the same memory.
func (m *matrix) slice(from, to int) *matrix {
	return &matrix{to - from, m.columns, m.v[from*m.columns : to*m.columns]}
}

// factor is S + λI = L·Lᵀ in panels: panel k holds L's columns of block k, from the diagonal down.
type factor struct {
	p       *products
	at      []int // where each block begins, and the end
	panels  []*matrix
	inverse []*matrix // of each diagonal block of L
}

// decomposed decomposes S + λI, large ones by the engine's products, small ones by gonum, and returns what solves for it: C ↦
// C(S + λI)⁻¹. It is nil where the matrix is not positive definite.
func (p *products) decomposed(s *matrix, lambda float64) (func(c *matrix) (*matrix, error), error) {
	if s.rows < largeSystem {
		return decomposeSmall(s, lambda), nil
	}
	f := &factor{p: p}
	for at := 0; at < s.rows; at += panel {
		f.at = append(f.at, at)
	}
	f.at = append(f.at, s.rows)
	if ok, err := f.decompose(s, lambda); !ok || err != nil {
		return nil, err
	}
	return f.solve, nil
}

// rows are L's rows of block i in panel k.
func (f *factor) rows(i, k int) *matrix {
	return f.panels[k].slice(f.at[i]-f.at[k], f.at[i+1]-f.at[k])
}

// decompose is the blocked, left-looking Cholesky decomposition (Golub, Van Loan: Matrix Computations, §4.2.6).
// ok is false where the matrix is not positive definite.
func (f *factor) decompose(s *matrix, lambda float64) (ok bool, err error) {
	d := s.rows
	for k := range len(f.at) - 1 {
		from, to := f.at[k], f.at[k+1]
		a := newMatrix(d-from, to-from)
		for i := range a.rows {
			copy(a.row(i), s.row(from + i)[from:to])
			if i < a.columns {
				a.row(i)[i] += lambda
			}
		}
		for j := range k {
			// A_k ← A_k − L_j·(L_j's rows of block k)ᵀ
			below := f.panels[j].slice(from-f.at[j], d-f.at[j])
			if a, err = f.p.run(a, below, f.rows(k, j), true); err != nil {
				return false, err
			}
		}
		if ok, err := f.finish(a); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// finish turns a panel of what is left of S into one of L: its diagonal block is decomposed, the rows below are
// multiplied with the inverse of that.
func (f *factor) finish(a *matrix) (ok bool, err error) {
	n := a.columns
	var chol mat.Cholesky
	if !chol.Factorize(mat.NewSymDense(n, append([]float64(nil), a.v[:n*n]...))) {
		return false, nil
	}
	var l, inverse mat.TriDense
	chol.LTo(&l)
	if inverse.InverseTri(&l) != nil {
		return false, nil
	}
	inv, out := newMatrix(n, n), newMatrix(a.rows, n)
	for i := range n {
		for j := range i + 1 {
			inv.row(i)[j], out.row(i)[j] = inverse.At(i, j), l.At(i, j)
		}
	}
	if a.rows > n {
		below, err := f.p.run(nil, a.slice(n, a.rows), inv, true)
		if err != nil {
			return false, err
		}
		copy(out.v[n*n:], below.v)
	}
	f.panels, f.inverse = append(f.panels, out), append(f.inverse, inv)
	return true, nil
}

// solve returns W with W·L·Lᵀ = C.
func (f *factor) solve(c *matrix) (w *matrix, err error) {
	blocks := len(f.at) - 1
	y := make([]*matrix, blocks)
	for k := range y { // Y·Lᵀ = C
		y[k] = c.columnsOf(f.at[k], f.at[k+1])
		for j := range k {
			if y[k], err = f.p.run(y[k], y[j], f.rows(k, j), true); err != nil {
				return nil, err
			}
		}
		if y[k], err = f.p.run(nil, y[k], f.inverse[k], true); err != nil {
			return nil, err
		}
	}
	for k := blocks - 1; k >= 0; k-- { // W·L = Y
		for j := k + 1; j < blocks; j++ {
			if y[k], err = f.p.run(y[k], y[j], f.rows(j, k), false); err != nil {
				return nil, err
			}
		}
		if y[k], err = f.p.run(nil, y[k], f.inverse[k], false); err != nil {
			return nil, err
		}
	}
	w = newMatrix(c.rows, c.columns)
	for k, part := range y {
		for i := range w.rows {
			copy(w.row(i)[f.at[k]:], part.row(i))
		}
	}
	return w, nil
}

// columnsOf copies columns [from, to).
func (m *matrix) columnsOf(from, to int) *matrix {
	out := newMatrix(m.rows, to-from)
	for i := range m.rows {
		copy(out.row(i), m.row(i)[from:to])
	}
	return out
}
