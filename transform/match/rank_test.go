package match

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// drawReaders draws covariances of full rank and weights for n features.
func drawReaders(t *rapid.T, n int) []Reader {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "readers"), 0))
	weights := func(rows int) *mat.Dense {
		x := mat.NewDense(rows, n, nil)
		for i := range rows {
			for j := range n {
				x.Set(i, j, random.NormFloat64())
			}
		}
		return x
	}
	gram := func(rows int) []float64 {
		x := weights(rows)
		g := mat.NewDense(n, n, nil)
		g.Mul(x.T(), x)
		return g.RawMatrix().Data
	}
	out := make([]Reader, rapid.IntRange(1, 3).Draw(t, "places"))
	for i := range out {
		out[i] = Reader{Cov: gram(2 * n)}
		if rapid.Bool().Draw(t, "weighted") {
			out[i].Weight = gram(1 + random.IntN(n))
		} else if rapid.Bool().Draw(t, "rows") {
			out[i].Rows = weights(1 + random.IntN(n)).RawMatrix().Data
		}
	}
	return out
}

// gramOf is the Gram of a reader's weights.
func gramOf(t testing.TB, r Reader, n int) []float64 {
	t.Helper()
	g, err := r.Gram(nil, n)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// unexplained is tr(G·(Σ − Σ_·S Σ_SS⁻¹ Σ_S·)), solved for directly.
func unexplained(r Reader, n int, kept []int) float64 {
	cov := mat.NewDense(n, n, slices.Clone(r.Cov))
	left := mat.DenseCopyOf(cov)
	if len(kept) > 0 {
		s, c := mat.NewDense(len(kept), len(kept), nil), mat.NewDense(len(kept), n, nil)
		for a, k := range kept {
			for b, l := range kept {
				s.Set(a, b, cov.At(k, l))
			}
			c.SetRow(a, cov.RawRowView(k))
		}
		var w, explained mat.Dense
		if err := w.Solve(s, c); err != nil {
			panic(err)
		}
		explained.Mul(c.T(), &w)
		left.Sub(left, &explained)
	}
	weight, err := r.Gram(nil, n)
	if err != nil {
		panic(err)
	}
	if weight == nil {
		return mat.Trace(left)
	}
	var product mat.Dense
	product.Mul(mat.NewDense(n, n, weight), left)
	return mat.Trace(&product)
}

// TestRankIsLeastSquares: what Rank says is unexplained is what least squares leaves, and every feature that it takes
// is the best one to add.
func TestRankIsLeastSquares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "features")
		readers := drawReaders(t, n)
		r, err := Rank(Features{Widths: []int{n}, Cov: readers[0].Cov, Readers: readers})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Order) != n || len(r.Unexplained) != n+1 {
			t.Fatalf("%d of %d features ranked, with %d shares", len(r.Order), n, len(r.Unexplained))
		}
		left := func(kept ...int) (sum float64) {
			for _, at := range readers {
				sum += unexplained(at, n, kept)
			}
			return sum
		}
		all := left()
		for k := range n + 1 {
			kept := slices.Clone(r.Order[:k])
			got := left(kept...)
			if math.Abs(got/all-r.At(k)) > 1e-9 {
				t.Fatalf("%v leave %g unexplained, Rank says %g", kept, got/all, r.At(k))
			}
			for other := range n {
				if k > 0 && !slices.Contains(kept, other) && left(append(slices.Clone(kept[:k-1]), other)...) < got-1e-9*all {
					t.Fatalf("feature %d explains more after %v than %d does", other, kept[:k-1], kept[k-1])
				}
			}
		}
		if r.At(n+1) != 0 {
			t.Fatal("more features than there are leave something unexplained")
		}
	})
}

// TestRankIgnoresWhatFollows: sums, copies and constants of ranked features are not ranked.
func TestRankIgnoresWhatFollows(t *testing.T) {
	s := samples{{1, 2, 3, 5}, {2, 0, 1, 1}, {3, 2, 4, 6}, {1, 2, 3, 5}, {7, 7, 7, 7}}
	r, err := Rank(s.features(5))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Order) != 2 || r.At(2) > 1e-9 {
		t.Errorf("ranked %v, unexplained %v: want two features that explain all", r.Order, r.Unexplained)
	}
}

