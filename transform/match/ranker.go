package match

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// ranker is the state of one reader: R = Σ − L·Lᵀ is never formed, only its diagonal is and what a block needs of it.
type ranker struct {
	cov       *mat.SymDense // Σ
	sigma     []float64     // deviations
	left      []float64     // diagonal of R
	gain      []float64     // diagonal of R·G·R
	floor     []float64     // of left: at or below it a feature is a linear function of those ranked
	columns   []float64     // Lᵀ: O for each ranked feature, without those of the block
	made      *mat.Dense    // W·R, without what the block changes
	remaining float64       // tr(G·R)
	block     *block
}

func newRanker(f Features, reader Reader) *ranker {
	n := f.total()
	r := &ranker{cov: mat.NewSymDense(n, f.Cov), left: make([]float64, n), gain: make([]float64, n), floor: make([]float64, n)}
	var typical float64
	r.sigma, typical = f.deviations()
	for k, s := range r.sigma {
		noise := constantRatio * max(typical, math.Abs(f.mean(k)))
		r.left[k], r.floor[k] = s*s, max(dependentRatio*s*s, noise*noise)
	}
	if rows := reader.fewRows(n); rows == nil {
		r.made = full(n, f.Cov)
		r.remaining = mat.Trace(r.made)
	} else {
		r.made = mat.NewDense(len(rows)/n, n, nil)
		r.made.Mul(mat.NewDense(len(rows)/n, n, rows), full(n, f.Cov))
		r.remaining = floats.Dot(rows, r.made.RawMatrix().Data)
	}
	r.squares()
	return r
}

// squares sets the gains by what is made of each feature.
func (r *ranker) squares() {
	clear(r.gain)
	for i := range r.made.RawMatrix().Rows {
		for j, x := range r.made.RawRowView(i) {
			r.gain[j] += x * x
		}
	}
}

// fewRows are rows V of which VᵀV is the Gram of the weights, at most as many as there are features; nil for the identity.
func (r Reader) fewRows(n int) []float64 {
	weight := r.Weight
	switch {
	case r.Rows != nil && len(r.Rows) == 0:
		return make([]float64, n) // nothing reads them
	case r.Rows != nil && len(r.Rows) <= n*n:
		return r.Rows
	case r.Rows != nil:
		weight = r.Gram(n)
	case weight == nil:
		return nil
	}
	var c mat.PivotedCholesky
	c.Factorize(mat.NewSymDense(n, weight), -1)
	var u mat.TriDense
	c.UTo(&u)
	rows := make([]float64, max(c.Rank(), 1)*n)
	for k, p := range c.ColumnPivots(nil) {
		for i := range min(c.Rank(), k+1) {
			rows[i*n+p] = u.At(i, k)
		}
	}
	return rows
}

// block is what is known of the features on a shortlist while some of them are ranked.
type block struct {
	short []int
	cov   *mat.Dense  // R of them at the beginning
	made  *mat.Dense  // what was made of them then, a row for each
	taken []int       // features
	roots []float64   // of R_kk when each was taken
	rows  [][]float64 // of Lᵀ, of the features on the shortlist
	of    [][]float64 // W·R·e_k/√R_kk
}

// begin begins a block.
func (r *ranker) begin(short []int) {
	n, s, t := len(r.left), len(short), len(r.columns)/len(r.left)
	b := &block{short: short, cov: mat.NewDense(s, s, nil), made: mat.NewDense(s, r.made.RawMatrix().Rows, nil)}
	for i, k := range short {
		row := b.cov.RawRowView(i)
		for j, l := range short {
			row[j] = r.cov.At(k, l)
		}
	}
	for i := range r.made.RawMatrix().Rows {
		row := r.made.RawRowView(i)
		for j, k := range short {
			b.made.Set(j, i, row[k])
		}
	}
	if t > 0 {
		l := mat.NewDense(t, s, nil)
		for i := range t {
			row, to := r.columns[i*n:(i+1)*n], l.RawRowView(i)
			for j, k := range short {
				to[j] = row[k]
			}
		}
		subtractProduct(b.cov, l, l)
	}
	r.block = b
}

