package match

import (
	"fmt"
	"slices"

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
		one, err := newBlockRanker(products{f.Products}, n, size, r)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
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
			if err := r.take(best); err != nil {
				return nil, err
			}
		}
		taken[best] = true
		order = append(order, best)
	}
	return order, nil
}

// blockRanker is the state of one reader.
type blockRanker struct {
	products
	size  int
	ridge float64
	first []float64  // trace of each block of R at the beginning
	r     *mat.Dense // R: the covariance of what is unexplained
	m     *mat.Dense // R·G·R
}

func newBlockRanker(p products, n, size int, reader Reader) (*blockRanker, error) {
	b := &blockRanker{products: p, size: size, r: full(n, reader.Cov)}
	left := b.r // R·G
	weight, err := reader.Gram(p.large, n)
	if err != nil {
		return nil, err
	}
	if weight != nil {
		if left, err = p.multiply(b.r, full(n, weight), false); err != nil {
			return nil, err
		}
	}
	if b.m, err = p.multiply(left, b.r, false); err != nil {
		return nil, err
	}
	b.ridge = blockRidge * mat.Trace(b.r) / float64(n)
	for k := range n {
		b.r.Set(k, k, b.r.At(k, k)+b.ridge)
	}
	for k := range n / size {
		b.first = append(b.first, mat.Trace(b.block(b.r, k)))
	}
	return b, nil
}

// full is a symmetric matrix of which the upper triangle is given.
func full(n int, upper []float64) *mat.Dense {
	v := slices.Clone(upper)
	mirror(n, v)
	return mat.NewDense(n, n, v)
}

// block is block k of the diagonal.
func (b *blockRanker) block(m *mat.Dense, k int) mat.Matrix {
	return m.Slice(k*b.size, (k+1)*b.size, k*b.size, (k+1)*b.size)
}

// score is what block k would explain: nothing where the ridge is about all that is left of it, as of one that repeats others. A
// block that nobody reads then comes before it.
func (b *blockRanker) score(k int) float64 {
	if left := mat.Trace(b.block(b.r, k)); left <= 0.1*b.first[k] && left <= 3*b.ridge*float64(b.size) {
		return 0
	}
	var x mat.Dense
	if err := x.Solve(b.block(b.r, k), b.block(b.m, k)); err != nil {
		return 0 // nothing of it varies
	}
	return mat.Trace(&x)
}

// take counts block k as known. With K = R_·k·R_kk⁻¹ and V = (R·G·R)_k·
//
//	R ← R − K·R_k·        RGR ← RGR − K·V − Vᵀ·Kᵀ + K·V_k·Kᵀ
func (b *blockRanker) take(k int) error {
	n, _ := b.r.Dims()
	columns := mat.DenseCopyOf(b.r.Slice(0, n, k*b.size, (k+1)*b.size))
	v := mat.DenseCopyOf(b.m.Slice(k*b.size, (k+1)*b.size, 0, n))
	vk := mat.DenseCopyOf(b.block(b.m, k))
	var transposed, u mat.Dense
	if err := transposed.Solve(b.block(b.r, k), columns.T()); err != nil { // Kᵀ
		return nil // nothing of it varies
	}
	factor := mat.DenseCopyOf(transposed.T())
	u.Mul(factor, vk)
	u.Scale(-1, &u)
	for _, t := range []struct{ from, a, b *mat.Dense }{
		{b.r, columns, &transposed}, {b.m, factor, v}, {b.m, mat.DenseCopyOf(v.T()), &transposed}, {b.m, &u, &transposed},
	} {
		if err := b.subtract(t.from, t.a, t.b, false); err != nil {
			return err
		}
	}
	return nil
}
