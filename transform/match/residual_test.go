package match

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// moments of samples, as Residual takes them.
func (s samples) moments() Moments {
	f := s.features(len(s))
	return Moments{f.Mean, f.Cov}
}

// mixed are features that depend on few common ones, with noise.
func mixed(random *rand.Rand, features, positions int, offset float64, mix [][]float64) samples {
	out := make(samples, features)
	for range positions {
		common := make([]float64, len(mix[0]))
		for c := range common {
			common[c] = random.NormFloat64()
		}
		for k := range out {
			x := offset + 0.3*random.NormFloat64()
			for c, v := range common {
				x += mix[k][c] * v
			}
			out[k] = append(out[k], x)
		}
	}
	return out
}

func drawMix(random *rand.Rand, features, common int) [][]float64 {
	mix := make([][]float64, features)
	for k := range mix {
		for range common {
			mix[k] = append(mix[k], random.NormFloat64())
		}
	}
	return mix
}

// blockWeight is a random Gram of what reads each model's features.
func blockWeight(random *rand.Rand, widths []int) []float64 {
	n, at := 0, 0
	for _, w := range widths {
		n += w
	}
	out := make([]float64, n*n)
	for _, w := range widths {
		reads := mat.NewDense(3, w, nil)
		for i := range 3 {
			for j := range w {
				reads.Set(i, j, random.NormFloat64())
			}
		}
		for i := range w {
			for j := range w {
				for r := range 3 {
					out[(at+i)*n+at+j] += reads.At(r, i) * reads.At(r, j)
				}
			}
		}
		at += w
	}
	return out
}

// guessed computes what the definition of Residual says, sample by sample.
func guessed(fit Moments, held samples, weight []float64, z Zip, coef []float64, guess Guess) (left, all float64) {
	n := len(z.Of)
	merged := func(x []float64) []float64 {
		c := make([]float64, z.Width)
		for k, m := range z.Of {
			c[m] += coef[k] * x[k]
		}
		return c
	}
	center := merged(fit.Mean)
	c := mat.NewDense(z.Width, n, nil)
	for k, m := range z.Of {
		c.Set(m, k, coef[k])
	}
	cov := mat.NewDense(n, n, fit.Cov)
	var cs, k, b mat.Dense
	cs.Mul(c, cov)
	k.Mul(&cs, c.T())
	if guess == Linear {
		trace := mat.Trace(&k)
		var solved mat.Dense
		r := residual{n: n, z: z, coef: coef}
		for m, v := range r.bend(fit, &cs, mat.DenseCopyOf(&k)) {
			k.Set(m, m, k.At(m, m)+v)
			trace += v
		}
		for m := range z.Width {
			k.Set(m, m, k.At(m, m)+residualRidge*trace/float64(z.Width))
		}
		if err := solved.Solve(&k, &cs); err != nil {
			panic(err)
		}
		b.CloneFrom(solved.T())
	}
	positions := float64(len(held[0]))
	for p := range held[0] {
		x, e, d := make([]float64, n), make([]float64, n), make([]float64, n)
		for f := range x {
			x[f] = held[f][p]
		}
		got := merged(x)
		for f, m := range z.Of {
			d[f] = x[f] - fit.Mean[f]
			switch guess {
			case Plain:
				e[f] = x[f] - got[m]
			case Rescaled:
				mean, deviation, count := 0.0, 0.0, 0.0
				for j, o := range z.Of {
					if o == m && coef[j] > 0 {
						mean += fit.Mean[j]
						deviation += math.Sqrt(fit.Cov[j*n+j])
						count++
					}
				}
				gain := min(max(deviation/count/math.Sqrt(k.At(m, m)), 0.25), 4)
				e[f] = x[f] - (mean/count + gain*(got[m]-center[m]))
			case Linear:
				e[f] = d[f]
				for m := range got {
					e[f] -= b.At(f, m) * (got[m] - center[m])
				}
			}
		}
		for i := range n {
			for j := range n {
				left += e[i] * weight[i*n+j] * e[j] / positions
				all += d[i] * weight[i*n+j] * d[j] / positions
			}
		}
	}
	return left, all
}

