package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/pair"
)

// Input is one model as the analysis needs it.
type Input struct {
	Index  *onnx.Index
	Shapes shape.Shapes
	Opset  int64
}

// Options narrow the analysis.
type Options struct {
	// Keep limits the analysis to some nodes (a trunk): values that others read are then free to be
	// reordered, since their readers are handed the features in their own order. nil keeps all.
	Keep func(model int, n *onnx.Node) bool
}

// Analyze finds the spaces of one model, or the common spaces of several whose nodes correspond by p
// (nil for one model). It does not fail on unknown operators: they pin.
func Analyze(inputs []Input, p *pair.Pairing, o Options) *Analysis {
	a := &analyzer{inputs: inputs, pairing: p, opts: o}
	for range inputs {
		a.vals = append(a.vals, map[string][]axis{})
		a.roles = append(a.roles, map[string][]Role{})
		a.common = append(a.common, map[string]bool{})
	}
	for i := range inputs {
		a.model(i)
	}
	for i := 1; i < len(inputs) && p != nil; i++ {
		a.tieModel(i)
	}
	return a.result()
}

// analyzer is the state of one analysis.
type analyzer struct {
	inputs  []Input
	pairing *pair.Pairing
	opts    Options
	vals    []map[string][]axis // model → value or parameter → axes
	roles   []map[string][]Role // model → parameter → roles
	common  []map[string]bool   // model → values that are the same in every model
	reads   []Read
	blocks  int
	groups  map[*headGroup]int
}

// model runs the rules over a model's nodes, in topological order.
func (a *analyzer) model(i int) {
	in := a.inputs[i]
	for _, v := range in.Index.Inputs() {
		// all axes of an input are aligned: the models share it
		a.vals[i][v.GetName()] = a.alignedAxes(i, v.GetName())
	}
	for _, n := range in.Index.Order {
		if a.opts.Keep != nil && !a.opts.Keep(i, n) {
			continue
		}
		c := &call{a: a, model: i, n: n}
		c.apply()
	}
	if a.opts.Keep != nil {
		return
	}
	for _, v := range in.Index.Graph.GetOutput() {
		if n := in.Index.Producer(v.GetName()); n != nil && in.Index.Aside(n) {
			continue // what the model reads on has an order of its own: the output is one of its readers
		}
		why := Reason{Model: i, Node: v.GetName(), Op: "output", Text: "is an output of the model"}
		for _, x := range a.vals[i][v.GetName()] {
			restrictAll(x, Pinned, why)
		}
	}
}

// tieModel unites what the nodes of a model read and make with its counterparts in model 0. By then all that cuts
// features is known in both.
func (a *analyzer) tieModel(i int) {
	for _, n := range a.inputs[i].Index.Order {
		if a.opts.Keep == nil || a.opts.Keep(i, n) {
			a.tieNode(&call{a: a, model: i, n: n})
		}
	}
}

func (a *analyzer) tieNode(c *call) {
	for _, out := range c.n.GetOutput() {
		if other, ok := a.pairing.Value(c.model, 0, out); ok {
			a.tieValues(c, out, other)
		}
	}
	for _, in := range c.n.GetInput() {
		if a.inputs[c.model].Index.Initializer(in) == nil {
			continue
		}
		if other, ok := a.pairing.Value(c.model, 0, in); ok {
			a.tieValues(c, in, other)
		}
	}
}

func (a *analyzer) tieValues(c *call, mine, other string) {
	x, y := a.vals[c.model][mine], a.vals[0][other]
	for k := range min(len(x), len(y)) {
		a.tieAxes(vary(x[k]), vary(y[k]), c.model, c.why("differs between the models"))
	}
}

// alignedAxes gives a value aligned axes of its inferred sizes.
func (a *analyzer) alignedAxes(model int, value string) []axis {
	dims := a.inputs[model].Shapes[value].Dims
	axes := make([]axis, len(dims))
	for k, d := range dims {
		axes[k] = aligned(int(d.Size))
	}
	return axes
}

// result turns blocks into spaces.
func (a *analyzer) result() *Analysis {
	out := &Analysis{layouts: make([]map[string][]Layout, len(a.inputs)), roles: a.roles, reads: a.reads}
	spaces := map[*block]*Space{}
	for i, in := range a.inputs {
		out.layouts[i] = map[string][]Layout{}
		for _, n := range in.Index.Order {
			for _, v := range append(append([]string(nil), n.GetOutput()...), n.GetInput()...) {
				axes, ok := a.vals[i][v]
				if !ok || v == "" || out.layouts[i][v] != nil {
					continue
				}
				out.layouts[i][v] = a.export(axes, i, v, spaces, out)
			}
		}
	}
	a.fixHeads(out.Spaces)
	out.markLinear(a.inputs, a.opts.Keep)
	out.markAnyHeads(a.inputs, a.opts.Keep)
	return out
}

func (a *analyzer) export(axes []axis, model int, value string, spaces map[*block]*Space, out *Analysis) []Layout {
	layouts := make([]Layout, len(axes))
	for k, x := range axes {
		for _, r := range resolve(x) {
			if r.b == nil {
				layouts[k] = append(layouts[k], Segment{Size: r.size, Inner: 1})
				continue
			}
			s := spaces[r.b]
			if s == nil {
				s = a.space(r.b, len(out.Spaces), value)
				spaces[r.b] = s
				out.Spaces = append(out.Spaces, s)
			}
			layouts[k] = append(layouts[k], segment(s, r, model))
		}
	}
	return layouts
}

// space is a block as others see it.
func (a *analyzer) space(b *block, id int, name string) *Space {
	dims := slices.Clone(b.sizes)
	for i := range dims {
		if dims[i] == 0 {
			dims[i] = b.size
		}
	}
	s := &Space{ID: id, Name: name, Dim: b.size, Dims: dims, Mode: b.mode, Why: b.why, Constant: b.constant, Fixed: b.fixed}
	a.exportHeads(s, b)
	if b.aligned != nil && s.Mode != Pinned {
		s.Mode, s.Aligned, s.Why = Pinned, true, []Reason{*b.aligned}
	}
	keepApart(s, b)
	pinUneven(s)
	return s
}

// keepApart notes that features of the models stand beside each other. Where as many are needed in the merged model as in
// each, they are pinned instead.
func keepApart(s *Space, b *block) {
	switch {
	case b.apart == nil || s.Mode == Pinned && !s.Aligned:
	case s.Mode == Zip && s.Heads == 0 && s.Fixed == "":
		s.Apart = b.apart.String()
	default:
		s.Mode, s.Aligned, s.Why = Pinned, false, append([]Reason{*b.apart}, s.Why...)
		if s.Fixed != "" {
			s.Why = append(s.Why, Reason{Text: s.Fixed})
		}
	}
}

// segment is a run of a model's block as others see it.
func segment(s *Space, r run, model int) Segment {
	seg := Segment{Space: s, Size: r.positionsIn(model), Inner: r.inner, Part: r.part}
	switch r.part {
	case HeadPart:
		seg.Inner *= r.b.unit()
	case RepeatedPart:
		seg.Stretch = r.b.sizes[model] / r.b.heads.count
	}
	return seg
}
