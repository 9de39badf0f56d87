package eval

import (
	"fmt"
	"math"
)

// Maximum describes a head's largest logit over calibration data.
type Maximum struct {
	Head      string  `json:"head"`
	N         int     `json:"n"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"` // of the population: divided by n
}

// Maxima measures the heads' largest logits, for AccuracyOptions.Maxima. Samples whose logits are not finite are left out.
func Maxima(heads []Head) []Maximum {
	out := make([]Maximum, len(heads))
	for i, h := range heads {
		out[i] = h.maximum()
	}
	return out
}

func (h Head) maximum() Maximum {
	m := Maximum{Head: h.Task.Head}
	for _, t := range h.Top {
		if t.Index >= 0 {
			m.N++
			m.Mean += t.Logit
		}
	}
	if m.N == 0 {
		return m
	}
	m.Mean /= float64(m.N)
	var squares float64
	for _, t := range h.Top {
		if t.Index >= 0 {
			squares += (t.Logit - m.Mean) * (t.Logit - m.Mean)
		}
	}
	m.Deviation = math.Sqrt(squares / float64(m.N))
	return m
}

// rule rates the top class of head i; the head with the largest rating wins. A rule that keeps the order inside
// a head need not look at its other classes.
type rule func(i int, t Top) float64

// softmaxRule is the softmax inside each head, then the largest probability of all. -Rest orders as
// 1/(1+Rest) does, without the rounding that makes sure answers equal.
func softmaxRule(_ int, t Top) float64 { return -t.Rest }

// standardisedRule is (logit - mean) / deviation. It returns why it cannot be used, where it cannot.
func standardisedRule(heads []Head, maxima []Maximum) (r rule, why string) {
	byHead := map[string]Maximum{}
	for _, m := range maxima {
		byHead[m.Head] = m
	}
	order := make([]Maximum, len(heads))
	for i, h := range heads {
		m, ok := byHead[h.Task.Head]
		if !ok {
			return nil, fmt.Sprintf("head %q has no statistics", h.Task.Head)
		}
		if m.N == 0 || m.Deviation <= 0 || math.IsInf(m.Deviation, 0) || math.IsNaN(m.Deviation) {
			return nil, fmt.Sprintf("the largest logit of head %q does not vary on the calibration data", h.Task.Head)
		}
		order[i] = m
	}
	return func(i int, t Top) float64 { return (t.Logit - order[i].Mean) / order[i].Deviation }, ""
}

// choose is the global class that the heads together predict for a sample. One head that is not finite
// spoils it: no rule can compare it.
func choose(heads []Head, sample int, r rule) int64 {
	best, bestRating := 0, math.Inf(-1)
	for i, h := range heads {
		t := h.Top[sample]
		if t.Index < 0 {
			return NoClass
		}
		if rating := r(i, t); rating > bestRating {
			best, bestRating = i, rating
		}
	}
	return heads[best].Task.class(heads[best].Top[sample].Index)
}
