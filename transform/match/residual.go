package match

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Guess is how source features are guessed from merged ones.
type Guess int

const (
	// Plain takes the merged feature for each of its members: what a merge without a refit does.
	Plain Guess = iota
	// Rescaled takes the merged feature with the mean and the deviation of its members: what a repair does.
	Rescaled
	// Linear takes the linear function of all merged features that is best on the samples it is fitted on: what least squares
	// does to the weights that read them. Merged features are a little noisy then, for what averaging costs them.
	Linear
)

// residualRidge is added to the merged features' covariance before it is solved with, relative to its mean diagonal. Least
// squares chooses among 1e-3, 1e-2 and 1e-1 for each node; the one in the middle is never far off (docs/refit.md).
const residualRidge = 1e-2

// Moments are the mean of O features and their covariance, O×O, row-major and symmetric.
type Moments struct {
	Mean, Cov []float64
}

// Residual is what the merged features c_m = Σ coef_k·f_k, k with z.Of[k] = m, leave of the source features f when these are
// guessed from them. The guess is made on fit and judged on held: with D its error's matrix, v its error's mean and G the
// weight (nil: the identity),
//
//	left = tr(G·(D·Σ·Dᵀ + v·vᵀ))        all = tr(G·(Σ + δ·δᵀ))
//
// where Σ is held's covariance and δ how far its mean lies from that of fit: all is what guessing the mean leaves. It takes
// O²·width operations, by p where that pays. G must be block diagonal, a block for each model's features of the given widths.
func Residual(p Products, fit, held Moments, weight []float64, widths []int, z Zip, coef []float64, guess Guess) (left, all float64, err error) {
	n := len(z.Of)
	total, err := sum(widths)
	if err != nil {
		return 0, 0, err
	}
	if total != n || len(coef) != n || len(fit.Mean) != n || len(held.Mean) != n || len(fit.Cov) != n*n || len(held.Cov) != n*n ||
		weight != nil && len(weight) != n*n {
		return 0, 0, fmt.Errorf("match: %d features, %d coefficients, %d and %d means, %d and %d covariances, %d weights do not belong together",
			n, len(coef), len(fit.Mean), len(held.Mean), len(fit.Cov), len(held.Cov), len(weight))
	}
	r := residual{products: products{p}, n: n, z: z, coef: coef}
	b, off, err := r.guess(fit, guess)
	if err != nil {
		return 0, 0, err
	}
	delta := make([]float64, n)
	for k := range delta {
		delta[k] = held.Mean[k] - fit.Mean[k]
	}
	gb, err := r.blockProduct(weight, widths, b)
	if err != nil {
		return 0, 0, err
	}
	ch := r.merge(held.Cov)                          // width × O
	bk, err := r.multiply(b, r.mergeRows(ch), false) // B·C·Σ·Cᵀ
	if err != nil {
		return 0, 0, err
	}
	for k := range n {
		for m := range z.Width {
			left += gb.At(k, m) * (bk.At(k, m) - 2*ch.At(m, k))
		}
	}
	trace := weightedTrace(weight, n, held.Cov)
	v := r.errorMean(delta, b, off)
	left += trace + weightedSquare(weight, n, v)
	all = trace + weightedSquare(weight, n, delta)
	return max(left, 0), all, nil
}

// residual is a merge of n features.
type residual struct {
	products
	n    int
	z    Zip
	coef []float64
}

// merge is C·Σ, width × O.
func (r residual) merge(cov []float64) *mat.Dense {
	out := mat.NewDense(r.z.Width, r.n, nil)
	for k, m := range r.z.Of {
		if c := r.coef[k]; c != 0 {
			row := out.RawRowView(m)
			for j, v := range cov[k*r.n : (k+1)*r.n] {
				row[j] += c * v
			}
		}
	}
	return out
}

// mergeRows is X·Cᵀ of an X with O columns.
func (r residual) mergeRows(x *mat.Dense) *mat.Dense {
	rows, _ := x.Dims()
	out := mat.NewDense(rows, r.z.Width, nil)
	for i := range rows {
		from, to := x.RawRowView(i), out.RawRowView(i)
		for k, m := range r.z.Of {
			to[m] += r.coef[k] * from[k]
		}
	}
	return out
}

// guess is f ≈ μ − off + B·C·(f − μ), with μ the mean: B is O × width.
func (r residual) guess(fit Moments, guess Guess) (b *mat.Dense, off []float64, err error) {
	off = make([]float64, r.n)
	merged := r.merge(fit.Cov)
	k := r.mergeRows(merged) // covariance of the merged features
	if guess == Linear {
		for m, v := range r.bend(fit, merged, k) {
			k.Set(m, m, k.At(m, m)+v)
		}
		b, err = r.linear(merged, k)
		return b, off, err
	}
	gain, mean := make([]float64, r.z.Width), make([]float64, r.z.Width)
	for m, members := range r.z.Members() {
		gain[m], mean[m] = r.memberMean(members, fit, guess, k.At(m, m))
	}
	b = mat.NewDense(r.n, r.z.Width, nil)
	for f, m := range r.z.Of {
		b.Set(f, m, gain[m])
		off[f] = fit.Mean[f] - mean[m]
	}
	return b, off, nil
}

