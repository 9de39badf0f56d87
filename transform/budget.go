package transform

import (
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// planWidths finds widths at which the merged model needs at most o.Budget times the FLOPs of one source (the mean of the
// sources). Errors: fault.Usage where the budget is that of the ensemble or more, fault.Unsupported where even the narrowest
// model is dearer.
func (p *Prepared) planWidths(t *merge.Trunk, o Settings, rename map[string]string) (map[*space.Space]int, error) {
	w, err := p.newPlanner(o.Budget, func(widths map[*space.Space]int) (float64, error) { return p.flopsAt(t, widths, rename) })
	if err != nil {
		return nil, err
	}
	w.add(p, t, o, anyWidth)
	return w.plan()
}

// flopsLimit is what a merged model may need.
func (p *Prepared) flopsLimit(budget float64) (float64, error) {
	var total float64
	for _, m := range p.Sources.Base().Models {
		c, err := cost.AtBatch(m.Model, 1)
		if err != nil {
			return 0, err
		}
		total += float64(c.FLOPs)
	}
	n := float64(len(p.Sources.Models))
	limit := budget * total / n
	if n > 1 && limit >= total {
		return 0, fault.New(fault.Usage, "budget_too_large", "a budget of %gx is that of the ensemble of %.0f models", budget, n).
			WithHint("use --method ensemble without a budget: it loses nothing")
	}
	return limit, nil
}

// ownWidths are those of a merge without a budget: of each space as many features as the models have.
func (p *Prepared) ownWidths(t *merge.Trunk, o Settings) map[*space.Space]int {
	out := map[*space.Space]int{}
	for _, sp := range t.Analysis.Spaces {
		out[sp] = meanWidth(sp)
		if keptApart(sp, t, o) {
			out[sp] = sp.First(len(p.Sources.Models))
		}
	}
	return out
}

// keptApart reports whether a merge keeps the features that each model has in a space beside those of the others. What
// averages weights as they are, and what keeps one model's trunk, does not.
func keptApart(sp *space.Space, t *merge.Trunk, o Settings) bool {
	return sp.Apart != "" && !t.Identical[sp] && o.Match != "identity" && o.Represent != "base"
}

// anyWidth reports whether a merge may give the space another width.
func anyWidth(sp *space.Space) bool {
	return (sp.Mode == space.Zip || sp.Linear || sp.AnyHeads) && sp.Fixed == "" && sp.Apart == ""
}

// flopsAt counts the FLOPs of a merged model of those widths.
func (p *Prepared) flopsAt(t *merge.Trunk, widths map[*space.Space]int, rename map[string]string) (float64, error) {
	m, err := merge.Build(p.Sources, t, p.anyone(widths), merge.Options{Rename: rename, Ones: true})
	if err != nil {
		return 0, err
	}
	c, err := cost.AtBatch(m.Model, 1)
	return float64(c.FLOPs), err
}

// anyone are assignments of those widths, whoever joins whom.
func (p *Prepared) anyone(widths map[*space.Space]int) merge.Assignments {
	as := merge.Assignments{}
	for sp, w := range widths {
		z := byNumber(p.widths(sp), w)
		if sp.Heads > 0 && w != sp.Dim {
			z = wholeHeads(sp, len(z.Of), w)
		} else if sp.Even() && w == sp.Dim {
			for k := range z.Of {
				z.Of[k] = k % w
			}
		}
		as[sp] = merge.Average(z)
		if sp.Linear && (len(p.Sources.Models) > 1 || w != sp.Dim) { // combinations, which need adapters where heads read them
			as[sp] = merge.Assignment{Zip: z, Coef: make([]float64, len(z.Of)), Mix: anyMix(len(z.Of), w)}
		}
	}
	return as
}

// wholeHeads joins heads that are next to each other, whatever they are.
func wholeHeads(sp *space.Space, features, width int) match.Zip {
	inside := sp.Dim / sp.Heads
	z := match.Zip{Width: width}
	for k := range features {
		z.Of = append(z.Of, k/inside*(width/inside)/(features/inside)*inside+k%inside)
	}
	return z
}

// ownNames lets a single model that is shrunk keep the names of its outputs.
func (p *Prepared) ownNames(rename map[string]string) map[string]string {
	if len(p.Sources.Models) > 1 {
		return p.mergedNames(rename)
	}
	out := map[string]string{}
	src := p.Sources.Models[0]
	for _, v := range src.Index.Graph.GetOutput() {
		out[src.Head+":"+v.GetName()] = v.GetName()
	}
	for k, v := range rename {
		out[k] = v
	}
	return out
}

// ParseBudget reads "0.5x" or "1.25x": FLOPs relative to one source.
func ParseBudget(s string) (float64, error) {
	var b float64
	var rest string
	if n, _ := fmt.Sscanf(s, "%g%s", &b, &rest); n != 2 || rest != "x" || !(b > 0) || math.IsInf(b, 0) {
		return 0, fault.New(fault.Usage, "bad_budget", "--budget %s is no share of one model's FLOPs", s).
			WithHint("give it like 0.5x or 1.25x")
	}
	return b, nil
}
