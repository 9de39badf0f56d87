package match

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// methods are all methods with this signature.
var methods = []struct {
	name     string
	match    func(Features, Options) (Zip, error)
	anyWidth bool // any widths, and any Options.Width
}{
	{"Greedy", Greedy, true},
	{"Reference", Reference, true},
	{"Permute", Permute, false},
	{"Random", Random, false},
}

// subset is Subset as one of methods, but for segments.
func subset(f Features, o Options) (Zip, error) {
	z, _, err := Subset(f, o)
	return z, err
}

func TestNothingIsEverLost(t *testing.T) {
	all := append(slices.Clone(methods), methods[0])
	all[len(methods)].name, all[len(methods)].match = "Subset", subset
	for _, m := range all {
		t.Run(m.name, rapid.MakeCheck(func(t *rapid.T) {
			widths := drawEqualWidths(t)
			if m.anyWidth {
				widths = drawWidths(t)
			}
			f := drawFeatures(t, widths)
			o := drawOptions(t, f.total())
			if !m.anyWidth {
				o.Width = widths[0]
			}
			z, err := m.match(f, o)
			if err != nil {
				t.Fatal(err)
			}
			checkZip(t, z, o.Width, f.total())
			again, err := m.match(f, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(z, again); diff != "" {
				t.Fatalf("two runs differ:\n%s", diff)
			}
		}))
	}
}

// TestMergeUndoesUnmerge: M·U = D⁻¹·Pᵀ·P = I, that is Pᵀ·P = D, in integers.
func TestMergeUndoesUnmerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFeatures(t, drawWidths(t))
		z, err := Greedy(f, drawOptions(t, f.total()))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]int, z.Width*z.Width)
		for m, n := range z.Counts() {
			want[m*z.Width+m] = n
		}
		got := make([]int, z.Width*z.Width)
		for m, members := range z.Members() { // row m of Pᵀ
			for _, k := range members { // row k of P is the unit vector of Of[k]
				got[m*z.Width+z.Of[k]]++
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Pᵀ·P is not D (-want +got):\n%s", diff)
		}
	})
}

// permuted returns copies of a model next to each other, each but the first
// with its features in an order of its own and, if rounded, with the errors of
// float32 arithmetic. source[k] is the feature of the model that k copies.
func permuted(t *rapid.T, model samples, models int, rounded bool) (all samples, source []int) {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	for i := range models {
		order := random.Perm(len(model))
		if i == 0 {
			slices.Sort(order)
		}
		for _, k := range order {
			x := slices.Clone(model[k])
			for s := range x {
				if rounded {
					x[s] *= 1 + 1e-7*random.NormFloat64()
				}
			}
			all, source = append(all, x), append(source, k)
		}
	}
	return all, source
}

// TestPermutedCopiesAreFound: merged features hold one feature of each copy,
// the same one; exact duplicates are the same.
func TestPermutedCopiesAreFound(t *testing.T) {
	for _, m := range []struct {
		name  string
		match func(Features, Options) (Zip, error)
	}{{"Greedy", Greedy}, {"Permute", Permute}} {
		t.Run(m.name, rapid.MakeCheck(func(t *rapid.T) {
			model := drawModel(t)
			models := rapid.IntRange(2, 4).Draw(t, "models")
			rounded := rapid.Bool().Draw(t, "rounded")
			all, source := permuted(t, model, models, rounded)
			o := drawOptions(t, len(model))
			o.Width = len(model)
			z, err := m.match(all.features(slices.Repeat([]int{len(model)}, models)...), o)
			if err != nil {
				t.Fatal(err)
			}
			checkZip(t, z, len(model), len(all))
			for merged, members := range z.Members() {
				for i, k := range members {
					// Constants that are equal but for rounding may share a slot.
					if k/len(model) != i && !(rounded && isConstant(model[source[k]])) {
						t.Fatalf("merged feature %d has members %v: want one of each of the %d models", merged, members, models)
					}
					if !slices.Equal(model[source[k]], model[source[members[0]]]) {
						t.Fatalf("merged feature %d joins %d and %d, which differ", merged, members[0], k)
					}
				}
			}
		}))
	}
}

func isConstant(x []float64) bool { return slices.Max(x) == slices.Min(x) }

// TestSubsetOfPermutedCopiesLosesNothing: at the width of one copy every feature joins one that is the same, which is
// kept. Exact duplicates inside a model are interchangeable.
func TestSubsetOfPermutedCopiesLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := drawModel(t)
		models := rapid.IntRange(2, 4).Draw(t, "models")
		all, source := permuted(t, model, models, rapid.Bool().Draw(t, "rounded"))
		o := drawOptions(t, len(model))
		o.Width = len(model)
		z, keep, err := Subset(all.features(slices.Repeat([]int{len(model)}, models)...), o)
		if err != nil {
			t.Fatal(err)
		}
		checkZip(t, z, len(model), len(all))
		for k, m := range z.Of {
			if z.Of[keep[m]] != m {
				t.Fatalf("merged feature %d keeps %d, which is not its member", m, keep[m])
			}
			if !slices.Equal(model[source[k]], model[source[keep[m]]]) {
				t.Fatalf("feature %d joins %d, which differs", k, keep[m])
			}
		}
	})
}

