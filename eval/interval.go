package eval

import (
	"fmt"
	"math"
)

// z95 is the 97.5 % quantile of the normal distribution: two-sided 95 %.
const z95 = 1.959963984540054

// Rate is a share of samples with its 95 % interval, as fractions.
type Rate struct {
	N       int     `json:"n"`
	Correct int     `json:"correct"`
	Value   float64 `json:"value"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
}

// RateOf is the rate of `correct` in n samples, with the score interval of Wilson (1927), for p = correct/n:
//
//	(p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n)
//
// Unlike p ± z·√(p(1-p)/n) it is sound for few samples and near 0 and 1. Of no samples nothing is known: the value
// is 0, the interval [0, 1].
func RateOf(correct, n int) Rate {
	if n == 0 {
		return Rate{High: 1}
	}
	size := float64(n)
	p := float64(correct) / size
	center := p + z95*z95/(2*size)
	half := z95 * math.Sqrt(p*(1-p)/size+z95*z95/(4*size*size))
	scale := 1 + z95*z95/size
	r := Rate{n, correct, p, (center - half) / scale, (center + half) / scale}
	r.Low, r.High = max(0, min(p, r.Low)), min(1, max(p, r.High)) // rounding only
	return r
}

// rateOf counts the true entries.
func rateOf(correct []bool) Rate {
	n := 0
	for _, c := range correct {
		if c {
			n++
		}
	}
	return RateOf(n, len(correct))
}

// String is like "95.86 % [95.27, 96.38] of 5000".
func (r Rate) String() string {
	return fmt.Sprintf("%.2f %% [%.2f, %.2f] of %d", 100*r.Value, 100*r.Low, 100*r.High, r.N)
}
