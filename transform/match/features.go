package match

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// maxModels is the number of models that fit the sets of models of clusters.
const maxModels = 64

// constantRatio: a deviation below this share of the space's own, or of the
// feature's own mean, is the rounding noise of a constant (float32 resolves
// 6e-8 of a value).
const constantRatio = 1e-6

// Features describes the stacked features of N models at one space.
type Features struct {
	// Widths holds the number of features of each model; their sum is O.
	Widths []int
	// Mean is the mean of each feature, len O. It tells constant features
	// apart; nil counts as all zero.
	Mean []float64
	// Cov is the O×O covariance, row-major. Only its upper triangle is read.
	Cov []float64
	// Readers say where, and by what weights, the features are read: an error of theirs matters as much as it is
	// seen there. None: they count as they are. Only [Rank] and [Subset] look at them.
	Readers []Reader
	// Segments, if not nil, gives the segment of each feature position inside
	// a model; all widths must then be equal to its length. Features of
	// different segments never join, and the merged features of a segment are
	// numbered in one run, segments in the order of their first position.
	Segments []int
	// Products multiplies the large matrices of [Rank] and [Subset]; nil leaves them to gonum.
	Products Products
}

// Reader is a place where features are read.
type Reader struct {
	// Cov is the covariance of the features there: O×O, row-major, only its upper triangle read.
	Cov []float64
	// Weight is the Gram WᵀW of the weights W that read them, like Cov; nil is the identity.
	Weight []float64
	// Rows, if not nil, are W itself, a row of O for each of the values that are made of the features; Weight is not read then.
	// It is the cheaper form where these are fewer than the features.
	Rows []float64
}

// Gram is WᵀW of O features, nil for the identity, by p where that pays.
func (r Reader) Gram(p Products, features int) ([]float64, error) {
	switch {
	case r.Rows == nil:
		return r.Weight, nil
	case len(r.Rows) == 0:
		return make([]float64, features*features), nil // nothing reads them
	}
	w := mat.NewDense(len(r.Rows)/features, features, r.Rows)
	out, err := Multiply(p, mat.DenseCopyOf(w.T()), w, false)
	if err != nil {
		return nil, err
	}
	return out.RawMatrix().Data, nil
}

// readers are the places where the features are read; one that takes them as they are where none is known.
func (f Features) readers() []Reader {
	if len(f.Readers) == 0 {
		return []Reader{{Cov: f.Cov}}
	}
	return f.Readers
}

// total returns O.
func (f Features) total() int {
	total := 0
	for _, w := range f.Widths {
		total += w
	}
	return total
}

// validate checks the shapes, and that all numbers which are read are finite.
func (f Features) validate() error {
	if err := f.validateShape(); err != nil {
		return err
	}
	total := f.total()
	if f.Mean != nil && len(f.Mean) != total {
		return fmt.Errorf("match: %d means for %d features", len(f.Mean), total)
	}
	if len(f.Cov) != total*total {
		return fmt.Errorf("match: the covariance has %d values: want %d×%d = %d", len(f.Cov), total, total, total*total)
	}
	for k, v := range f.Mean {
		if !finite(v) {
			return fmt.Errorf("match: the mean of feature %d is %v", k, v)
		}
	}
	largest := 0.0
	for i := range total {
		for j, v := range f.Cov[i*total+i : (i+1)*total] { // from the diagonal on
			if !finite(v) {
				return fmt.Errorf("match: the covariance of features %d and %d is %v", i, i+j, v)
			}
		}
		largest = max(largest, f.Cov[i*total+i])
	}
	for k := range total {
		// A variance may come out negative by cancellation against the mean, slightly.
		if v, m := f.Cov[k*total+k], f.mean(k); v < -1e-6*(largest+m*m) {
			return fmt.Errorf("match: the variance of feature %d is %v, a negative number", k, v)
		}
	}
	return nil
}

// validateShape checks what the methods that read no statistics need.
func (f Features) validateShape() error {
	if _, err := sum(f.Widths); err != nil {
		return err
	}
	if len(f.Widths) > maxModels {
		return fmt.Errorf("match: %d models: want at most %d", len(f.Widths), maxModels)
	}
	if f.Segments == nil {
		return nil
	}
	for i, w := range f.Widths {
		if w != len(f.Segments) {
			return fmt.Errorf("match: %d segment ids for the %d features of model %d", len(f.Segments), w, i)
		}
	}
	return nil
}

// finite reports whether v is neither infinite nor NaN.
func finite(v float64) bool { return v-v == 0 }

// origin returns model and position inside the model of every source feature.
func (f Features) origin() (model, position []int) {
	for m, w := range f.Widths {
		for p := range w {
			model = append(model, m)
			position = append(position, p)
		}
	}
	return model, position
}

// mean returns the mean of feature k.
func (f Features) mean(k int) float64 {
	if f.Mean == nil {
		return 0
	}
	return f.Mean[k]
}

// deviations returns the standard deviation of every feature, exactly 0 for
// dead and constant ones, and a typical deviation of the space.
func (f Features) deviations() (sigma []float64, typical float64) {
	total := f.total()
	sigma = make([]float64, total)
	var positive []float64
	for k := range sigma {
		sigma[k] = math.Sqrt(max(f.Cov[k*total+k], 0))
		if sigma[k] > 0 {
			positive = append(positive, sigma[k])
		}
	}
	if len(positive) == 0 {
		return sigma, 0
	}
	// The ninth decile, not the median: most of a space can be dead, all but
	// for noise. Not the largest: single features can be out of all proportion.
	slices.Sort(positive)
	typical = positive[len(positive)*9/10]
	for k := range sigma {
		if sigma[k] <= constantRatio*max(typical, math.Abs(f.mean(k))) {
			sigma[k] = 0
		}
	}
	return sigma, typical
}

// Correlation returns the O×O correlation matrix, row-major:
//
//	c_ij = cov_ij / (σ_i σ_j), in [-1, 1]
//
// The rows and columns of dead and constant features (σ below 1e-6 of the
// space's or of the feature's own mean), their diagonal too, are 0. f must have
// a mean and a covariance of the right sizes.
func (f Features) Correlation() []float64 {
	sigma, _ := f.deviations()
	all := make([]int, len(sigma))
	for k := range all {
		all[k] = k
	}
	exact := func(c float64) float64 { return c }
	return f.correlate(all, sigma, exact)
}

// correlate returns the correlation matrix of the features in pick (ascending),
// len(pick)², each value passed through round.
func (f Features) correlate(pick []int, sigma []float64, round func(float64) float64) []float64 {
	n, total := len(pick), f.total()
	c := make([]float64, n*n)
	for a, i := range pick {
		if sigma[i] == 0 {
			continue
		}
		c[a*n+a] = 1
		cov, row := f.Cov[i*total:(i+1)*total], c[a*n:(a+1)*n]
		for b := a + 1; b < n; b++ {
			if j := pick[b]; sigma[j] > 0 {
				row[b] = round(min(max(cov[j]/(sigma[i]*sigma[j]), -1), 1))
			}
		}
	}
	mirror(n, c)
	return c
}

// mirror copies the upper triangle of an n×n matrix to its lower one, tile by
// tile to stay inside the cache.
func mirror[T real](n int, c []T) {
	const tile = 64
	for top := 0; top < n; top += tile {
		for left := top; left < n; left += tile {
			for i := top; i < min(top+tile, n); i++ {
				for j := max(left, i+1); j < min(left+tile, n); j++ {
					c[j*n+i] = c[i*n+j]
				}
			}
		}
	}
}
