package transform

import (
	"maps"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// planner finds widths of spaces that fit a budget: one factor for all that may be zipped, the largest that fits,
// and then what rounding leaves. FLOPs of dense layers grow with the square of the width.
type planner struct {
	budget float64
	fits   func(widths map[*space.Space]int) (bool, error)
	start  map[*space.Space]int // the widths of all spaces before anything is planned
	spaces []*space.Space       // those whose widths are planned
	of     map[*space.Space]planned
	tied   map[*space.Space][]*space.Space // to a planned space: others that take its width
	models int
}

// planned is what is known of a space whose width is planned.
type planned struct {
	own  float64 // the width that the factor multiplies
	dim  int     // features in a model
	most int     // the number of features that there are
	unit bool    // widths are those that suit convolutions
	head int     // features in a head, where whole heads are kept; else 0
}

// newPlanner plans for a budget, FLOPs relative to one source, where widths need the FLOPs that flopsAt counts. Errors are
// flopsLimit's.
func (p *Prepared) newPlanner(budget float64, flopsAt func(map[*space.Space]int) (float64, error)) (*planner, error) {
	limit, err := p.flopsLimit(budget)
	fits := func(widths map[*space.Space]int) (bool, error) {
		flops, err := flopsAt(widths)
		return flops <= limit, err
	}
	return &planner{
		budget: budget, fits: fits, models: len(p.Sources.Models),
		start: map[*space.Space]int{}, of: map[*space.Space]planned{}, tied: map[*space.Space][]*space.Space{},
	}, err
}

// add plans those spaces of a trunk that are free.
func (w *planner) add(p *Prepared, t *merge.Trunk, o Settings, free func(*space.Space) bool) {
	maps.Copy(w.start, p.ownWidths(t, o))
	writers := p.writers(t)
	heads := map[int]*space.Space{} // the first space of each group, which plans for all
	for _, sp := range t.Analysis.Spaces {
		if !free(sp) {
			continue
		}
		if first := heads[sp.Group]; sp.AnyHeads && first != nil {
			w.tied[first] = append(w.tied[first], sp)
			continue
		}
		one := planned{own: float64(meanWidth(sp)), dim: meanWidth(sp), most: sp.First(len(p.Sources.Models))}
		one.unit = writers[sp].convolutions > 0 && meanWidth(sp) >= leastChannels
		if sp.AnyHeads {
			heads[sp.Group], one.head, one.unit = sp, sp.Dim/sp.Heads, false
			one.own *= headLean
		} else if writers[sp].all > 1 && !(sp.Linear && sp.Mode == space.Zip) {
			one.own *= streamLean
		}
		w.spaces, w.of[sp] = append(w.spaces, sp), one
	}
}

// streamLean is how much wider, for its own width, a space becomes that several nodes write: a residual stream. Each block
// reads it and adds to it, so what it cannot hold is lost to all that follow, while what a block makes inside is lost to
// that block; a block costs the product of both widths (docs/matching.md). A stream that no norm bounds and that keeps combinations of
// features holds more in the same width, and needs no more than the rest.
const streamLean = 1.6

// headLean is the same for attention heads: one that is left out is lost as a whole, and so is what it looked at (docs/matching.md).
const headLean = 2.5

// Engines lay the channels of convolutions out in blocks, and leave those that do not fill them to slower code, which can cost
// more than the FLOPs save (docs/matching.md). So widths become multiples of four, from wideChannels on of eight. Spaces of fewer
// than leastChannels have few widths to choose from as it is.
const leastChannels, wideChannels = 16, 64

// tie gives the spaces of another model the widths of the first model's that are planned.
func (w *planner) tie(first, others []*space.Space) {
	for k, sp := range first {
		leader := w.leader(sp)
		w.tied[leader] = append(w.tied[leader], others[k])
	}
}

// leader is the space that plans for this one: itself, or another of its heads.
func (w *planner) leader(sp *space.Space) *space.Space {
	for leader, follow := range w.tied {
		if slices.Contains(follow, sp) {
			return leader
		}
	}
	return sp
}

// set gives a space a width, and those that are tied to it the same share of theirs.
func (w *planner) set(widths map[*space.Space]int, sp *space.Space, width int) {
	widths[sp] = width
	for _, other := range w.tied[sp] {
		widths[other] = width * other.Dim / sp.Dim
	}
}

// unitOf is what a space's width is a multiple of where it is about n.
func (w *planner) unitOf(sp *space.Space, n float64) int {
	switch {
	case w.of[sp].head > 0:
		return w.of[sp].head
	case !w.of[sp].unit:
		return 1
	case n >= wideChannels:
		return 8
	}
	return 4
}

// anyUnit lets all widths be any number.
func (w *planner) anyUnit() {
	for sp, one := range w.of {
		one.unit = false
		w.of[sp] = one
	}
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

// plan finds the widths. It is an error of kind fault.Unsupported where even the narrowest model does not fit.
func (w *planner) plan() (map[*space.Space]int, error) {
	widths, err := w.common()
	if widths == nil && err == nil {
		w.anyUnit()
		widths, err = w.common()
	}
	if widths == nil && err == nil {
		return nil, fault.New(fault.Unsupported, "budget_too_small", "no width of the zippable spaces brings the model to %gx", w.budget).
			WithHint("`onnx-zip inspect` shows which spaces cannot change their width")
	}
	return widths, err
}

// common finds the factor, and spends the rest; nil where even the narrowest model does not fit.
func (w *planner) common() (best map[*space.Space]int, err error) {
	low, high := 0.0, float64(w.models)
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
	out := maps.Clone(w.start)
	for _, sp := range w.spaces {
		n := factor * w.of[sp].own
		unit := float64(w.unitOf(sp, n))
		w.set(out, sp, min(int(max(math.Round(n/unit), 1)*unit), w.of[sp].most))
	}
	return out
}
