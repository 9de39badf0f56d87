package basis

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// drawn is a linear space of two models whose features vary in rank directions.
func drawn(seed uint64, n, rank, places int) Space {
	rng := rand.New(rand.NewPCG(seed, 3))
	random := func(r, c int) *mat.Dense {
		m := mat.NewDense(r, c, nil)
		for i := range r {
			for j := range c {
				m.Set(i, j, rng.NormFloat64())
			}
		}
		return m
	}
	s := Space{Widths: []int{n, n}}
	directions := random(2*n, rank)
	for range places {
		var x, cov, w mat.Dense
		x.Mul(directions, random(rank, 4*rank))
		cov.Mul(&x, x.T())
		r := random(2*n, 3*n)
		w.Mul(r, r.T())
		s.Places = append(s.Places, Place{Mean: make([]float64, 2*n), Cov: cov.RawMatrix().Data, Weight: w.RawMatrix().Data})
	}
	return s
}

// unexplained is what is left of the read variance when the features are guessed from z = M·x in least squares.
func (s Space) unexplained(m *mat.Dense) float64 {
	total := 0.0
	n := s.total()
	for _, p := range s.Places {
		g, w := mat.NewDense(n, n, p.Cov), mat.NewDense(n, n, p.Weight)
		var mg, k, guess, rest, wr mat.Dense
		mg.Mul(m, g)
		k.Mul(&mg, m.T())
		inverse, err := pseudoInverse(&k)
		if err != nil {
			panic(err)
		}
		guess.Product(mg.T(), inverse, &mg)
		rest.Sub(g, &guess)
		wr.Mul(w, &rest)
		total += mat.Trace(&wr)
	}
	return total
}

// pseudoInverse is that of a positive semidefinite matrix; what varies by less than 10⁻¹¹ of the most counts as rounding.
func pseudoInverse(k *mat.Dense) (*mat.Dense, error) {
	n, _ := k.Dims()
	var eigen mat.EigenSym
	if !eigen.Factorize(symmetric(k), true) {
		return nil, errors.New("basis: no eigenvectors")
	}
	values := eigen.Values(nil)
	var v, scaled, out mat.Dense
	eigen.VectorsTo(&v)
	scaled.CloneFrom(&v)
	for c, x := range values {
		by := 0.0
		if x > 1e-11*values[n-1] {
			by = 1 / x
		}
		for r := range n {
			scaled.Set(r, c, by*scaled.At(r, c))
		}
	}
	out.Mul(&scaled, v.T())
	return &out, nil
}

// TestLeadingIsTheBest: where features are read in one place, no other combinations of that number explain more of what is read.
func TestLeadingIsTheBest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawn(rapid.Uint64().Draw(rt, "seed"), 6, 12, 1)
		width := rapid.IntRange(1, 11).Draw(rt, "width")
		m, _, err := s.Leading(width)
		if err != nil {
			rt.Fatal(err)
		}
		best := s.unexplained(m)
		rng := rand.New(rand.NewPCG(uint64(width), 1))
		for range 20 { // anywhere, and near by
			other, near := mat.NewDense(width, 12, nil), mat.DenseCopyOf(m)
			for q := range width {
				for k := range 12 {
					x := rng.NormFloat64()
					other.Set(q, k, x)
					near.Set(q, k, near.At(q, k)+0.05*x)
				}
			}
			for _, o := range []*mat.Dense{other, near} {
				if u := s.unexplained(o); u < best*(1-5e-3) { // the weights' ridge is 10⁻³
					rt.Fatalf("%g is left, %g by others", best, u)
				}
			}
		}
	})
}

// TestLeadingHoldsAll: where there are as many combinations as directions in which features vary, the features come back; norms see the
// same of them.
func TestLeadingHoldsAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const n = 8
		centred := rapid.Bool().Draw(rt, "centred")
		rank := rapid.IntRange(2, n-1).Draw(rt, "rank")
		s := drawn(rapid.Uint64().Draw(rt, "seed"), n, rank, rapid.IntRange(1, 3).Draw(rt, "places"))
		s.Normed, s.Centred = true, centred
		if centred {
			for k := range s.Places {
				g := mat.NewDense(2*n, 2*n, s.Places[k].Cov)
				s.centre(g)
				g = mat.DenseCopyOf(g.T())
				s.centre(g)
				s.Places[k].Cov = g.RawMatrix().Data
			}
		}
		width := rapid.IntRange(rank+1, n).Draw(rt, "width")
		m, u, err := s.Leading(width)
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range s.Places {
			g := mat.NewDense(2*n, 2*n, p.Cov)
			var back, rest, z mat.Dense
			back.Product(u, m, g)
			rest.Sub(&back, g)
			if d := mat.Max(&rest) / mat.Max(g); math.Abs(d) > 1e-3 {
				rt.Fatalf("features come back with an error of %g", d)
			}
			z.Product(m, g, m.T())
			if d := mat.Trace(&z)/float64(width)/(s.meanSquare()) - 1; len(s.Places) == 1 && math.Abs(d) > 1e-9 {
				rt.Fatalf("combinations are larger by %g", d)
			}
		}
		for q := range width {
			sums, all := [2]float64{}, 0.0
			for k := range 2 * n {
				sums[k/n] += m.At(q, k)
				all = max(all, math.Abs(m.At(q, k)))
			}
			if centred && max(math.Abs(sums[0]), math.Abs(sums[1])) > 1e-9*all {
				rt.Fatalf("combination %d has a part of the features' mean: %v", q, sums)
			}
		}
		if !centred {
			return
		}
		for k := range 2 * n { // and none of its own
			sum := 0.0
			for q := range width {
				sum += m.At(q, k)
			}
			if math.Abs(sum) > 1e-9 {
				rt.Fatalf("the combinations' mean has %g of feature %d", sum, k)
			}
		}
	})
}

func (s Space) meanSquare() float64 {
	g := s.secondMoments()
	return mat.Trace(g) / float64(s.total())
}

// TestEqualSizes: a model whose stream is larger before its norms does not drown the other.
func TestEqualSizes(t *testing.T) {
	s := drawn(1, 6, 12, 1)
	s.Normed, s.Scale = true, []float64{1, 100}
	m, _, err := s.Leading(6)
	if err != nil {
		t.Fatal(err)
	}
	s.Scale = nil
	even, _, err := s.Leading(6)
	if err != nil {
		t.Fatal(err)
	}
	for q := range 6 {
		for k := range 12 {
			want := even.At(q, k) * []float64{10, 0.1}[k/6]
			if math.Abs(m.At(q, k)-want) > 1e-9*math.Abs(want) {
				t.Fatalf("combination %d has %g of feature %d, not %g", q, m.At(q, k), k, want)
			}
		}
	}
}
