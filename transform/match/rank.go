package match

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// dependentRatio: a feature whose variance is explained by others up to this share is a linear function of
// them, but for the rounding of covariances that were summed in float32. So is one that is correlated up to it
// with another: what many steps leave of its variance can be more, but is rounding too.
const dependentRatio = 1e-6

// Ranking orders features by how much each explains of what those before it leave unexplained.
type Ranking struct {
	// Order are the features worth keeping, the best first: at most the rank of the covariance, without
	// constant features.
	Order []int
	// Unexplained[k] is the share of the weighted variance that no linear function of the first k features
	// explains, len(Order)+1 values from 1 down to about 0.
	Unexplained []float64
}

// At is the unexplained share where k features are kept, 0 beyond the last one that explains anything.
func (r Ranking) At(k int) float64 {
	if k >= len(r.Unexplained) {
		return 0
	}
	return r.Unexplained[k]
}

// Rank orders the features greedily. What matters of features is what their readers make of them: with G = WᵀW of
// a reader's weights W and R the covariance of what is unexplained so far where it reads, the next feature is the
// one that lowers the sum of tr(G·R) over all readers the most,
//
//	k = argmax Σ (R·G·R)_kk / R_kk        R ← R − r_k·r_kᵀ/R_kk
//
// which is column subset selection (Farahat, Ghodsi, Kamel: Efficient greedy feature selection for unsupervised
// learning, KAIS 2013) with the error weighted by its readers. It is a pivoted Cholesky decomposition for each reader,
// which takes O² operations and 8·O bytes for each ranked feature and reader. Where W has fewer rows than there are features,
// R·G·r is (W·R)ᵀ·(W·r), W·R is kept up to date by what was ranked, and the operations are rows·O.
func Rank(f Features) (Ranking, error) {
	if err := f.validate(); err != nil {
		return Ranking{}, err
	}
	return f.rank(f.total())
}

// rank ranks the first features only, as many as given.
func (f Features) rank(most int) (Ranking, error) {
	n := f.total()
	var all rankers
	for _, r := range f.readers() {
		if len(r.Cov) != n*n || r.Weight != nil && len(r.Weight) != n*n || len(r.Rows)%max(n, 1) != 0 {
			return Ranking{}, fmt.Errorf("match: a reader of %d features with matrices of %d and %d values", n, len(r.Cov), len(r.Weight))
		}
		f.Cov = r.Cov
		all = append(all, newRanker(f, r))
	}
	return all.rank(most), nil
}

// rankers are the readers of the same features.
type rankers []*ranker

func (rs rankers) rank(most int) Ranking {
	out := Ranking{Unexplained: []float64{1}}
	all := rs.remaining()
	for k := rs.next(); k >= 0 && len(out.Order) < most; k = rs.next() {
		rs.take(k)
		out.Order = append(out.Order, k)
		out.Unexplained = append(out.Unexplained, max(rs.remaining(), 0)/all)
	}
	return out
}

// take ranks feature k for all readers, side by side: they share nothing.
func (rs rankers) take(k int) {
	var all sync.WaitGroup
	for _, r := range rs {
		all.Go(func() { r.take(k) })
	}
	all.Wait()
}

func (rs rankers) remaining() float64 {
	total := 0.0
	for _, r := range rs {
		total += r.remaining
	}
	return total
}

// next is the feature to rank next, the first of those that are equal but for rounding; -1 where all that are left depend on those ranked.
func (rs rankers) next() int {
	best, most := -1, 0.0
	for k := range rs[0].left {
		score, free := 0.0, false
		for _, r := range rs {
			if r.left[k] > r.floor[k] {
				score, free = score+r.gain[k]/r.left[k], true
			}
		}
		if free && (best < 0 || score > most*(1+defaultTie)) {
			best, most = k, score
		}
	}
	return best
}

