package match

import (
	"errors"
	"fmt"
)

// Zip says which merged feature each source feature joins. Source features are
// numbered through all models, k = 0 … O-1, model by model.
//
// With P ∈ {0,1}^{O×Width} the membership matrix of Of and D the diagonal of
// [Zip.Counts], the merge matrix is M = D⁻¹·Pᵀ (Width×O, an average), the
// unmerge matrix is U = P (O×Width), and M·U = I exactly.
type Zip struct {
	Width int   `json:"width"` // number of merged features, n'
	Of    []int `json:"of"`    // len O, each in 0 … Width-1
}

// Validate returns an error unless every source feature joins an existing
// merged feature and every merged feature has at least one member.
func (z Zip) Validate() error {
	if z.Width < 1 {
		return fmt.Errorf("match: zip of width %d: want at least 1", z.Width)
	}
	seen := make([]bool, z.Width)
	for k, m := range z.Of {
		if m < 0 || m >= z.Width {
			return fmt.Errorf("match: source feature %d joins merged feature %d: want 0 to %d", k, m, z.Width-1)
		}
		seen[m] = true
	}
	for m, ok := range seen {
		if !ok {
			return fmt.Errorf("match: merged feature %d has no members", m)
		}
	}
	return nil
}

// Counts returns the number of members of each merged feature, len Width.
// The zip must be valid.
func (z Zip) Counts() []int {
	counts := make([]int, z.Width)
	for _, m := range z.Of {
		counts[m]++
	}
	return counts
}

// Members returns the source features of each merged feature, ascending,
// len Width. The zip must be valid.
func (z Zip) Members() [][]int {
	members := make([][]int, z.Width)
	for m, count := range z.Counts() {
		members[m] = make([]int, 0, count)
	}
	for k, m := range z.Of {
		members[m] = append(members[m], k)
	}
	return members
}

// Split cuts Of into one slice for each model, given the models' widths: the
// gather indices of each unmerge U_i. The slices share Of's memory.
func (z Zip) Split(widths []int) ([][]int, error) {
	total, err := sum(widths)
	if err != nil {
		return nil, err
	}
	if total != len(z.Of) {
		return nil, fmt.Errorf("match: widths %v add up to %d features, the zip has %d", widths, total, len(z.Of))
	}
	parts := make([][]int, len(widths))
	at := 0
	for i, w := range widths {
		parts[i] = z.Of[at : at+w : at+w]
		at += w
	}
	return parts, nil
}

// sum adds up the widths of the models and checks them.
func sum(widths []int) (int, error) {
	if len(widths) == 0 {
		return 0, errors.New("match: no models")
	}
	total := 0
	for i, w := range widths {
		if w < 1 {
			return 0, fmt.Errorf("match: model %d has width %d: want at least 1", i, w)
		}
		total += w
	}
	return total, nil
}

// number turns links into a Zip. into[k] ≤ k is the feature that k was merged
// into, k itself for the first member of a cluster. Merged features are
// numbered in the order of their first members, as the reference does.
func number(into []int) Zip {
	z := Zip{Of: make([]int, len(into))}
	for k, first := range into {
		if first == k {
			z.Of[k] = z.Width
			z.Width++
			continue
		}
		z.Of[k] = z.Of[first] // already final: first < k
	}
	return z
}
