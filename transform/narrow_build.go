package transform

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

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
	sameName := func(a, b *space.Space) bool { return a.Name == b.Name }
	if len(t.Groups) != len(n.trunk.Groups) || !slices.EqualFunc(t.Analysis.Spaces, n.trunk.Analysis.Spaces, sameName) {
		return nil, nil, nil, fault.New(fault.Internal, "narrowed_trunk", "the trunk of the narrowed models has %d nodes, not %d, or other spaces", len(t.Groups), len(n.trunk.Groups))
	}
	out := map[*space.Space]int{}
	for k, sp := range t.Analysis.Spaces {
		out[sp] = widths[n.trunk.Analysis.Spaces[k]]
	}
	return &p, t, out, nil
}

// member says in m which channel of a head's value each channel of its model's own value is, and with which weight; the head's has so
// many. It is false where that cannot be told. A nil narrowing has narrowed nothing.
func (n *narrowing) member(m *refit.Member, model int, value string, axis, size int) bool {
	if n == nil || n.alone[model].again[value] != "" {
		m.To, m.Coef = itself(size)
		return true
	}
	a := n.alone[model]
	layouts := a.t.Analysis.Layouts(0, value)
	if axis >= len(layouts) || layouts[axis].Aligned() {
		m.To, m.Coef = itself(size)
		return true
	}
	if !onlyFeatures(layouts, axis) {
		return false
	}
	m.To, m.Coef, _ = a.as.Map(layouts[axis], 0, 1)
	m.Mix = a.as.MixOf(layouts[axis], 0)
	return true
}

// itself lets every channel be itself.
func itself(size int) (to []int, coef []float64) {
	for c := range size {
		to, coef = append(to, c), append(coef, 1)
	}
	return to, coef
}

// own is the name that a value of a narrowed model has in the model itself.
func (n *narrowing) own(model int, value string) string {
	if n != nil && n.alone[model].again[value] != "" {
		return n.alone[model].again[value]
	}
	return value
}
