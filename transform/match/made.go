package match

import (
	"runtime"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// made is what a reader makes of what is unexplained: W·R = W·Σ − Σ_l c_l·lᵀ with a column l of L and c_l = W·R_l·e_k/√ρ for each
// ranked feature k. It is never formed but at the beginning.
type made struct {
	first *mat.Dense  // W·Σ
	of    [][]float64 // c_l
}

func newMade(n int, rows, cov []float64) *made {
	m := &made{first: mat.NewDense(len(rows)/n, n, nil)}
	m.first.Mul(mat.NewDense(len(rows)/n, n, rows), mat.NewDense(n, n, cov))
	return m
}

// trace is tr(W·Σ·Wᵀ).
func (m *made) trace(rows []float64) float64 { return floats.Dot(rows, m.first.RawMatrix().Data) }

// squares adds the squared length of each column to out.
func (m *made) squares(out []float64) {
	for i := range m.first.RawMatrix().Rows {
		for j, x := range m.first.RawRowView(i) {
			out[j] += x * x
		}
	}
}

// project makes of column k of Σ that of R, given the columns of L so far and the root of R_kk, and returns R·G of it: the product
// of what is made of each feature with what is made of feature k.
func (m *made) project(k int, column []float64, columns [][]float64, root float64) []float64 {
	u := mat.Col(nil, k, m.first)
	shares := make([]float64, len(columns))
	for l, c := range m.of {
		shares[l] = columns[l][k]
		floats.AddScaled(u, -shares[l], c)
	}
	products := make([]float64, len(columns))
	for l, c := range m.of {
		products[l] = floats.Dot(c, u)
	}
	v := make([]float64, len(column))
	inChunks(len(column), func(from, to int) {
		for l, x := range columns {
			floats.AddScaled(column[from:to], -shares[l], x[from:to])
			floats.AddScaled(v[from:to], -products[l], x[from:to])
		}
		for i, x := range u {
			if x != 0 {
				floats.AddScaled(v[from:to], x, m.first.RawRowView(i)[from:to])
			}
		}
	})
	floats.Scale(1/root, u)
	m.of = append(m.of, u)
	return v
}

// chunk is the number of features that a worker treats at once: what it adds up stays in the nearest cache.
const chunk = 512

// inChunks calls f for all of [0, n), in pieces side by side. What a piece computes must not depend on the others.
func inChunks(n int, f func(from, to int)) {
	if n <= chunk {
		f(0, n)
		return
	}
	pieces := make(chan int, n/chunk+1)
	for from := 0; from < n; from += chunk {
		pieces <- from
	}
	close(pieces)
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n/chunk+1) {
		all.Go(func() {
			for from := range pieces {
				f(from, min(from+chunk, n))
			}
		})
	}
	all.Wait()
}
