package eval

import "math"

// Top is what is kept of one head's logits for one sample.
type Top struct {
	// Index is the output with the largest logit, the lowest of equals; -1 where a logit is NaN or none is finite.
	Index int
	// Logit is the largest logit.
	Logit float64
	// Rest is Σ exp(zⱼ - Logit) over the other outputs.
	Rest float64
}

// Confidence is the largest probability after a softmax.
func (t Top) Confidence() float64 { return 1 / (1 + t.Rest) }

// topOf finds the largest of the logits z. An infinite one makes the softmax undefined, minus infinity does not:
// it is how models mask classes.
func topOf(z []float64) Top {
	best := 0
	for j, x := range z {
		if math.IsNaN(x) {
			return Top{Index: -1}
		}
		if x > z[best] {
			best = j
		}
	}
	if len(z) == 0 || math.IsInf(z[best], 0) {
		return Top{Index: -1}
	}
	t := Top{Index: best, Logit: z[best]}
	for j, x := range z {
		if j != best {
			t.Rest += math.Exp(x - t.Logit)
		}
	}
	return t
}
