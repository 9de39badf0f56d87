package report

import (
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// refitWay is a candidate in words.
func refitWay(way string) string {
	switch way {
	case "ls":
		return "least squares"
	case "repair":
		return "repair of every node"
	case "repair_guarded":
		return "repair of the nodes that it helps"
	case "none":
		return "none"
	}
	return way
}

// Tried is a candidate of the refit and the error that it left.
type Tried struct {
	Way    string
	Error  float64
	Chosen bool
}

// refitErrors lists the candidates, the plain merge first, then in the order in which they were tried.
func refitErrors(r *transform.RefitReport) (out []Tried) {
	for _, way := range []string{"none", "ls", "repair", "repair_guarded"} {
		if e, ok := r.Errors[way]; ok {
			out = append(out, Tried{refitWay(way), e, way == r.Chosen})
		}
	}
	return out
}

// fitsKept are the fits, if they are those of the merged file.
func fitsKept(r *transform.RefitReport) []refit.Fit {
	if r.Chosen == "ls" {
		return r.Fits
	}
	return nil
}

func repairsKept(r *transform.RefitReport) []refit.Outcome {
	if r.Chosen == "repair" || r.Chosen == "repair_guarded" {
		return r.Repairs
	}
	return nil
}

// RefitChart shows every node's error before and after, in topological order, on a logarithmic axis.
type RefitChart struct {
	Height, Plot float64
	Ticks        []Tick
	Nodes        []Drop
	Alone        int // nodes that were left alone
	Few          int // nodes with fewer positions than would do
}

// Drop is one node's errors.
type Drop struct {
	X, Before, After float64
	Name             string
	Alone            bool
}

// refitFloor is the smallest error that the chart tells from nothing: what rounding leaves is no matter.
const (
	refitFloor    = 1e-4
	refitFloorLog = -4.0
)

func refitChart(fits []refit.Fit) *RefitChart {
	if len(fits) == 0 {
		return nil
	}
	c := &RefitChart{Height: 184, Plot: 160}
	low, high := 0.0, 0.0 // powers of ten
	for _, f := range fits {
		for _, e := range []float64{f.Before, f.After} {
			low, high = min(low, math.Log10(max(e, refitFloor))), max(high, math.Log10(max(e, refitFloor)))
		}
	}
	low, high = max(math.Floor(low), refitFloorLog), math.Ceil(high)
	if low == high {
		low--
	}
	y := func(e float64) float64 {
		p := (high - math.Log10(max(e, refitFloor))) / (high - low)
		return round(8 + (c.Plot-8)*min(max(p, 0), 1))
	}
	for p := low; p <= high; p++ {
		label := fmt.Sprintf("%g", math.Pow(10, p))
		if p <= refitFloorLog {
			label = "≤ " + label
		}
		c.Ticks = append(c.Ticks, Tick{y(math.Pow(10, p)), label})
	}
	for i, f := range fits {
		if f.Lambda == 0 {
			c.Alone++
		}
		if f.Enough > 0 {
			c.Few++
		}
		c.Nodes = append(c.Nodes, Drop{
			X: round(100 * (float64(i) + 0.5) / float64(len(fits))), Before: y(f.Before), After: y(f.After), Alone: f.Lambda == 0,
			Name: fmt.Sprintf("%s: %s → %s", f.Node, fixed(f.Before), fixed(f.After)),
		})
	}
	return c
}
