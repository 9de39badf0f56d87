package match

import (
	"fmt"
	"math"
	"slices"
)

// SubsetOfPairs keeps as many features as one model has, those that explain all of them best (see [Subset]), where every
// merged feature must have one member of each model, as in a space that may only be permuted: the kept features of one
// model are joined by features of the others that are not kept, those with which they are correlated most (linear
// assignment). keep[m] is the kept feature of merged feature m. All widths must be equal; o.Width must be 0 or theirs.
func SubsetOfPairs(f Features, o Options) (z Zip, keep []int, err error) {
	if slices.Min(f.Widths) != slices.Max(f.Widths) {
		return Zip{}, nil, fmt.Errorf("match: models of unequal widths %v have no pairs", f.Widths)
	}
	if _, keep, err = Subset(f, o); err != nil {
		return Zip{}, nil, err
	}
	c := f.Correlation()
	n := f.total()
	z, err = JoinKept(f.Widths, keep, func(k, l int) (float64, error) { return c[k*n+l], nil })
	return z, keep, err
}

// JoinNearest lets every feature that is not kept join the kept one that is most like it: keep[m] is merged feature m.
func JoinNearest(widths, keep []int, likeness func(k, l int) (float64, error)) (z Zip, err error) {
	model, _ := Features{Widths: widths}.origin()
	z = Zip{Width: len(keep), Of: make([]int, len(model))}
	for k := range model {
		most := math.Inf(-1)
		for m, l := range keep {
			like := math.Inf(1)
			if k != l {
				if like, err = likeness(k, l); err != nil {
					return Zip{}, err
				}
			}
			if like > most {
				most, z.Of[k] = like, m
			}
		}
	}
	return z, nil
}

// JoinKept gives every merged feature, which is keep[m], one member of each model: of the others', those that are
// not kept themselves, so that the sum of the likenesses is the largest.
func JoinKept(widths, keep []int, likeness func(k, l int) (float64, error)) (z Zip, err error) {
	width := len(keep)
	model, _ := Features{Widths: widths}.origin()
	z = Zip{Width: width, Of: make([]int, len(model))}
	kept := make([]bool, len(model))
	for m, k := range keep {
		z.Of[k], kept[k] = m, true
	}
	for i := range widths {
		var places, features []int // of others' kept features, of model i's that are not kept
		for m, k := range keep {
			if model[k] != i {
				places = append(places, m)
			}
		}
		for k := range model {
			if model[k] == i && !kept[k] {
				features = append(features, k)
			}
		}
		n := len(features)
		if n != len(places) {
			return Zip{}, fmt.Errorf("match: %d features of model %d to join %d kept ones", n, i, len(places))
		}
		profit := make([]float64, n*n)
		for a, k := range features {
			for b, m := range places {
				if profit[a*n+b], err = likeness(k, keep[m]); err != nil {
					return Zip{}, err
				}
			}
		}
		to, err := Assign(n, profit)
		if err != nil {
			return Zip{}, err
		}
		for a, b := range to {
			z.Of[features[a]] = places[b]
		}
	}
	return z, nil
}
