package match

import (
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// blockRidge keeps the inverse of a block's covariance finite, relative to the mean variance.
const blockRidge = 1e-3

// RankBlocks is [Rank] for features that are kept in blocks of one size, as attention heads are: block k holds the
// features [k·size, (k+1)·size). The next block is always the one that explains most of what is unexplained,
//
//	k = argmax Σ tr(R_kk⁻¹·(R·G·R)_kk)        R ← R − R_·k·R_kk⁻¹·R_k·
//
// It returns the first most of them and takes O(size·O²) operations for each.
func RankBlocks(f Features, size, most int) ([]int, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	n := f.total()
	if size < 1 || n%size != 0 {
		return nil, fmt.Errorf("match: %d features are no blocks of %d", n, size)
	}
	var all []*blockRanker
	for _, r := range f.readers() {
		all = append(all, newBlockRanker(n, size, r))
	}
	var order []int
	taken := make([]bool, n/size)
	for len(order) < min(most, n/size) {
		best, top := -1, 0.0
		for k := range taken {
			if taken[k] {
				continue
			}
			score := 0.0
			for _, r := range all {
				score += r.score(k)
			}
			if best < 0 || score > top*(1+defaultTie) {
				best, top = k, score
			}
		}
		for _, r := range all {
			r.take(best)
		}
		taken[best] = true
		order = append(order, best)
	}
	return order, nil
}

// blockRanker is the state of one reader.
type blockRanker struct {
	size int
	r    *mat.Dense // R: the covariance of what is unexplained
	m    *mat.Dense // R·G·R
}

func newBlockRanker(n, size int, reader Reader) *blockRanker {
	b := &blockRanker{size: size, r: full(n, reader.Cov), m: &mat.Dense{}}
	weight := reader.Gram(n)
	if weight == nil {
		b.m.Mul(b.r, b.r)
	} else {
		var t mat.Dense
		t.Mul(b.r, full(n, weight))
		b.m.Mul(&t, b.r)
	}
	mean := mat.Trace(b.r) / float64(n)
	for k := range n {
		b.r.Set(k, k, b.r.At(k, k)+blockRidge*mean)
	}
	return b
}

// full is a symmetric matrix of which the upper triangle is given.
func full(n int, upper []float64) *mat.Dense {
	m := mat.NewDense(n, n, nil)
	m.Copy(mat.NewSymDense(n, upper))
	return m
}

// block is block k of the diagonal.
func (b *blockRanker) block(m *mat.Dense, k int) mat.Matrix {
	return m.Slice(k*b.size, (k+1)*b.size, k*b.size, (k+1)*b.size)
}

// score is what block k would explain.
func (b *blockRanker) score(k int) float64 {
	var x mat.Dense
	if err := x.Solve(b.block(b.r, k), b.block(b.m, k)); err != nil {
		return 0 // nothing of it varies
	}
	return mat.Trace(&x)
}

// take counts block k as known. With K = R_·k·R_kk⁻¹ and V = (R·G·R)_k·
//
//	R ← R − K·R_k·        RGR ← RGR − K·V − Vᵀ·Kᵀ + K·V_k·Kᵀ
func (b *blockRanker) take(k int) {
	n, _ := b.r.Dims()
	columns := mat.DenseCopyOf(b.r.Slice(0, n, k*b.size, (k+1)*b.size))
	v := mat.DenseCopyOf(b.m.Slice(k*b.size, (k+1)*b.size, 0, n))
	vk := mat.DenseCopyOf(b.block(b.m, k))
	var transposed, t, u mat.Dense
	if err := transposed.Solve(b.block(b.r, k), columns.T()); err != nil { // Kᵀ
		return
	}
	t.Mul(columns, &transposed)
	b.r.Sub(b.r, &t)
	t.Mul(transposed.T(), v)
	b.m.Sub(b.m, &t)
	b.m.Sub(b.m, t.T())
	u.Mul(transposed.T(), vk)
	t.Mul(&u, &transposed)
	b.m.Add(b.m, &t)
}
