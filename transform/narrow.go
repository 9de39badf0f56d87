package transform

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// narrowing is what a budget does to models behind the end of the trunk: there, each keeps some of its own features, which
// read nothing of the other models. These are the blocks of a block-diagonal merge of everything behind the cut, each of them dense.
type narrowing struct {
	from  *Prepared    // the models as they are
	trunk *merge.Trunk // theirs
	alone []*alone
}

// alone is one of the models by itself.
type alone struct {
	p *Prepared
	t *merge.Trunk
	// side are all models side by side, as far as values of this one are concerned.
	side *merge.Merged
	free []*space.Space    // that lie behind the cut and may have any width
	as   merge.Assignments // once features are chosen
	// flops are those of the model as it is, by the first value that each node makes, once they were needed.
	flops map[string]float64
	// again has values that the narrowed model computes a second time, to hand them out as they are: they have other names then
	// than in the model itself, which are given here.
	again map[string]string
}

// narrow finds what can be narrowed behind the end of a trunk. Errors: fault.Unsupported where models keep what they do to
// their inputs.
func (p *Prepared) narrow(t *merge.Trunk) (*narrowing, error) {
	if p.Sources.Prefixes != nil {
		return nil, fault.New(fault.Unsupported, "narrow_prefixes", "heads cannot be narrowed where models keep what they do to their inputs").
			WithHint("end the trunk before these prefixes with --until, or take --narrow trunk")
	}
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	n := &narrowing{from: p, trunk: t}
	for i := range p.Sources.Models {
		a, err := p.alone(t, side, i)
		if err != nil {
			return nil, err
		}
		n.alone = append(n.alone, a)
	}
	return n, nil
}

// alone analyses model i by itself.
func (p *Prepared) alone(t *merge.Trunk, side *merge.Merged, i int) (a *alone, err error) {
	src := p.Sources.Models[i]
	a = &alone{p: &Prepared{Originals: p.Originals[i : i+1], Files: p.Files[i : i+1], Precision: p.Precision}}
	a.side = &merge.Merged{Model: side.Model, Values: side.Values[i : i+1], Outputs: side.Outputs[i : i+1]}
	if a.p.Sources, err = merge.NewSources([]*merge.Source{src}, pair.Options{Files: []string{src.Model.File}}); err != nil {
		return nil, err
	}
	if a.t, err = merge.FindTrunk(a.p.Sources, merge.Cut{Distinct: true}); err != nil {
		return nil, err
	}
	a.p.markMixed(a.t, Settings{Match: "subset"})
	shared := map[*space.Space]bool{} // the trunk makes their features, or a recurrence has them
	for _, n := range src.Index.Order {
		touched := n.GetOutput()
		if n.GetOpType() == "LSTM" || n.GetOpType() == "GRU" || n.GetOpType() == "RNN" {
			touched = slices.Concat(n.GetInput(), n.GetOutput()) // their adapters fit them to all that they read
		} else if !t.Has(p.Sources, n) {
			continue
		}
		for _, v := range touched {
			for _, layout := range a.t.Analysis.Layouts(0, v) {
				for _, seg := range layout {
					shared[seg.Space] = true
				}
			}
		}
	}
	taps := a.tapper()
	bound := map[int]bool{} // groups of heads that have a space which keeps its width
	for _, sp := range a.t.Analysis.Spaces {
		if _, measured := taps.find(sp); measured && anyWidth(sp) && !sp.Constant && !shared[sp] {
			a.free = append(a.free, sp)
		} else if sp.Heads > 0 {
			bound[sp.Group] = true
		}
	}
	a.free = slices.DeleteFunc(a.free, func(sp *space.Space) bool { return sp.AnyHeads && bound[sp.Group] })
	return a, a.keepFixed()
}

// tapper finds where its spaces are measured.
func (a *alone) tapper() tapper { return tapper{a.p.Sources, a.t, a.side} }

// taps are those of all models by themselves; none of nil.
func (n *narrowing) taps() (all []calibrate.Tap) {
	if n == nil {
		return nil
	}
	for _, a := range n.alone {
		all = append(all, a.tapper().taps(false, true)...)
	}
	return all
}

// keepFixed leaves out spaces that the graph does not let change: some node counts on their width.
func (a *alone) keepFixed() (err error) {
	a.free, err = a.p.changeable(a.t, a.free)
	return err
}

// changeable are those of a trunk's spaces that may have other widths, as far as the graph goes. Spaces of one group of heads change
// together.
func (p *Prepared) changeable(t *merge.Trunk, spaces []*space.Space) ([]*space.Space, error) {
	fits := func(spaces ...*space.Space) error {
		widths := p.ownWidths(t, Settings{})
		for _, sp := range spaces {
			widths[sp] = halved(sp)
		}
		_, err := merge.Build(p.Sources, t, p.anyone(widths), merge.Options{Rename: p.ownNames(nil), Ones: true})
		return err
	}
	err := fits(spaces...)
	if err == nil || fault.As(err).Kind != fault.Unsupported {
		return spaces, err
	}
	var kept []*space.Space
	for _, sp := range spaces {
		together := slices.DeleteFunc(slices.Clone(spaces), func(other *space.Space) bool {
			return other != sp && !(sp.AnyHeads && other.AnyHeads && other.Group == sp.Group)
		})
		if fits(together...) == nil {
			kept = append(kept, sp)
		}
	}
	return kept, fits(kept...)
}

// halved is about half of a space's width, in whole heads.
func halved(sp *space.Space) int {
	if sp.AnyHeads {
		return sp.Dim / sp.Heads * ((sp.Heads + 1) / 2)
	}
	return (sp.Dim + 1) / 2
}

// any are assignments of those widths, whichever features are kept: enough to count with. Spaces that keep their width keep their features.
func (a *alone) any(widths map[*space.Space]int) merge.Assignments {
	own := map[*space.Space]int{}
	for _, sp := range a.t.Analysis.Spaces {
		own[sp] = sp.Dim
		if w, ok := widths[sp]; ok {
			own[sp] = w
		}
	}
	return a.p.anyone(own)
}

// choose keeps the features of free spaces that explain all others best where they are read, as many as planned; random ones
// with match halves.
func (a *alone) choose(ctx context.Context, stats *Statistics, o Settings, widths map[*space.Space]int) (merge.Assignments, error) {
	as := a.any(nil) // as they are
	if o.Match != "halves" {
		o.Match = "subset"
	}
	readers := a.p.findReaders(a.t, stats)
	for _, sp := range a.free {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if widths[sp] == sp.Dim {
			continue
		}
		var err error
		if as[sp], err = a.p.assignSpace(sp, a.t, stats, o, widths[sp], readers); err != nil {
			return nil, errMatch(sp, err)
		}
	}
	changed := slices.DeleteFunc(slices.Clone(a.free), func(sp *space.Space) bool { return widths[sp] == sp.Dim })
	return as, a.p.assignHeads(as, a.t, changed, stats, o, widths, readers)
}

// freeIn reports whether a model's space may be narrowed.
func (a *alone) freeIn(sp *space.Space) bool { return slices.Contains(a.free, sp) }

// whole is p with models that were not narrowed.
func (p *Prepared) whole() *Prepared {
	if p.narrowed != nil {
		return p.narrowed.from
	}
	return p
}

// wholeTrunk is the trunk t of p, of models that were not narrowed.
func (p *Prepared) wholeTrunk(t *merge.Trunk) *merge.Trunk {
	if p.narrowed != nil {
		return p.narrowed.trunk
	}
	return t
}