// ranker is the state of one reader: R = Σ − L·Lᵀ is never formed, only its diagonal and single columns are.
type ranker struct {
	cov       *mat.SymDense // Σ
	weight    *mat.SymDense // G, nil for the identity
	sigma     []float64     // deviations
	left      []float64     // diagonal of R
	gain      []float64     // diagonal of R·G·R
	floor     []float64     // of left: at or below it a feature is a linear function of those ranked
	columns   [][]float64   // of L
	made      *made         // in place of weight, nil where that is given
	remaining float64       // tr(G·R)
}

func newRanker(f Features, reader Reader) *ranker {
	n := f.total()
	r := &ranker{cov: mat.NewSymDense(n, f.Cov), left: make([]float64, n), gain: make([]float64, n), floor: make([]float64, n)}
	r.measureGain(f, reader)
	var typical float64
	r.sigma, typical = f.deviations()
	for k, s := range r.sigma {
		noise := constantRatio * max(typical, math.Abs(f.mean(k)))
		r.left[k], r.floor[k] = s*s, max(dependentRatio*s*s, noise*noise)
	}
	return r
}

// measureGain finds the diagonal of Σ·G·Σ and the trace of G·Σ.
func (r *ranker) measureGain(f Features, reader Reader) {
	n := len(r.left)
	if len(reader.Rows) > 0 {
		r.made = newMade(n, reader.Rows, f.Cov)
		r.remaining = r.made.trace(reader.Rows)
		r.made.squares(r.gain)
		return
	}
	product := mat.NewDense(n, n, nil)
	if weight := reader.Gram(n); weight == nil {
		product.Copy(r.cov)
	} else {
		r.weight = mat.NewSymDense(n, weight)
		product.Mul(mat.NewDense(n, n, weight), mat.NewDense(n, n, f.Cov)) // of SymDense, this would take ten times as long
	}
	for k := range n {
		r.remaining += product.At(k, k)
		for j := range n {
			r.gain[k] += f.Cov[k*n+j] * product.At(j, k)
		}
	}
}

// take ranks feature k. With r its column of R, ρ = r_k and v = R·G·r,
//
//	R ← R − r·rᵀ/ρ        RGR ← RGR − (r·vᵀ + v·rᵀ)/ρ + r·rᵀ·v_k/ρ²
func (r *ranker) take(k int) {
	if r.left[k] <= r.floor[k] {
		return // those ranked before say all of it
	}
	n := len(r.left)
	column := mat.Col(nil, k, r.cov)
	for j, c := range column {
		if math.Abs(c) >= (1-dependentRatio)*r.sigma[j]*r.sigma[k] {
			r.floor[j] = math.Inf(1)
		}
	}
	rho := r.left[k]
	v := r.project(k, column)
	for j := range n {
		c := column[j] / rho
		r.left[j] -= c * column[j]
		r.gain[j] = max(r.gain[j]-2*c*v[j]+c*c*v[k], 0)
	}
	r.remaining -= v[k] / rho
	r.left[k] = 0
	floats.Scale(1/math.Sqrt(rho), column)
	r.columns = append(r.columns, column)
}

// project makes of column k of Σ that of R, and returns R·G of it.
func (r *ranker) project(k int, column []float64) []float64 {
	if r.made != nil {
		return r.made.project(k, column, r.columns, math.Sqrt(r.left[k]))
	}
	for _, l := range r.columns {
		floats.AddScaled(column, -l[k], l)
	}
	return r.residual(r.weighted(column))
}

// weighted is G·x.
func (r *ranker) weighted(x []float64) []float64 {
	if r.weight == nil {
		return x
	}
	return times(r.weight, x)
}

// residual is R·x.
func (r *ranker) residual(x []float64) []float64 {
	y := times(r.cov, x)
	for _, l := range r.columns {
		floats.AddScaled(y, -floats.Dot(l, x), l)
	}
	return y
}

func times(a *mat.SymDense, x []float64) []float64 {
	y := mat.NewVecDense(len(x), nil)
	y.MulVec(a, mat.NewVecDense(len(x), x))
	return y.RawVector().Data
}