func TestRankRefusesOddReaders(t *testing.T) {
	f := Features{Widths: []int{2}, Cov: []float64{1, 0, 0, 1}, Readers: []Reader{{Cov: []float64{1}}}}
	if _, err := Rank(f); err == nil {
		t.Error("no error for a reader of another size")
	}
}

// TestRowsOrGram: the rows of the weights rank as their Gram does, on more features than a shortlist has.
func TestRowsOrGram(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 0))
	const n, rows = shortlisted + 76, 24
	x, w := mat.NewDense(3*n, n, nil), make([]float64, rows*n)
	for i := range x.RawMatrix().Data {
		x.RawMatrix().Data[i] = random.NormFloat64() * float64(1+i%n%7)
	}
	for i := range w {
		w[i] = random.NormFloat64()
	}
	var cov mat.Dense
	cov.Mul(x.T(), x)
	given := Reader{Cov: cov.RawMatrix().Data, Rows: w}
	f := Features{Widths: []int{n}, Cov: given.Cov, Readers: []Reader{given}}
	byRows, err := f.rank(60)
	if err != nil {
		t.Fatal(err)
	}
	f.Readers = []Reader{{Cov: given.Cov, Weight: gramOf(t, given, n)}}
	byGram, err := f.rank(60)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(byRows.Order, byGram.Order) || !floats.EqualApprox(byRows.Unexplained, byGram.Unexplained, 1e-9) {
		t.Errorf("by rows %v, by Gram %v", byRows.Order, byGram.Order)
	}
}

// TestShortlists: ranked block by block among the most promising features, they explain what they do when each is ranked among
// all, with one reader or several.
func TestShortlists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		n := rapid.IntRange(150, 220).Draw(t, "features")
		f := Features{Widths: []int{n}}
		for range rapid.IntRange(1, 3).Draw(t, "readers") {
			x := mat.NewDense(n/2, n, nil) // half of the features explain the rest, nearly
			mix, noise := mat.NewDense(n, n/2, nil), rapid.SampledFrom([]float64{0.01, 0.3}).Draw(t, "noise")
			for i := range x.RawMatrix().Data {
				x.RawMatrix().Data[i], mix.RawMatrix().Data[i] = random.NormFloat64(), random.ExpFloat64()*random.NormFloat64()
			}
			var y, cov mat.Dense
			y.Mul(mix, x)
			cov.Mul(&y, y.T())
			for k := range n {
				cov.Set(k, k, cov.At(k, k)+noise*float64(n))
			}
			read := Reader{Cov: cov.RawMatrix().Data, Rows: make([]float64, n/2*n)}
			for i := range read.Rows {
				read.Rows[i] = random.NormFloat64()
			}
			f.Cov, f.Readers = read.Cov, append(f.Readers, read)
		}
		rank := func(among int) Ranking {
			var all rankers
			for _, r := range f.Readers {
				f.Cov = r.Cov
				one, err := newRanker(f, r)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, one)
			}
			r, err := all.rank(n/2, among, 32)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		whole, short := rank(n), rank(96)
		for k := range n/2 + 1 {
			if short.At(k) > whole.At(k)*1.05+2e-3 {
				t.Fatalf("%d of %d features leave %g, with shortlists %g", k, n, whole.At(k), short.At(k))
			}
		}
	})
}

// TestMadeByModel: rows that read one model, several, or nothing, with zeros in between, are multiplied as a whole product is.
func TestMadeByModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		widths := rapid.SliceOfN(rapid.IntRange(1, 4), 1, 3).Draw(t, "widths")
		n := 0
		for _, w := range widths {
			n += w
		}
		rows := rapid.IntRange(1, 12).Draw(t, "rows")
		w, cov := mat.NewDense(rows, n, nil), mat.NewDense(n, n, nil)
		for i := range cov.RawMatrix().Data {
			cov.RawMatrix().Data[i] = random.NormFloat64()
		}
		for i := range rows {
			at := 0
			for _, width := range widths {
				if random.IntN(2) == 0 {
					for j := range width {
						w.Set(i, at+j, float64(random.IntN(3)-1))
					}
				}
				at += width
			}
		}
		got, err := new(ranker).makeOf(w, cov, widths)
		if err != nil {
			t.Fatal(err)
		}
		var want mat.Dense
		want.Mul(w, cov)
		if !mat.EqualApprox(got, &want, 1e-12) {
			t.Fatalf("of %v\n%v\ninstead of\n%v", mat.Formatted(w), mat.Formatted(got), mat.Formatted(&want))
		}
	})
}
