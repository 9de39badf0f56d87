package basis

import (
	"errors"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/transform/match"
	"gonum.org/v1/gonum/mat"
)

// Place is one where the features of a space are read, O of all models.
type Place struct {
	Mean []float64 // O
	Cov  []float64 // O×O, row-major; its upper triangle is read
	// Weight is the Gram of the weights that read them, O×O; nil is the identity.
	Weight []float64
}

// Space is what is known of a linear space.
type Space struct {
	Widths []int // features of each model
	Places []Place
	// Normed says that norms divide all features by one number before they are read, as Places have them; Centred that they take the
	// features' mean away, too.
	Normed, Centred bool
	// Scale is the root mean square of each model's features before the norms; nil where they are not known.
	Scale    []float64
	Products match.Products
}

// MostFeatures is the number of features, of all models, up to which combinations are found: it takes their eigenvectors.
const MostFeatures = 2048

// Leading returns the width combinations of features that tell most of what is read of a space, z = M·x, and what guesses the
// features of them, x ≈ U·z. With G the features' covariance and W the Gram of the weights that read them, summed over places, they span
//
//	L·V,  W = L·Lᵀ,  V the leading eigenvectors of Lᵀ·G·L
//
// (reduced-rank regression; Izenman 1975): no other combinations of that number leave less of W's variance unexplained where there is
// one place. Their basis is orthonormal, so that a norm of z is that of x where z holds all of x, and without the features' mean
// where a norm takes that away; z has the mean square of one model's features.
func (s Space) Leading(width int) (m, u *mat.Dense, err error) {
	g, w := s.sums()
	rank := width
	if s.Centred {
		rank--
	}
	n := s.total()
	if rank < 1 || rank > n {
		return nil, nil, errors.New("basis: no combinations of that width")
	}
	if mat.Trace(w) == 0 { // nothing that is known reads them
		addDiagonal(w, 1)
	}
	var chol mat.Cholesky
	addDiagonal(w, 1e-3*mat.Trace(w)/float64(n))
	if !chol.Factorize(w) {
		return nil, nil, errors.New("basis: weights that are not finite")
	}
	var lower mat.TriDense
	chol.LTo(&lower)
	l := mat.DenseCopyOf(&lower)
	lg, err := match.Multiply(s.Products, mat.DenseCopyOf(l.T()), mat.DenseCopyOf(g), false)
	if err != nil {
		return nil, nil, err
	}
	lgl, err := match.Multiply(s.Products, lg, l, false)
	if err != nil {
		return nil, nil, err
	}
	v, err := eigenvectors(lgl)
	if err != nil {
		return nil, nil, err
	}
	leading := mat.DenseCopyOf(v.Slice(0, n, n-rank, n))
	span, err := match.Multiply(s.Products, l, leading, false)
	if err != nil {
		return nil, nil, err
	}
	if s.Centred {
		s.centre(span)
	}
	q, err := uncorrelated(orthonormal(span), g)
	if err != nil {
		return nil, nil, err
	}
	h := mat.DenseCopyOf(q.T())
	if s.Centred {
		h = mat.NewDense(width, n, nil)
		h.Mul(withoutMean(width), q.T())
	}
	return s.finish(h)
}

// Chosen keeps single features instead, in that order.
func (s Space) Chosen(features []int) (m, u *mat.Dense, err error) {
	m = mat.NewDense(len(features), s.total(), nil)
	for q, k := range features {
		m.Set(q, k, 1)
	}
	return s.finish(m)
}

// finish scales combinations and finds what guesses the features of them.
func (s Space) finish(m *mat.Dense) (_, u *mat.Dense, err error) {
	width, n := m.Dims()
	g := s.secondMoments()
	var mg, k mat.Dense
	mg.Mul(m, g)
	k.Mul(&mg, m.T())
	if s.Normed {
		size := mat.Trace(g) / float64(n) // of a feature, squared
		by := math.Sqrt(size * float64(width) / mat.Trace(&k))
		m.Scale(by, m)
		mg.Scale(by, &mg)
		k.Scale(by*by, &k)
	}
	u, err = guess(m, &mg, &k)
	if err != nil {
		return nil, nil, err
	}
	s.equalize(m)
	return m, u, nil
}

// ridge keeps least squares from guessing by what hardly varies, relative to what combinations vary by on the mean: rounding of the merged
// network's activations would come back a thousand times as large.
const ridge = 1e-7

// guess is U for M with rows of one length, mg = M·G and k = M·G·Mᵀ: what the combinations hold of the features themselves,
// and of the rest what they tell of it,
//
//	U = M⁺ + (I − M⁺·M)·G·Mᵀ·(M·G·Mᵀ + λI)⁻¹
func guess(m, mg, k *mat.Dense) (*mat.Dense, error) {
	width, n := m.Dims()
	length := mat.Norm(m.RowView(0), 2)
	own := mat.NewDense(n, width, nil)
	own.Scale(1/(length*length), m.T())
	system := symmetric(k)
	addDiagonal(system, ridge*mat.Trace(k)/float64(width))
	var chol mat.Cholesky
	if !chol.Factorize(system) {
		return nil, errors.New("basis: features that are not finite")
	}
	var held, rest, by mat.Dense
	held.Mul(own, k)
	rest.Sub(mg.T(), &held)
	if err := chol.SolveTo(&by, rest.T()); err != nil {
		return nil, err
	}
	own.Add(own, by.T())
	return own, nil
}

