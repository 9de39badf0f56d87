package eval

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Diff is the difference of two models' accuracies on the same samples, in percentage points, with its 95 %
// interval. It is positive where the first one is better.
type Diff struct {
	N          int     `json:"n"`
	Points     float64 `json:"points"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	OnlyFirst  int     `json:"only_first"`  // samples that only the first model gets right
	OnlySecond int     `json:"only_second"` // and only the second
}

// Paired compares two models sample by sample: a[i] and b[i] say whether each got sample i right. With b₁ and b₂
// samples that only one of them gets right, the difference is (b₁-b₂)/n. The interval is that of Bonett and
// Price (2012), which adds one sample to both counts so that it holds for few samples and does not shrink to
// nothing where the models never differ:
//
//	p₁ = (b₁+1)/(n+2), p₂ = (b₂+1)/(n+2), p₁-p₂ ± z·√((p₁+p₂-(p₁-p₂)²)/(n+2))
//
// Samples that both get right, or both wrong, say nothing of the difference: it is far sharper than the two
// accuracies' own intervals. Slices of different lengths are a mistake of the caller: Paired panics.
func Paired(a, b []bool) Diff {
	if len(a) != len(b) {
		panic(fmt.Sprintf("eval: Paired with %d and %d samples", len(a), len(b)))
	}
	d := Diff{N: len(a)}
	for i := range a {
		switch {
		case a[i] && !b[i]:
			d.OnlyFirst++
		case b[i] && !a[i]:
			d.OnlySecond++
		}
	}
	if d.N > 0 {
		d.Points = 100 * float64(d.OnlyFirst-d.OnlySecond) / float64(d.N)
	}
	n := float64(d.N) + 2
	p1, p2 := float64(d.OnlyFirst+1)/n, float64(d.OnlySecond+1)/n
	half := z95 * math.Sqrt((p1+p2-(p1-p2)*(p1-p2))/n)
	d.Low = 100 * max(-1, p1-p2-half)
	d.High = 100 * min(1, p1-p2+half)
	return d
}

// Predictions are one model's answers to the samples that concern it.
type Predictions struct {
	Samples []int   // numbers of the samples in the data, ascending
	Labels  []int64 // their true global classes
	Classes []int64 // the predicted global classes, NoClass where the logits were not finite
}

// NoClass is the prediction of a head whose logits are not finite. It is always wrong.
const NoClass int64 = math.MinInt64

// Correct says for each sample whether the prediction is right.
func (p Predictions) Correct() []bool {
	out := make([]bool, len(p.Samples))
	for i := range out {
		out[i] = p.Classes[i] == p.Labels[i]
	}
	return out
}

// Compare is Paired for two models' predictions. Predictions for different samples are an error of kind
// fault.Internal.
func Compare(a, b Predictions) (Diff, error) {
	if !slices.Equal(a.Samples, b.Samples) || !slices.Equal(a.Labels, b.Labels) {
		return Diff{}, fault.New(fault.Internal, "unpaired", "the predictions are not for the same samples")
	}
	return Paired(a.Correct(), b.Correct()), nil
}
