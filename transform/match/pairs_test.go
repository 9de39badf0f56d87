package match

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// copied draws features of two models of n each: the second's are the first's in another order, scaled by noise.
func copied(n int, noise float64, seed uint64) (f Features, order []int) {
	rng := rand.New(rand.NewPCG(seed, 5))
	order = rng.Perm(n)
	const samples = 400
	x := make([][]float64, samples)
	f = Features{Widths: []int{n, n}, Mean: make([]float64, 2*n), Cov: make([]float64, 4*n*n)}
	for s := range x {
		x[s] = make([]float64, 2*n)
		for k := range n {
			x[s][k] = rng.NormFloat64() * float64(1+k)
		}
		for k, of := range order {
			x[s][n+of] = x[s][k] + noise*float64(1+k)*rng.NormFloat64()
		}
	}
	for i := range 2 * n {
		for j := range 2 * n {
			for s := range x {
				f.Cov[i*2*n+j] += x[s][i] * x[s][j] / samples
			}
		}
	}
	return f, order
}

// Every merged feature has one member of each model, one of them kept; copies go with what they are copies of.
func TestSubsetOfPairs(t *testing.T) {
	const n = 9
	for _, noise := range []float64{0, 0.5, 5} {
		f, order := copied(n, noise, 3)
		z, keep, err := SubsetOfPairs(f, DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		if z.Width != n || len(keep) != n {
			t.Fatalf("noise %v: width %d, %d kept", noise, z.Width, len(keep))
		}
		for m, members := range z.Members() {
			if len(members) != 2 || members[0] >= n || members[1] < n || !slices.Contains(members, keep[m]) {
				t.Errorf("noise %v: merged feature %d has %v and keeps %d", noise, m, members, keep[m])
			}
			if noise == 0 && members[1] != n+order[members[0]] {
				t.Errorf("feature %d goes with %d, not with its copy %d", members[0], members[1]-n, order[members[0]])
			}
		}
	}
	f, _ := copied(n, 0, 3)
	f.Widths = []int{n - 1, n + 1}
	if _, _, err := SubsetOfPairs(f, DefaultOptions()); err == nil {
		t.Error("unequal widths were paired")
	}
}

// Blocks of one feature are ranked as features are; a block that repeats another explains nothing after it.
func TestRankBlocks(t *testing.T) {
	f, _ := copied(8, 0.7, 1)
	want, err := Rank(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := RankBlocks(f, 1, 6)
	if err != nil || !slices.Equal(got, want.Order[:6]) {
		t.Errorf("%v, %v, want %v", got, err, want.Order[:6])
	}
	f, order := copied(8, 0, 1)
	if got, err = RankBlocks(f, 8, 2); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	// Pairs of features: of the four pairs of model 0 and their copies, which are spread over model 1, four explain all.
	got, err = RankBlocks(f, 2, 8)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, b := range got[:4] {
		for k := 2 * b; k < 2*b+2; k++ {
			if k >= 8 {
				seen[slices.Index(order, k-8)] = true
			} else {
				seen[k] = true
			}
		}
	}
	if len(seen) < 7 {
		t.Errorf("the first four blocks %v hold the features %v only", got[:4], seen)
	}
	if _, err := RankBlocks(f, 3, 2); err == nil {
		t.Error("16 features were divided into blocks of 3")
	}
}

// A block that repeats a ranked one comes after one that nobody reads: what the ridge leaves of it is nothing.
func TestRankBlocksPassesOverRepeats(t *testing.T) {
	f, order := copied(8, 0, 1)
	twin := order[0]
	read := make([]float64, 16*16)
	read[0], read[(8+twin)*17] = 1, 1 // feature 0 and its copy
	f.Readers = []Reader{{Cov: f.Cov, Weight: read}}
	got, err := RankBlocks(f, 1, 8)
	if err != nil {
		t.Fatal(err)
	}
	if got[0] != 0 || slices.Contains(got, 8+twin) {
		t.Errorf("%v were kept, the copy of feature 0 is %d", got, 8+twin)
	}
}