// TestResidualIsTheErrorOfTheGuess: the residual of the moments is the mean weighted square error, sample by sample.
func TestResidualIsTheErrorOfTheGuess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		widths := []int{rapid.IntRange(2, 5).Draw(t, "a"), rapid.IntRange(2, 5).Draw(t, "b")}
		n := widths[0] + widths[1]
		mix := drawMix(random, n, 3)
		fit, held := mixed(random, n, 60, 1, mix), mixed(random, n, 25, 1.3, mix)
		z := Zip{Width: rapid.IntRange(1, n-1).Draw(t, "width")}
		for k := range n {
			z.Of = append(z.Of, k%z.Width)
		}
		coef := make([]float64, n)
		for _, members := range z.Members() {
			for i, k := range members {
				if coef[k] = 1 / float64(len(members)); rapid.Bool().Draw(t, "select") {
					for _, other := range members {
						coef[other] = 0
					}
					coef[members[i]] = 1
					break
				}
			}
		}
		weight := blockWeight(random, widths)
		for _, guess := range []Guess{Plain, Rescaled, Linear} {
			left, all, err := Residual(nil, fit.moments(), held.moments(), weight, widths, z, coef, guess)
			if err != nil {
				t.Fatal(err)
			}
			wantLeft, wantAll := guessed(fit.moments(), held, weight, z, coef, guess)
			if math.Abs(left-wantLeft) > 1e-8*(wantAll+wantLeft) || math.Abs(all-wantAll) > 1e-8*wantAll {
				t.Fatalf("guess %d: %g of %g are left, the samples say %g of %g", guess, left, all, wantLeft, wantAll)
			}
		}
	})
}

// TestResidualKnowsAPermutedCopy: joined with its like, a model's copy leaves nothing; joined by position, most of it. Without a
// weight every feature counts by its variance.
func TestResidualKnowsAPermutedCopy(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const n = 6
	mix := drawMix(random, n, n)
	fit, held := mixed(random, n, 200, 0, mix), mixed(random, n, 40, 0, mix)
	order := []int{3, 4, 5, 0, 1, 2}
	for f := range n {
		fit, held = append(fit, fit[order[f]]), append(held, held[order[f]])
	}
	own := Zip{Width: n, Of: append([]int{0, 1, 2, 3, 4, 5}, order...)}
	place := Zip{Width: n, Of: []int{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}}
	half := make([]float64, 2*n)
	for k := range half {
		half[k] = 0.5
	}
	for _, guess := range []Guess{Plain, Rescaled, Linear} {
		share := func(z Zip) float64 {
			left, all, err := Residual(nil, fit.moments(), held.moments(), nil, []int{n, n}, z, half, guess)
			if err != nil {
				t.Fatal(err)
			}
			return left / all
		}
		limit := 1e-12
		if guess == Linear {
			limit = 2e-3 // the ridge
		}
		if good, bad := share(own), share(place); good > limit || bad < 0.2 {
			t.Errorf("guess %d: %g is left of a copy joined with its like, %g of one joined by position", guess, good, bad)
		}
	}
}

// TestAveragingCosts: of two halves of the features, averaged and kept as they are, which tell as much of all others, those
// that are kept leave less.
func TestAveragingCosts(t *testing.T) {
	fit := Moments{Mean: make([]float64, 2), Cov: []float64{1, 0, 0, 1}}
	z := Zip{Width: 1, Of: []int{0, 0}}
	mean, _, err := Residual(nil, fit, fit, nil, []int{1, 1}, z, []float64{0.5, 0.5}, Linear)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := Residual(nil, fit, fit, nil, []int{1, 1}, z, []float64{1, 0}, Linear)
	if err != nil {
		t.Fatal(err)
	}
	if !(kept < 1.001 && mean > 1.1 && mean < 2) {
		t.Errorf("one of two kept leaves %g, their mean %g", kept, mean)
	}
}

func TestResidualOfWrongSizes(t *testing.T) {
	m := Moments{Mean: make([]float64, 2), Cov: make([]float64, 4)}
	z := Zip{Width: 1, Of: []int{0, 0}}
	for name, try := range map[string]func() error{
		"coefficients": func() error { _, _, err := Residual(nil, m, m, nil, []int{1, 1}, z, []float64{1}, Linear); return err },
		"widths": func() error {
			_, _, err := Residual(nil, m, m, nil, []int{1, 2}, z, []float64{1, 0}, Linear)
			return err
		},
		"weight": func() error {
			_, _, err := Residual(nil, m, m, []float64{1}, []int{1, 1}, z, []float64{1, 0}, Linear)
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if left, all, err := Residual(nil, m, m, nil, []int{1, 1}, z, []float64{1, 0}, Linear); left != 0 || all != 0 || err != nil {
		t.Errorf("of constants %g of %g are left, %v", left, all, err)
	}
}
