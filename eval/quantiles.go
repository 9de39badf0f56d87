package eval

import (
	"math"
	"slices"
)

// exactLimit is the number of values that quantiles keeps as they are: 8 MiB. A variable, so that tests need
// no million values.
var exactLimit = 1 << 20

// quantiles collects non-negative values and returns quantiles of them. They are exact up to exactLimit values.
// Beyond, values are counted in bins whose bounds grow by gamma, and a quantile is off by 1 % of itself at most;
// memory is then bounded by the range of float64 (73,000 bins), and the result does not depend on any order.
type quantiles struct {
	exact []float64     // nil once bins is in use
	bins  map[int]int64 // bin k holds (gammaᵏ⁻¹, gammaᵏ]
	zeros int64
	n     int64
}

// gamma makes the middle of a bin, 2·gammaᵏ/(gamma+1), differ by 1 % from both its bounds.
const gamma = 1.01 / 0.99

var logGamma = math.Log(gamma)

func (q *quantiles) add(x float64) {
	q.n++
	if q.bins != nil {
		q.count(x)
		return
	}
	q.exact = append(q.exact, x)
	if len(q.exact) > exactLimit {
		q.bins = map[int]int64{}
		for _, x := range q.exact {
			q.count(x)
		}
		q.exact = nil
	}
}

func (q *quantiles) count(x float64) {
	if x == 0 {
		q.zeros++
		return
	}
	q.bins[int(math.Ceil(math.Log(x)/logGamma))]++
}

// at returns, for each p in ascending order, the smallest value that a share p of the values does not exceed; 0 of
// no values.
func (q *quantiles) at(p ...float64) []float64 {
	out := make([]float64, len(p))
	if q.n == 0 {
		return out
	}
	if q.bins != nil {
		q.fromBins(p, out)
		return out
	}
	slices.Sort(q.exact)
	for i := range p {
		out[i] = q.exact[q.rank(p[i])]
	}
	return out
}

// rank is the place of the quantile p among the sorted values.
func (q *quantiles) rank(p float64) int64 {
	// 1e-9: p·n that should be whole must not be rounded up for being a bit above.
	return min(q.n-1, max(0, int64(math.Ceil(p*float64(q.n)-1e-9))-1))
}

func (q *quantiles) fromBins(p, out []float64) {
	keys := make([]int, 0, len(q.bins))
	for k := range q.bins {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	below, next := q.zeros, 0 // values below bin keys[next]
	for i := range p {
		rank := q.rank(p[i])
		for next < len(keys) && below+q.bins[keys[next]] <= rank {
			below += q.bins[keys[next]]
			next++
		}
		if rank < q.zeros || next == len(keys) {
			continue
		}
		out[i] = 2 * math.Exp(float64(keys[next])*logGamma) / (gamma + 1)
	}
}
