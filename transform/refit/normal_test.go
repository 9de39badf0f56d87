package refit

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"gonum.org/v1/gonum/mat"
)

// normalOf sums up the normal equations of x [n, d] and r [n, o].
func normalOf(x, r *mat.Dense) *normal {
	n, d := x.Dims()
	_, o := r.Dims()
	m := newNormal(d, o)
	m.n = float64(n)
	one := mat.NewDense(n, d+1, nil)
	one.Augment(x, constant(n, 1))
	var xx, rx mat.Dense
	xx.Mul(one.T(), one)
	rx.Mul(r.T(), one)
	copy(m.xx, xx.RawMatrix().Data)
	copy(m.rx, rx.RawMatrix().Data)
	for i := range o {
		c := r.ColView(i)
		m.rr[i] = mat.Dot(c, c)
	}
	return m
}

func constant(n int, x float64) *mat.Dense {
	m := mat.NewDense(n, 1, nil)
	for i := range n {
		m.Set(i, 0, x)
	}
	return m
}

func randomMatrix(rng *rand.Rand, rows, columns int, mean float64) *mat.Dense {
	m := mat.NewDense(rows, columns, nil)
	for i := range rows {
		for j := range columns {
			m.Set(i, j, mean*float64(j%3)+rng.NormFloat64())
		}
	}
	return m
}

// ridgeByQR solves min |[R 0] − W[X √(nλ)I]|² over centred data by a QR decomposition, another route to the
// same minimum.
func ridgeByQR(x, r *mat.Dense, lambda float64) (w *mat.Dense, b []float64) {
	n, d := x.Dims()
	_, o := r.Dims()
	meanX, meanR := columnMeans(x), columnMeans(r)
	a, y := mat.NewDense(n+d, d, nil), mat.NewDense(n+d, o, nil)
	for i := range n {
		for j := range d {
			a.Set(i, j, x.At(i, j)-meanX[j])
		}
		for j := range o {
			y.Set(i, j, r.At(i, j)-meanR[j])
		}
	}
	for j := range d {
		a.Set(n+j, j, math.Sqrt(float64(n)*lambda))
	}
	var qr mat.QR
	qr.Factorize(a)
	var wt mat.Dense
	if err := qr.SolveTo(&wt, false, y); err != nil {
		panic(err)
	}
	w = mat.DenseCopyOf(wt.T())
	b = make([]float64, o)
	for i := range b {
		b[i] = meanR[i] - mat.Dot(w.RowView(i), mat.NewVecDense(d, meanX))
	}
	return w, b
}

func columnMeans(m *mat.Dense) []float64 {
	rows, columns := m.Dims()
	out := make([]float64, columns)
	for j := range out {
		out[j] = mat.Sum(m.ColView(j)) / float64(rows)
	}
	return out
}

// TestFitsAgainstQR compares every ridge's correction, the bias too, with a QR solution. The inputs' means are
// far from zero, so that a missing centring shows.
func TestFitsAgainstQR(t *testing.T) {
	p := &products{calibrate.NewProducts(t.Context(), orttest.Engine(t))}
	defer p.engine.Close()
	for _, d := range []int{1, 5, 40, 400, 513} { // the last two by the engine's products
		rng := rand.New(rand.NewPCG(1, uint64(d)))
		x, r := randomMatrix(rng, 3*d+20, d, 5), randomMatrix(rng, 3*d+20, 3, -2)
		m := normalOf(x, r)
		got, _, err := m.fits(p, ridges, 2)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := m.centred()
		for k, l := range ridges {
			w, b := ridgeByQR(x, r, l*s.trace()/float64(d))
			for i := range 3 {
				if math.Abs(got[k].b[i]-b[i]) > 1e-7 {
					t.Fatalf("d=%d λ=%g: bias %d is %.9g, want %.9g", d, l, i, got[k].b[i], b[i])
				}
				for j := range d {
					if math.Abs(got[k].w.row(i)[j]-w.At(i, j)) > 1e-8 {
						t.Fatalf("d=%d λ=%g: weight %d,%d is %.9g, want %.9g", d, l, i, j, got[k].w.row(i)[j], w.At(i, j))
					}
				}
			}
		}
	}
}

