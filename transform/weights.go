package transform

import (
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Weigh gives models weights, by head; others weigh 1. A weight counts wherever a merge has to choose between models'
// features: in means, and so in what least squares and repair aim at, Σ_i w_i·z_i/Σ_i w_i; and in which feature a merged one
// imitates, the largest w_i·Var. It does not change who joins whom, how wide a space is, or what heads are fitted to.
// Errors: fault.Usage for unknown heads, and weights that are not positive.
func (p *Prepared) Weigh(weights map[string]float64) error {
	p.taskWeights = nil
	if len(weights) == 0 {
		return nil
	}
	known := 0
	for _, m := range p.Sources.Models {
		w, given := weights[m.Head]
		if !given {
			w = 1
		} else {
			known++
		}
		if !(w > 0) || math.IsInf(w, 0) {
			return fault.New(fault.Usage, "bad_weight", "the weight of %s is %g: it has to be a positive number", m.Head, w)
		}
		p.taskWeights = append(p.taskWeights, w)
	}
	if known < len(weights) {
		return fault.New(fault.Usage, "bad_weight", "a weight is given to a model that is not there").
			WithHint("name the models as --heads does")
	}
	return nil
}

// average is the weighted mean of each merged feature's members.
func (p *Prepared) average(a merge.Assignment, sp *space.Space) merge.Assignment {
	if p.taskWeights == nil {
		return a
	}
	for _, members := range a.Members() {
		total := 0.0
		for _, k := range members {
			total += p.taskWeights[sp.Model(k)]
		}
		for _, k := range members {
			a.Coef[k] = p.taskWeights[sp.Model(k)] / total
		}
	}
	return a
}

// scores are variances, weighed by model.
func (p *Prepared) scores(variances []float64, sp *space.Space) []float64 {
	if p.taskWeights == nil {
		return variances
	}
	out := make([]float64, len(variances))
	for k, v := range variances {
		out[k] = v * p.taskWeights[sp.Model(k)]
	}
	return out
}

// weightOf is the weight of model i.
func (p *Prepared) weightOf(i int) float64 {
	if p.taskWeights == nil {
		return 1
	}
	return p.taskWeights[i]
}