// TestPermutedCopiesAreFoundInFloat32: what float32 leaves of covariances and of faint features decides nothing between
// features that differ by more, at the tie step for it.
func TestPermutedCopiesAreFoundInFloat32(t *testing.T) {
	for _, m := range []struct {
		name  string
		match func(Features, Options) (Zip, error)
	}{{"Greedy", Greedy}, {"Permute", Permute}, {"Subset", subset}} {
		t.Run(m.name, rapid.MakeCheck(func(t *rapid.T) {
			model := drawFaint(t, drawModelApart(t, 1e-2))
			models := rapid.IntRange(2, 4).Draw(t, "models")
			all, source := permuted(t, model, models, true)
			o := Options{Alpha: 0.3, Beta: 1, Tie: 1e-6}
			f := all.inFloat32(rapid.Uint64().Draw(t, "rounding"), slices.Repeat([]int{len(model)}, models)...)
			z, err := m.match(f, o)
			if err != nil {
				t.Fatal(err)
			}
			checkZip(t, z, len(model), len(all))
			for merged, members := range z.Members() {
				for _, k := range members {
					if !slices.Equal(model[source[k]], model[source[members[0]]]) {
						t.Fatalf("merged feature %d joins %d and %d, which differ", merged, members[0], k)
					}
				}
			}
		}))
	}
}

func TestIdenticalModelsMatchByIdentity(t *testing.T) {
	for _, m := range []struct {
		name  string
		match func(Features, Options) (Zip, error)
	}{{"Greedy", Greedy}, {"Permute", Permute}} {
		t.Run(m.name, rapid.MakeCheck(func(t *rapid.T) {
			model := drawModel(t)
			models := rapid.IntRange(2, 4).Draw(t, "models")
			widths := slices.Repeat([]int{len(model)}, models)
			f := samples(slices.Repeat(model, models)).features(widths...)
			z, err := m.match(f, DefaultOptions())
			if err != nil {
				t.Fatal(err)
			}
			want, _ := Identity(widths)
			if diff := cmp.Diff(want, z); diff != "" {
				t.Fatalf("not the identity (-want +got):\n%s", diff)
			}
		}))
	}
}

// TestGreedyDoesNotDependOnTheOrderOfModels: where nothing is tied, the same
// clusters come out. (Reference: they do not, mixed clusters count for the
// model of their first member.)
func TestGreedyDoesNotDependOnTheOrderOfModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		widths := drawEqualWidths(t)
		n, total := widths[0], widths[0]*len(widths)
		f := Features{Widths: widths, Cov: make([]float64, total*total)}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "values"), 0))
		for i := range total {
			f.Cov[i*total+i] = 1
			for j := range i {
				v := 2*random.Float64() - 1
				f.Cov[i*total+j], f.Cov[j*total+i] = v, v
			}
		}
		order := random.Perm(len(widths))
		source := func(k int) int { return order[k/n]*n + k%n }
		g := Features{Widths: widths, Cov: make([]float64, total*total)}
		for i := range total {
			for j := range total {
				g.Cov[i*total+j] = f.Cov[source(i)*total+source(j)]
			}
		}
		o := drawOptions(t, total)
		o.Alpha = max(o.Alpha, 1e-4) // 0·x makes ties
		// What is similar by less than the tie step is not compared.
		o.Tie = 1e-15
		a, err := Greedy(f, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Greedy(g, o)
		if err != nil {
			t.Fatal(err)
		}
		reordered := make([]int, total)
		for k, m := range b.Of {
			reordered[source(k)] = m
		}
		if diff := cmp.Diff(a, renumbered(reordered)); diff != "" {
			t.Fatalf("models in order %v give other clusters (-first +reordered):\n%s", order, diff)
		}
	})
}

// renumbered numbers merged features in the order of their first members.
func renumbered(of []int) Zip {
	into := make([]int, len(of))
	for k, m := range of {
		into[k] = slices.Index(of, m)
	}
	return number(into)
}

func TestSegmentsStayApart(t *testing.T) {
	for _, m := range methods {
		t.Run(m.name, rapid.MakeCheck(func(t *rapid.T) {
			f := drawFeatures(t, drawEqualWidths(t))
			n := f.Widths[0]
			f.Segments = rapid.SliceOfN(rapid.IntRange(0, 2), n, n).Draw(t, "segments")
			o := drawOptions(t, f.total())
			groups := f.segments()
			o.Width = max(o.Width, len(groups))
			if !m.anyWidth {
				o.Width = n
			}
			z, err := m.match(f, o)
			if err != nil {
				t.Fatal(err)
			}
			checkZip(t, z, o.Width, f.total())
			widths, err := f.SegmentWidths(o.Width)
			if err != nil {
				t.Fatal(err)
			}
			first := 0
			for s, positions := range groups {
				for _, k := range f.stacked(positions) {
					if z.Of[k] < first || z.Of[k] >= first+widths[s] {
						t.Fatalf("feature %d of segment %d joins %d: want %d to %d", k, s, z.Of[k], first, first+widths[s]-1)
					}
				}
				if o.Width == n && widths[s] != len(positions) {
					t.Fatalf("segment %d gets width %d: want its own, %d", s, widths[s], len(positions))
				}
				first += widths[s]
			}
		}))
	}
}

func TestRandomHalvesKeepsAnEqualShareOfEachModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		widths := drawEqualWidths(t)
		n := widths[0]
		z, keep, err := RandomHalves(Features{Widths: widths}, Options{Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		checkZip(t, z, n, n*len(widths))
		kept := make([]int, len(widths))
		for m, k := range keep {
			if z.Of[k] != m {
				t.Fatalf("merged feature %d keeps %d, which is not its member", m, k)
			}
			kept[k/n]++
		}
		if slices.Max(kept)-slices.Min(kept) > 1 {
			t.Fatalf("the models keep %v features", kept)
		}
	})
}