// bend is what averaging costs each merged feature, as a variance of noise: a network computes the rectified mean of what its
// members rectify, not the mean of what they have rectified. With V the members' variance and d·V that of their differences
// from their mean, this differs by a variance of 0.3·V·d^1.7, for ReLUs of two normal variables and d from 0.03 to 0.5. What is
// returned is about three times as much: measured, since later nodes are fed with it (docs/matching.md). One member alone costs
// nothing.
func (r residual) bend(fit Moments, merged, cov *mat.Dense) []float64 {
	out := make([]float64, r.z.Width)
	for m, members := range r.z.Members() {
		v, apart := 0.0, 0.0
		for _, k := range members {
			own := fit.Cov[k*r.n+k]
			v += r.coef[k] * own
			apart += r.coef[k] * (own - 2*merged.At(m, k) + cov.At(m, m))
		}
		if v > 0 && apart > 0 {
			out[m] = v * math.Pow(apart/v, 1.7)
		}
	}
	return out
}

// maxGain bounds what a rescaled feature is multiplied by, as a repair does.
const maxGain = 4

// memberMean is the factor by which a merged feature of a given variance is taken, and the mean that it gets. Members without
// weight do not count.
func (r residual) memberMean(members []int, fit Moments, guess Guess, variance float64) (gain, mean float64) {
	if guess == Plain {
		for _, k := range members {
			mean += r.coef[k] * fit.Mean[k]
		}
		return 1, mean
	}
	deviation, count := 0.0, 0.0
	for _, k := range members {
		if r.coef[k] > 0 {
			mean += fit.Mean[k]
			deviation += math.Sqrt(max(fit.Cov[k*r.n+k], 0))
			count++
		}
	}
	mean, deviation = mean/max(count, 1), deviation/max(count, 1)
	if variance <= constantRatio*constantRatio*deviation*deviation {
		return 1, mean
	}
	return min(max(deviation/math.Sqrt(variance), 1/float64(maxGain)), maxGain), mean
}

// linear is B = Σ·Cᵀ·(C·Σ·Cᵀ + λ·I)⁻¹ of C·Σ and C·Σ·Cᵀ; 0 where no merged feature varies.
func (r residual) linear(merged, cov *mat.Dense) (*mat.Dense, error) {
	width, n := merged.Dims()
	trace := mat.Trace(cov)
	if trace <= 0 {
		return mat.NewDense(n, width, nil), nil
	}
	k := mat.NewSymDense(width, nil)
	for i := range width {
		for j := i; j < width; j++ {
			k.SetSym(i, j, (cov.At(i, j)+cov.At(j, i))/2)
		}
		k.SetSym(i, i, k.At(i, i)+residualRidge*trace/float64(width))
	}
	var c mat.Cholesky
	if !c.Factorize(k) {
		return nil, fmt.Errorf("match: the covariance of %d merged features is not positive", width)
	}
	var inverse mat.SymDense // well-conditioned, for the ridge; a product with it is faster than to solve for O columns
	if err := c.InverseTo(&inverse); err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	return r.multiply(mat.DenseCopyOf(merged.T()), mat.DenseCopyOf(&inverse), false)
}

// blockProduct is G·B.
func (r residual) blockProduct(weight []float64, widths []int, b *mat.Dense) (*mat.Dense, error) {
	if weight == nil {
		return b, nil
	}
	n, width := b.Dims()
	g, out := mat.NewDense(n, n, weight), mat.NewDense(n, width, nil)
	at := 0
	for _, w := range widths {
		part := out.Slice(at, at+w, 0, width).(*mat.Dense)
		own := mat.DenseCopyOf(g.Slice(at, at+w, at, at+w))
		if err := r.put(part, 0, own, b.Slice(at, at+w, 0, width).(*mat.Dense), false); err != nil {
			return nil, err
		}
		at += w
	}
	return out, nil
}

// errorMean is v = (I − B·C)·δ + off.
func (r residual) errorMean(delta []float64, b *mat.Dense, off []float64) []float64 {
	merged := make([]float64, r.z.Width)
	for k, m := range r.z.Of {
		merged[m] += r.coef[k] * delta[k]
	}
	v := make([]float64, r.n)
	for k := range v {
		v[k] = delta[k] + off[k]
		for m, c := range merged {
			v[k] -= b.At(k, m) * c
		}
	}
	return v
}

// weightedTrace is tr(G·Σ).
func weightedTrace(weight []float64, n int, cov []float64) (t float64) {
	if weight == nil {
		for k := range n {
			t += cov[k*n+k]
		}
		return t
	}
	for k, g := range weight {
		t += g * cov[k]
	}
	return t
}

// weightedSquare is vᵀ·G·v.
func weightedSquare(weight []float64, n int, v []float64) (t float64) {
	for i := range n {
		if weight == nil {
			t += v[i] * v[i]
			continue
		}
		for j := range n {
			t += v[i] * weight[i*n+j] * v[j]
		}
	}
	return t
}