// equalize lets the features of all models count alike before the norms, where those of one may be larger: behind them they
// are divided by one number.
func (s Space) equalize(m *mat.Dense) {
	if s.Scale == nil || slices.ContainsFunc(s.Scale, func(x float64) bool { return !(x > 0) }) {
		return
	}
	mean, first := 0.0, 0
	for _, x := range s.Scale {
		mean += math.Log(x) / float64(len(s.Scale))
	}
	rows, _ := m.Dims()
	for i, n := range s.Widths {
		part := m.Slice(0, rows, first, first+n).(*mat.Dense)
		part.Scale(math.Exp(mean)/s.Scale[i], part)
		first += n
	}
}

func (s Space) total() (n int) {
	for _, w := range s.Widths {
		n += w
	}
	return n
}

// sums are the covariances of all places, each relative to its trace, and the weights.
func (s Space) sums() (g, w *mat.SymDense) {
	n := s.total()
	g, w = mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
	for _, p := range s.Places {
		trace := 0.0
		for i := range n {
			trace += p.Cov[i*n+i]
		}
		for i := range n {
			for j := i; j < n; j++ {
				if trace > 0 {
					g.SetSym(i, j, g.At(i, j)+p.Cov[i*n+j]/trace)
				}
				if p.Weight != nil {
					w.SetSym(i, j, w.At(i, j)+p.Weight[i*n+j])
				} else if i == j {
					w.SetSym(i, i, w.At(i, i)+1)
				}
			}
		}
	}
	return g, w
}

// secondMoments are those of the features, the mean of all places.
func (s Space) secondMoments() *mat.SymDense {
	n := s.total()
	g := mat.NewSymDense(n, nil)
	for _, p := range s.Places {
		for i := range n {
			for j := i; j < n; j++ {
				g.SetSym(i, j, g.At(i, j)+(p.Cov[i*n+j]+p.Mean[i]*p.Mean[j])/float64(len(s.Places)))
			}
		}
	}
	return g
}

// centre takes from each column the mean of every model's features.
func (s Space) centre(x *mat.Dense) {
	_, columns := x.Dims()
	first := 0
	for _, n := range s.Widths {
		for c := range columns {
			mean := 0.0
			for k := range n {
				mean += x.At(first+k, c) / float64(n)
			}
			for k := range n {
				x.Set(first+k, c, x.At(first+k, c)-mean)
			}
		}
		first += n
	}
}

// withoutMean is an orthonormal basis of the vectors of n entries whose sum is 0, n×(n−1): cosines.
func withoutMean(n int) *mat.Dense {
	h := mat.NewDense(n, n-1, nil)
	for i := range n {
		for j := range n - 1 {
			h.Set(i, j, math.Sqrt(2/float64(n))*math.Cos(math.Pi*(float64(i)+.5)*float64(j+1)/float64(n)))
		}
	}
	return h
}

// orthonormal is an orthonormal basis of the columns of x.
func orthonormal(x *mat.Dense) *mat.Dense {
	n, rank := x.Dims()
	var qr mat.QR
	qr.Factorize(x)
	var q mat.Dense
	qr.QTo(&q)
	return mat.DenseCopyOf(q.Slice(0, n, 0, rank))
}

// uncorrelated is another orthonormal basis of the same span, in which combinations do not vary together: what varies little then is computed
// as such, not as a difference of what varies much.
func uncorrelated(q *mat.Dense, g *mat.SymDense) (*mat.Dense, error) {
	var gq, k, out mat.Dense
	gq.Mul(g, q)
	k.Mul(q.T(), &gq)
	r, err := eigenvectors(&k)
	if err != nil {
		return nil, err
	}
	out.Mul(q, r)
	return &out, nil
}

// eigenvectors are those of a symmetric matrix, by ascending eigenvalue.
func eigenvectors(x *mat.Dense) (*mat.Dense, error) {
	var eigen mat.EigenSym
	if !eigen.Factorize(symmetric(x), true) {
		return nil, errors.New("basis: no eigenvectors")
	}
	var v mat.Dense
	eigen.VectorsTo(&v)
	return &v, nil
}

func symmetric(x *mat.Dense) *mat.SymDense {
	n, _ := x.Dims()
	out := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			out.SetSym(i, j, (x.At(i, j)+x.At(j, i))/2)
		}
	}
	return out
}

func addDiagonal(x *mat.SymDense, by float64) {
	n := x.SymmetricDim()
	for i := range n {
		x.SetSym(i, i, x.At(i, i)+by)
	}
}
