package match

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Identity joins the features at the same position of all models: plain weight
// averaging. Its width is that of the widest model.
func Identity(widths []int) (Zip, error) {
	if _, err := sum(widths); err != nil {
		return Zip{}, err
	}
	var z Zip
	for _, w := range widths {
		z.Width = max(z.Width, w)
		for p := range w {
			z.Of = append(z.Of, p)
		}
	}
	return z, nil
}

// Full merges nothing: every source feature is a merged feature of its own, and
// the merged model is the models side by side. The widths must be valid.
func Full(widths []int) Zip {
	z := Zip{}
	for _, w := range widths {
		for range w {
			z.Of = append(z.Of, z.Width)
			z.Width++
		}
	}
	return z
}

// Random joins each feature of model 0 with one random feature of every other
// model, the control for [Permute]. It needs no statistics, only f.Widths (the
// first one the largest) and f.Segments, and reads o.Seed.
func Random(f Features, o Options) (Zip, error) {
	f.Mean, f.Cov = nil, nil
	if err := f.validateShape(); err != nil {
		return Zip{}, err
	}
	if widest := slices.Max(f.Widths); widest > f.Widths[0] {
		return Zip{}, fmt.Errorf("match: a model has %d features, more than the %d of model 0 to join them to", widest, f.Widths[0])
	}
	o.Width = f.Widths[0]
	random := newRandom(o.Seed)
	return bySegment(f, o, func(f Features, o Options) (Zip, error) {
		z := Zip{Width: o.Width}
		for m, w := range f.Widths {
			of := random.Perm(o.Width)
			if m == 0 {
				slices.Sort(of) // the others are permuted onto this one
			}
			z.Of = append(z.Of, of[:w]...)
		}
		return z, nil
	})
}

// RandomHalves is the control for selecting a member instead of averaging:
// features are joined as by [Random], and keep[m] is the one source feature that
// merged feature m is to imitate, from each model's features an equal share at random
// (of two models, a random half of either). All widths must be equal.
func RandomHalves(f Features, o Options) (z Zip, keep []int, err error) {
	if z, err = Random(f, o); err != nil {
		return Zip{}, nil, err
	}
	if slices.Min(f.Widths) != z.Width {
		return Zip{}, nil, fmt.Errorf("match: models of unequal widths %v have no halves to choose", f.Widths)
	}
	keep = make([]int, z.Width)
	members := z.Members()
	// Another stream than Random's, else the two choices would depend on one another.
	for i, m := range newRandom(^o.Seed).Perm(z.Width) {
		keep[m] = members[m][i%len(f.Widths)]
	}
	return z, keep, nil
}

// newRandom returns a generator whose numbers are fixed by Go's compatibility
// promise.
func newRandom(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, 0x6f6e6e782d7a6970))
}
