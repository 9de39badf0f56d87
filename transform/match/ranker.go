package match

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// ranker is the state of one reader: R = Σ − L·Lᵀ is never formed, only its diagonal is and what a block needs of it.
type ranker struct {
	products
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

func newRanker(f Features, reader Reader) (*ranker, error) {
	n := f.total()
	r := &ranker{products: products{f.Products}, cov: mat.NewSymDense(n, f.Cov), left: make([]float64, n), gain: make([]float64, n), floor: make([]float64, n)}
	var typical float64
	r.sigma, typical = f.deviations()
	for k, s := range r.sigma {
		noise := constantRatio * max(typical, math.Abs(f.mean(k)))
		r.left[k], r.floor[k] = s*s, max(dependentRatio*s*s, noise*noise)
	}
	rows, err := reader.fewRows(f.Products, n)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		r.made = full(n, f.Cov)
		r.remaining = mat.Trace(r.made)
	} else {
		if r.made, err = r.makeOf(mat.NewDense(len(rows)/n, n, rows), full(n, f.Cov), f.Widths); err != nil {
			return nil, err
		}
		r.remaining = floats.Dot(rows, r.made.RawMatrix().Data)
	}
	r.squares()
	return r, nil
}

// makeOf is W·Σ. Runs of rows of W that read features of the same models only are multiplied with the covariances of these.
func (r *ranker) makeOf(w, cov *mat.Dense, widths []int) (*mat.Dense, error) {
	rows, n := w.Dims()
	out := mat.NewDense(rows, n, nil)
	for at := 0; at < rows; {
		from, to := readBy(w.RawRowView(at), widths)
		next := at + 1
		for ; next < rows; next++ {
			if f, t := readBy(w.RawRowView(next), widths); f < t && (f != from || t != to) {
				break
			}
		}
		if from < to {
			part := mat.DenseCopyOf(w.Slice(at, next, from, to))
			if err := r.put(out.Slice(at, next, 0, n).(*mat.Dense), 0, part, cov.Slice(from, to, 0, n).(*mat.Dense), false); err != nil {
				return nil, err
			}
		}
		at = next
	}
	return out, nil
}

// readBy are the features of all models of which a row is not zero, from the first of these models to the last.
func readBy(row []float64, widths []int) (from, to int) {
	at := 0
	for _, w := range widths {
		if slices.ContainsFunc(row[at:at+w], func(x float64) bool { return x != 0 }) {
			if from == to {
				from = at
			}
			to = at + w
		}
		at += w
	}
	return from, to
}

// squares sets the gains by what is made of each feature.
func (r *ranker) squares() {
	clear(r.gain)
	inChunks(len(r.gain), chunk, func(from, to int) error { // no piece fails
		gain := r.gain[from:to]
		for i := range r.made.RawMatrix().Rows {
			for j, x := range r.made.RawRowView(i)[from:to] {
				gain[j] += x * x
			}
		}
		return nil
	})
}

// fewRows are rows V of which VᵀV is the Gram of the weights, at most as many as there are features; nil for the identity.
func (r Reader) fewRows(p Products, n int) (rows []float64, err error) {
	weight := r.Weight
	switch {
	case r.Rows != nil && len(r.Rows) == 0:
		return make([]float64, n), nil // nothing reads them
	case r.Rows != nil && len(r.Rows) <= n*n:
		return r.Rows, nil
	case r.Rows != nil:
		if weight, err = r.Gram(p, n); err != nil {
			return nil, err
		}
	case weight == nil:
		return nil, nil
	}
	var c mat.PivotedCholesky
	c.Factorize(mat.NewSymDense(n, weight), -1)
	var u mat.TriDense
	c.UTo(&u)
	rows = make([]float64, max(c.Rank(), 1)*n)
	for k, p := range c.ColumnPivots(nil) {
		for i := range min(c.Rank(), k+1) {
			rows[i*n+p] = u.At(i, k)
		}
	}
	return rows, nil
}

// block is what is known of the features on a shortlist while some of them are ranked.
type block struct {
	short []int
	cov   *mat.Dense  // R of them at the beginning
	gains *mat.Dense  // R·G·R of them then
	taken []int       // features
	at    []int       // their places on the shortlist
	roots []float64   // √R_kk when each was taken
	cols  [][]float64 // c = R·e_k/√R_kk then, on the shortlist
	made  [][]float64 // w = R·G·R·e_k/√R_kk then
}

