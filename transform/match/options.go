package match

import (
	"fmt"
	"math"
	"slices"
)

// defaultTie is far above the rounding noise of a covariance summed in float64
// and far below any difference between features that matters.
const defaultTie = 1.0 / (1 << 30)

// Options are the settings of all matching methods; each method's comment says
// which of them it reads. The zero value is valid: a strict one-to-one zip.
// [DefaultOptions] are the recommended ones.
type Options struct {
	// Alpha, in [0, 1], is the repeated-merge penalty α of the paper: the
	// similarity of an already merged feature is multiplied by it.
	Alpha float64
	// Beta, at least 0, is the same-model budget β of the paper: the share of
	// all merges that may join features of one and the same model.
	Beta float64
	// Width is the number of merged features, from 1 to the number of all
	// features. 0 means the width of the largest model.
	Width int
	// Seed drives the random controls.
	Seed uint64
	// Tie is the step to which Greedy and Permute round correlations, in
	// [0, 0.01], so that the noise of float arithmetic does not decide between equal
	// features. 0 means 2⁻³⁰; with covariances summed in float32, 1e-6 is right.
	Tie float64
}

// DefaultOptions returns α = 0.3, the paper's, and β = 1, which is far better
// than the paper's 0.125 where nothing is refitted after the merge.
func DefaultOptions() Options { return Options{Alpha: 0.3, Beta: 1} }

// resolve checks o for the features f and fills in what depends on them.
func (o Options) resolve(f Features) (Options, error) {
	if !(o.Alpha >= 0 && o.Alpha <= 1) { // written so that NaN fails
		return o, fmt.Errorf("match: alpha is %v: want 0 to 1", o.Alpha)
	}
	if !(o.Beta >= 0) || math.IsInf(o.Beta, 1) {
		return o, fmt.Errorf("match: beta is %v: want a finite number, at least 0", o.Beta)
	}
	if !(o.Tie >= 0 && o.Tie <= 0.01) {
		return o, fmt.Errorf("match: tie is %v: want 0 to 0.01", o.Tie)
	}
	if o.Tie == 0 {
		o.Tie = defaultTie
	}
	if o.Width == 0 {
		o.Width = slices.Max(f.Widths)
	}
	if o.Width < 1 || o.Width > f.total() {
		return o, fmt.Errorf("match: width is %d: want 1 to %d, the number of all features", o.Width, f.total())
	}
	return o, nil
}

// round moves v to the nearest multiple of the tie step.
func (o Options) round(v float64) float64 {
	return math.RoundToEven(v/o.Tie) * o.Tie
}
