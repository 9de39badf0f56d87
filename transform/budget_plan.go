package transform

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// planner finds widths of a trunk's spaces that fit a budget: one factor for all that may be zipped, the largest that fits,
// and then what rounding leaves. FLOPs of dense layers grow with the square of the width.
type planner struct {
	p    *Prepared
	t    *merge.Trunk
	o    Settings
	fits func(widths map[*space.Space]int) (bool, error)
	unit map[*space.Space]bool    // widths are those that suit convolutions
	lean map[*space.Space]float64 // what the factor is multiplied by; without entry: one
}

func (p *Prepared) newPlanner(t *merge.Trunk, o Settings, fits func(map[*space.Space]int) (bool, error)) *planner {
	w := &planner{p: p, t: t, o: o, fits: fits, unit: map[*space.Space]bool{}, lean: map[*space.Space]float64{}}
	for sp, writers := range p.writers(t) {
		if !anyWidth(sp) {
			continue
		}
		if writers.convolutions > 0 {
			w.unit[sp] = meanWidth(sp) >= leastChannels
		}
		if writers.all > 1 {
			w.lean[sp] = streamLean
		}
	}
	return w
}

// streamLean is how much wider, for its own width, a space becomes that several nodes write: a residual stream. Each block
// reads it and adds to it, so what it cannot hold is lost to all that follow, while what a block makes inside is lost to
// that block; a block costs the product of both widths (docs/matching.md).
const streamLean = 1.6

// Engines lay the channels of convolutions out in blocks, and leave those that do not fill them to slower code, which can cost
// more than the FLOPs save (docs/matching.md). So widths become multiples of four, from wideChannels on of eight. Spaces of fewer
// than leastChannels have few widths to choose from as it is.
const leastChannels, wideChannels = 16, 64

// unitOf is what a space's width is a multiple of where it is about n.
func (w *planner) unitOf(sp *space.Space, n float64) int {
	switch {
	case !w.unit[sp]:
		return 1
	case n >= wideChannels:
		return 8
	}
	return 4
}

// writers counts the nodes that make a space's features with weights.
type writers struct{ all, convolutions int }

func (p *Prepared) writers(t *merge.Trunk) map[*space.Space]writers {
	out := map[*space.Space]writers{}
	for _, n := range t.Nodes0(p.Sources) {
		_, dense := space.ContractionOf(p.Sources.Models[0].Index, n, 2)
		for _, v := range n.GetInput() {
			roles := t.Analysis.Roles(0, v)
			at := slices.Index(roles, space.Out)
			if len(roles) < 2 || at < 0 || !dense && !slices.Contains(roles, space.In) {
				continue // a bias, a gain, a filter for each feature
			}
			counted := map[*space.Space]bool{}
			for _, seg := range t.Analysis.Layouts(0, v)[at] {
				if seg.Space != nil && !counted[seg.Space] {
					counted[seg.Space] = true
					w := out[seg.Space]
					w.all++
					if n.GetOpType() == "Conv" || n.GetOpType() == "ConvTranspose" {
						w.convolutions++
					}
					out[seg.Space] = w
				}
			}
		}
	}
	return out
}

// budgetSteps bounds the search for the factor: each step halves its interval.
const budgetSteps = 12

// plan is nil where even the narrowest model does not fit.
func (w *planner) plan() (best map[*space.Space]int, err error) {
	low, high := 0.0, float64(len(w.p.Sources.Models))
	for step := range budgetSteps {
		factor := (low + high) / 2
		if step == 0 {
			factor = high
		}
		widths := w.scaled(factor)
		ok, err := w.fits(widths)
		if err != nil {
			return nil, err
		}
		if ok {
			best, low = widths, factor
			if step == 0 {
				return best, nil
			}
		} else {
			high = factor
		}
	}
	if best == nil {
		return nil, nil
	}
	return best, w.spendRest(best)
}

// scaled multiplies the widths of spaces that may be zipped.
func (w *planner) scaled(factor float64) map[*space.Space]int {
	out := w.p.ownWidths(w.t, w.o)
	for sp := range out {
		if anyWidth(sp) {
			n := factor * w.own(sp)
			unit := float64(w.unitOf(sp, n))
			out[sp] = min(int(max(math.Round(n/unit), 1)*unit), w.most(sp))
		}
	}
	return out
}

// own is the width that a space is measured by.
func (w *planner) own(sp *space.Space) float64 {
	if lean, ok := w.lean[sp]; ok {
		return lean * float64(meanWidth(sp))
	}
	return float64(meanWidth(sp))
}

// most is the number of features that there are.
func (w *planner) most(sp *space.Space) int { return sp.First(len(w.p.Sources.Models)) }
