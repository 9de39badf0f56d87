package match

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// nearProduct draws profits a_i·b_j, of both signs, with noise.
func nearProduct(t *rapid.T, noise float64) (n int, profit, a, b []float64) {
	n = rapid.IntRange(1, 60).Draw(t, "n")
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	lowest := rapid.SampledFrom([]float64{-1, 0, 0.3}).Draw(t, "lowest")
	draw := func() []float64 {
		v := make([]float64, n)
		for k := range v {
			v[k] = lowest + (1-lowest)*random.Float64()
		}
		return v
	}
	a, b = draw(), draw()
	profit = make([]float64, n*n)
	for k := range profit {
		profit[k] = a[k/n]*b[k%n] + noise*random.NormFloat64()
	}
	return n, profit, a, b
}

// TestFactorPrices: for a product the prices' bound is what the best assignment costs, which pairs rows and columns in
// order, so that nothing is left to be found.
func TestFactorPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, profit, a, b := nearProduct(t, 0)
		s := newAssignment(n, profit)
		s.v = factorPrices(n, profit)
		bound := s.reduceRows()
		slices.Sort(a)
		slices.Sort(b)
		cost := 0.0
		for k := range n {
			cost -= a[k] * b[k]
		}
		if math.Abs(bound-cost) > 1e-9*float64(n) {
			t.Fatalf("the prices prove %v, the best assignment costs %v", bound, cost)
		}
	})
}

// TestAssignNearProducts: whichever prices it starts from, an assignment is as good as that of the plain algorithm.
func TestAssignNearProducts(t *testing.T) {
	started := 0
	rapid.Check(t, func(t *rapid.T) {
		noise := rapid.SampledFrom([]float64{0, 1e-9, 1e-3, 0.05, 0.5}).Draw(t, "noise")
		n, profit, _, _ := nearProduct(t, noise)
		of, err := Assign(n, profit)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := profitOf(profit, of), profitOf(profit, crouse(n, profit)); math.Abs(got-want) > 1e-12*float64(n) {
			t.Fatalf("profit %v of %v: want %v", got, of, want)
		}
		s := newAssignment(n, profit)
		s.reduce()
		if slices.Equal(s.v, factorPrices(n, profit)) {
			started++
		}
	})
	if started == 0 {
		t.Error("no assignment started from the prices of a product: the test shows nothing")
	}
}