// begin begins a block.
func (r *ranker) begin(short []int) (err error) {
	n, s, t := len(r.left), len(short), len(r.columns)/len(r.left)
	b := &block{short: short, cov: mat.NewDense(s, s, nil)}
	for i, k := range short {
		row := b.cov.RawRowView(i)
		for j, l := range short {
			row[j] = r.cov.At(k, l)
		}
	}
	if t > 0 {
		l := columnsOf(mat.NewDense(t, n, r.columns), short)
		if err := r.subtract(b.cov, l, l, true); err != nil {
			return err
		}
	}
	made := columnsOf(r.made, short)
	b.gains, err = r.multiply(made, made, true)
	r.block = b
	return err
}

// columnsOf are columns of m, as rows.
func columnsOf(m *mat.Dense, columns []int) *mat.Dense {
	rows, _ := m.Dims()
	out := mat.NewDense(len(columns), rows, nil)
	to := out.RawMatrix().Data
	for i := range rows {
		row := m.RawRowView(i)
		for j, k := range columns {
			to[j*rows+i] = row[k]
		}
	}
	return out
}

// take ranks the feature at a place of the shortlist. With c and w as in [block],
//
//	R ← R − c·cᵀ        RGR ← RGR − c·wᵀ − w·cᵀ + c·cᵀ·w_k/√R_kk
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
	c, w, share := r.block.take(at, math.Sqrt(r.left[k]))
	for i, j := range r.block.short {
		r.left[j] -= c[i] * c[i]
		r.gain[j] = max(r.gain[j]-2*c[i]*w[i]+c[i]*c[i]*share, 0)
	}
	r.remaining -= share
	r.left[k] = 0
}

// take returns c, w and w_k/√R_kk of the feature at a place, which it notes.
func (b *block) take(at int, root float64) (c, w []float64, share float64) {
	c, w = slices.Clone(b.cov.RawRowView(at)), slices.Clone(b.gains.RawRowView(at))
	for l, before := range b.cols {
		x := before[at]
		floats.AddScaled(c, -x, before)
		floats.AddScaled(w, b.share(l)*x-b.made[l][at], before)
		floats.AddScaled(w, -x, b.made[l])
	}
	floats.Scale(1/root, c)
	floats.Scale(1/root, w)
	b.taken, b.at, b.roots = append(b.taken, b.short[at]), append(b.at, at), append(b.roots, root)
	b.cols, b.made = append(b.cols, c), append(b.made, w)
	return c, w, b.share(len(b.taken) - 1)
}

// share is w_k/√R_kk of the l-th feature taken: what it explained.
func (b *block) share(l int) float64 { return b.made[l][b.at[l]] / b.roots[l] }

// end brings all features up to date with what was ranked in the block.
func (r *ranker) end() error {
	b, n, t := r.block, len(r.left), len(r.columns)/len(r.left)
	r.block = nil
	if len(b.taken) == 0 {
		return nil
	}
	l := mat.NewDense(len(b.taken), n, nil) // columns of R, then of L
	for i, k := range b.taken {
		mat.Col(l.RawRowView(i), k, r.cov)
	}
	if t > 0 {
		before := mat.NewDense(t, n, r.columns)
		if err := r.subtract(l, columnsOf(before, b.taken), before, false); err != nil {
			return err
		}
	}
	of := columnsOf(r.made, b.taken)
	b.eliminate(l)
	b.eliminate(of)
	if err := r.subtract(r.made, mat.DenseCopyOf(of.T()), l, false); err != nil {
		return err
	}
	r.columns = append(r.columns, l.RawMatrix().Data...)
	r.renew(b, l)
	return nil
}

// eliminate takes from each row, one for each feature taken, what those before it say of it, and divides it by √R_kk.
func (b *block) eliminate(m *mat.Dense) {
	_, columns := m.Dims()
	inChunks(columns, chunk, func(from, to int) error { // no piece fails
		for i, at := range b.at {
			row := m.RawRowView(i)[from:to]
			for j, c := range b.cols[:i] {
				floats.AddScaled(row, -c[at], m.RawRowView(j)[from:to])
			}
			floats.Scale(1/b.roots[i], row)
		}
		return nil
	})
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