// take ranks the feature at a place of the shortlist. With r its column of R, ρ = r_k and v = R·G·r,
//
//	R ← R − r·rᵀ/ρ        RGR ← RGR − (r·vᵀ + v·rᵀ)/ρ + r·rᵀ·v_k/ρ²
func (r *ranker) take(at int) {
	k := r.block.short[at]
	if r.left[k] <= r.floor[k] {
		return // those ranked before say all of it
	}
	for j, s := range r.sigma {
		if math.Abs(r.cov.At(k, j)) >= (1-dependentRatio)*s*r.sigma[k] {
			r.floor[j] = math.Inf(1)
		}
	}
	rho := r.left[k]
	column, v := r.block.take(at, rho)
	for i, j := range r.block.short {
		c := column[i] / rho
		r.left[j] -= c * column[i]
		r.gain[j] = max(r.gain[j]-2*c*v[i]+c*c*v[at], 0)
	}
	r.remaining -= v[at] / rho
	r.left[k] = 0
	r.block.taken = append(r.block.taken, k)
	r.block.roots = append(r.block.roots, math.Sqrt(rho))
	r.block.rows = append(r.block.rows, scaled(column, 1/math.Sqrt(rho)))
}

// take returns the column of R of the feature at a place, and R·G of it: the products of what is made of each feature with
// what is made of this one.
func (b *block) take(at int, rho float64) (column, v []float64) {
	column = append([]float64(nil), b.cov.RawRowView(at)...)
	u := append([]float64(nil), b.made.RawRowView(at)...)
	products := make([]float64, len(b.rows))
	for l, row := range b.rows {
		floats.AddScaled(column, -row[at], row)
		floats.AddScaled(u, -row[at], b.of[l])
	}
	for l, of := range b.of {
		products[l] = floats.Dot(of, u)
	}
	v = make([]float64, len(b.short))
	inChunks(len(v), func(from, to int) {
		for j := from; j < to; j++ {
			v[j] = floats.Dot(b.made.RawRowView(j), u)
		}
	})
	for l, row := range b.rows {
		floats.AddScaled(v, -products[l], row)
	}
	b.of = append(b.of, scaled(u, 1/math.Sqrt(rho)))
	return column, v
}

// scaled is c·x, new.
func scaled(x []float64, c float64) []float64 {
	return floats.ScaleTo(make([]float64, len(x)), c, x)
}

// end brings all features up to date with what was ranked in the block.
func (r *ranker) end() {
	b, n, t := r.block, len(r.left), len(r.columns)/len(r.left)
	r.block = nil
	if len(b.taken) == 0 {
		return
	}
	size := len(b.taken)
	l := mat.NewDense(size, n, nil) // columns of R, then of L
	for i, k := range b.taken {
		mat.Col(l.RawRowView(i), k, r.cov)
	}
	if t > 0 {
		before, shares := mat.NewDense(t, n, r.columns), mat.NewDense(t, size, nil)
		for i := range t {
			for j, k := range b.taken {
				shares.Set(i, j, before.At(i, k))
			}
		}
		subtractProduct(l, shares, before)
	}
	for i, k := range b.taken {
		row := l.RawRowView(i)
		for j := range i {
			floats.AddScaled(row, -l.At(j, k), l.RawRowView(j))
		}
		floats.Scale(1/b.roots[i], row)
	}
	of := mat.NewDense(size, len(b.of[0]), nil)
	for i, u := range b.of {
		of.SetRow(i, u)
	}
	subtractProduct(r.made, of, l)
	r.columns = append(r.columns, l.RawMatrix().Data...)
	r.renew(b, l)
}

// subtractProduct makes c − aᵀ·b of c.
func subtractProduct(c, a, b *mat.Dense) {
	blas64.Gemm(blas.Trans, blas.NoTrans, -1, a.RawMatrix(), b.RawMatrix(), 1, c.RawMatrix())
}

// renew works out left and gain of all features anew.
func (r *ranker) renew(b *block, l *mat.Dense) {
	known := make([]bool, len(r.left)) // those of the shortlist are up to date
	for _, k := range b.short {
		known[k] = true
	}
	for i := range b.taken {
		for j, x := range l.RawRowView(i) {
			if !known[j] {
				r.left[j] -= x * x
			}
		}
	}
	r.squares()
}
