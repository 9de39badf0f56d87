package transform

import (
	"maps"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
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
	taps := tapper{a.p.Sources, a.t, a.side}
	for _, sp := range a.t.Analysis.Spaces {
		if _, measured := taps.find(sp); measured && anyWidth(sp) && !sp.Constant && !shared[sp] {
			a.free = append(a.free, sp)
		}
	}
	return a, a.keepFixed()
}

// keepFixed leaves out spaces that the graph does not let change: some node counts on their width.
func (a *alone) keepFixed() error {
	halved := func(spaces ...*space.Space) error {
		widths := map[*space.Space]int{}
		for _, sp := range spaces {
			widths[sp] = (sp.Dim + 1) / 2
		}
		_, err := merge.Build(a.p.Sources, a.t, a.any(widths), merge.Options{Rename: a.p.ownNames(nil), Ones: true})
		return err
	}
	err := halved(a.free...)
	if err == nil || fault.As(err).Kind != fault.Unsupported {
		return err
	}
	a.free = slices.DeleteFunc(a.free, func(sp *space.Space) bool { return halved(sp) != nil })
	return halved(a.free...)
}

// any are assignments of those widths, whichever features are kept: enough to count with.
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

// choose keeps the features of free spaces that explain all others best where they are read, as many as planned.
func (a *alone) choose(stats *Statistics, o Settings, widths map[*space.Space]int) (merge.Assignments, error) {
	as := merge.Assignments{}
	if o.Match != "halves" { // of a trunk; heads are chosen well in any case
		o.Match = "subset"
	}
	readers := a.p.findReaders(a.t, stats)
	for _, sp := range a.t.Analysis.Spaces {
		if width := widths[sp]; slices.Contains(a.free, sp) && width < sp.Dim {
			one, err := a.p.assignSpace(sp, a.t, stats, o, width, readers)
			if err != nil {
				e := fault.As(err)
				return nil, fault.Wrap(e.Kind, "match_failed", err, "space %q", sp.Name).WithHint("%s", e.Hint)
			}
			as[sp] = one
			continue
		}
		z, err := match.Identity([]int{sp.Dim})
		if err != nil {
			return nil, err
		}
		as[sp] = merge.Average(z)
	}
	return as, nil
}

// build makes the narrowed model, its values under their own names.
func (a *alone) build(as merge.Assignments, ones bool) (*merge.Merged, error) {
	m, err := merge.Build(a.p.Sources, a.t, as, merge.Options{Rename: a.p.ownNames(nil), Ones: ones})
	if err != nil {
		return nil, err
	}
	n := namesBack{src: a.p.Sources.Models[0], g: m.Model.Graph(), taken: map[string]bool{}, to: map[string]string{}}
	n.findTaken()
	a.again = n.values(m)
	n.parameters()
	n.nodes()
	return m, nil
}

// apply makes the models with the features that were chosen, paired anew, and their trunk, whose spaces keep their
// planned widths.
func (n *narrowing) apply(o Options, widths map[*space.Space]int) (*Prepared, *merge.Trunk, map[*space.Space]int, error) {
	p := *n.from
	p.narrowed = n
	var sources []*merge.Source
	for _, a := range n.alone {
		m, err := a.build(a.as, false)
		if err != nil {
			return nil, nil, nil, err
		}
		m.Model.File = a.p.Sources.Models[0].Model.File
		src, err := newSource(m.Model, a.p.Sources.Models[0].Head)
		if err != nil {
			return nil, nil, nil, err
		}
		sources = append(sources, src)
	}
	var err error
	if p.Sources, err = n.from.Sources.Narrowed(sources, p.pairing); err != nil {
		return nil, nil, nil, err
	}
	p.Sources, p.joined = p.Sources.Base(), nil
	t, err := p.cut(o)
	if err != nil {
		return nil, nil, nil, err
	}
	out := map[*space.Space]int{}
	for k, sp := range t.Analysis.Spaces {
		if k >= len(n.trunk.Analysis.Spaces) || n.trunk.Analysis.Spaces[k].Name != sp.Name {
			return nil, nil, nil, fault.New(fault.Internal, "narrowed_trunk", "the trunk of the narrowed models has other spaces").AtValue(sp.Name)
		}
		if w, ok := widths[n.trunk.Analysis.Spaces[k]]; ok {
			out[sp] = w
		}
	}
	if len(t.Groups) != len(n.trunk.Groups) || len(t.Analysis.Spaces) != len(n.trunk.Analysis.Spaces) {
		return nil, nil, nil, fault.New(fault.Internal, "narrowed_trunk", "the narrowed models share %d nodes, not %d", len(t.Groups), len(n.trunk.Groups))
	}
	return &p, t, out, nil
}

// member says which channel of a head's value each channel of its model's own value is, and with which weight; the head's has so
// many. ok is false where that cannot be told. A nil narrowing has narrowed nothing.
func (n *narrowing) member(model int, value string, axis, size int) (to []int, coef []float64, ok bool) {
	if n == nil {
		return itself(size)
	}
	a := n.alone[model]
	if a.again[value] != "" {
		return itself(size)
	}
	if layouts := a.t.Analysis.Layouts(0, value); axis < len(layouts) && !layouts[axis].Aligned() {
		if !onlyFeatures(layouts, axis) {
			return nil, nil, false
		}
		to, coef, _ = a.as.Map(layouts[axis], 0, 1)
		return to, coef, true
	}
	return itself(size)
}

// itself lets every channel be itself.
func itself(size int) (to []int, coef []float64, ok bool) {
	for c := range size {
		to, coef = append(to, c), append(coef, 1)
	}
	return to, coef, true
}

// own is the name that a value of a narrowed model has in the model itself.
func (n *narrowing) own(model int, value string) string {
	if n != nil && n.alone[model].again[value] != "" {
		return n.alone[model].again[value]
	}
	return value
}

// report has the widths of the spaces that may be narrowed, by model; nil of nil.
func (n *narrowing) report() []NarrowReport {
	if n == nil {
		return nil
	}
	var out []NarrowReport
	for _, a := range n.alone {
		r := NarrowReport{Head: a.p.Sources.Models[0].Head, Spaces: []NarrowedSpace{}}
		for _, sp := range a.free {
			r.Spaces = append(r.Spaces, NarrowedSpace{Name: sp.Name, Dim: sp.Dim, Width: a.as[sp].Width})
		}
		out = append(out, r)
	}
	return out
}

// NarrowReport is what a budget left of a model behind the trunk.
type NarrowReport struct {
	Head   string          `json:"head"` // the model's
	Spaces []NarrowedSpace `json:"spaces"`
}

// Features counts, over all spaces, the features that are kept, and those that there were.
func (r NarrowReport) Features() (kept, of int) {
	for _, sp := range r.Spaces {
		kept, of = kept+sp.Width, of+sp.Dim
	}
	return kept, of
}

// NarrowedSpace is a space of one model: of its features so many are kept.
type NarrowedSpace struct {
	Name  string `json:"name"`
	Dim   int    `json:"dim"`
	Width int    `json:"width"`
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

// keepWidths are the planned widths of one trunk's spaces.
func keepWidths(t *merge.Trunk, widths map[*space.Space]int) map[*space.Space]int {
	out := maps.Clone(widths)
	maps.DeleteFunc(out, func(sp *space.Space, _ int) bool { return !slices.Contains(t.Analysis.Spaces, sp) })
	return out
}