// TestFitsWithoutBias: a node that can have no bias is fitted through the origin.
func TestFitsWithoutBias(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x := randomMatrix(rng, 60, 4, 3)
	r := mat.NewDense(60, 1, nil)
	want := []float64{1, -2, 0.5, 3}
	r.Mul(x, mat.NewDense(4, 1, want))
	m := normalOf(x, r)
	m.noBias = true
	fits, _, err := m.fits(new(products), []float64{1e-12}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for j, w := range want {
		if d := fits[0].w.row(0)[j] - w; math.Abs(d) > 1e-6 || fits[0].b[0] != 0 {
			t.Errorf("weight %d is off by %g, the bias is %g", j, d, fits[0].b[0])
		}
	}
}

// TestFitsOfBadSystems: nothing of what real data can bring leads to a panic or to a NaN.
func TestFitsOfBadSystems(t *testing.T) {
	p := &products{calibrate.NewProducts(t.Context(), orttest.Engine(t))}
	defer p.engine.Close()
	for _, d := range []int{6, 400} {
		rng := rand.New(rand.NewPCG(1, 2))
		r := randomMatrix(rng, 50, 2, 0)
		for name, change := range map[string]func(i, j int, v float64) float64{
			"constant":     func(i, j int, v float64) float64 { return 7 },
			"zero":         func(i, j int, v float64) float64 { return 0 },
			"half dead":    func(i, j int, v float64) float64 { return v * float64(j%2) },
			"equal":        func(i, j int, v float64) float64 { return float64(i) },
			"huge":         func(i, j int, v float64) float64 { return v * 1e30 },
			"tiny":         func(i, j int, v float64) float64 { return v * 1e-30 },
			"mixed scales": func(i, j int, v float64) float64 { return v * math.Pow(10, float64(j%24-12)) },
			"infinite":     func(i, j int, v float64) float64 { return math.Inf(1) },
			"NaN":          func(i, j int, v float64) float64 { return math.NaN() },
		} {
			x := randomMatrix(rng, 50, d, 0)
			x.Apply(change, x)
			fits, _, err := normalOf(x, r).fits(p, ridges, 1)
			if err != nil {
				t.Errorf("%s, d=%d: %v", name, d, err)
			}
			for _, c := range fits {
				if c != nil && !c.w.finite() {
					t.Errorf("%s, d=%d: a correction is not finite", name, d)
				}
			}
			if nothing := name == "zero" || name == "NaN" || name == "infinite"; nothing && fits[0] != nil {
				t.Errorf("%s, d=%d: a correction was found", name, d)
			}
		}
	}
}

// TestBlockedCholesky compares the engine's decomposition with gonum's on an ill-conditioned matrix.
func TestBlockedCholesky(t *testing.T) {
	p := &products{calibrate.NewProducts(t.Context(), orttest.Engine(t))}
	defer p.engine.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	x, r := randomMatrix(rng, 300, 450, 0), randomMatrix(rng, 300, 5, 0) // fewer rows than unknowns
	s, c := normalOf(x, r).centred()
	solve, err := p.decomposed(s, 1e-4)
	if err != nil {
		t.Fatal(err)
	}
	got, err := solve(c)
	if err != nil {
		t.Fatal(err)
	}
	want, err := decomposeSmall(s, 1e-4)(c)
	if err != nil {
		t.Fatal(err)
	}
	for k := range want.v {
		if math.Abs(got.v[k]-want.v[k]) > 1e-9 {
			t.Fatalf("element %d is %.12g, want %.12g", k, got.v[k], want.v[k])
		}
	}
	if solve, err := p.decomposed(s, -1e3); solve != nil || err != nil {
		t.Errorf("a matrix that is not positive definite was decomposed, or fails: %v", err)
	}
}
