package transform

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// What a recurrence does with its inputs is linear, W·x_t, before it mixes in its state. So least squares can correct W: a
// node in front of the recurrence makes the source's inputs of the merged ones, x = A·x̃ + c, is fitted like every other,
// and then becomes a part of the weights, W·A and b + W·c.

// adapter is such a node.
type adapter struct {
	merge.Recurrence
	node         *onnx.Node
	input        string // what the recurrence reads in the merged graph
	made, out    string // A·x̃, and with c
	weight, bias string
}

// adapters are those in a merged model, by what they make.
type adapters struct {
	p   *Prepared
	m   *merge.Merged
	all map[string]*adapter
}

// adapt puts adapters that change nothing before the recurrences of a merged model: those that read what the trunk merges,
// and those of the heads. Those of the model whose trunk is kept have nothing to correct.
func (p *Prepared) adapt(t *merge.Trunk, as merge.Assignments, m *merge.Merged, kept int) (*adapters, error) {
	a := &adapters{p: p, m: m, all: map[string]*adapter{}}
	ix, err := onnx.NewIndex(m.Model.Graph())
	if err != nil {
		return nil, err
	}
	for _, r := range append(slices.Clone(m.Recurrences), p.headRecurrences(t, as, m, ix)...) {
		n := ix.Producer(r.Output)
		if r.Model == kept || n == nil || ix.Initializer(n.GetInput()[1]) == nil {
			continue
		}
		if err := a.insert(r, n); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// headRecurrences are those that the heads compute.
func (p *Prepared) headRecurrences(t *merge.Trunk, as merge.Assignments, m *merge.Merged, ix *onnx.Index) (out []merge.Recurrence) {
	for i, src := range p.Sources.Models {
		for _, own := range src.Index.Order {
			if !space.IsRecurrent(own) || p.inTrunk(t, own) {
				continue
			}
			r := merge.Recurrence{Model: i, Output: m.Values[i][merge.OutputOf(own)], Own: own}
			n := ix.Producer(r.Output)
			if n == nil {
				continue
			}
			if w := ix.Initializer(n.GetInput()[1]); w != nil && len(w.GetDims()) == 3 {
				r.Width = int(w.GetDims()[2])
				if r.To = p.takenFrom(t, as, r); r.To != nil {
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// takenFrom says where a head's recurrence finds the inputs that it has in its model: at the features of the trunk, whose
// order is folded into its weights, or in its own order. nil where it cannot be told.
func (p *Prepared) takenFrom(t *merge.Trunk, as merge.Assignments, r merge.Recurrence) []int {
	src, value := p.Sources.Models[r.Model], r.Own.GetInput()[0]
	w := src.Index.Initializer(r.Own.GetInput()[1])
	if w == nil || len(w.GetDims()) != 3 {
		return nil
	}
	if n := src.Index.Producer(value); n != nil && p.inTrunk(t, n) {
		if layouts := t.Analysis.Layouts(r.Model, value); len(layouts) == 3 && !layouts[2].Aligned() {
			if to, _, width := as.Map(layouts[2], r.Model, len(p.Sources.Models)); width == r.Width && len(to) == int(w.GetDims()[2]) {
				return to
			}
		}
	}
	if int(w.GetDims()[2]) != r.Width {
		return nil
	}
	return identity(r.Width)
}

// inTrunk is Trunk.Has; where a head is fitted to a file's trunk, the sources are not paired, and all is the head's.
func (p *Prepared) inTrunk(t *merge.Trunk, n *onnx.Node) bool {
	return p.Sources.Pairing != nil && t.Has(p.Sources, n)
}

// insert puts an adapter before a recurrence, which gets the weights that its source has.
func (a *adapters) insert(r merge.Recurrence, node *onnx.Node) error {
	g := a.m.Model.Graph()
	w, err := onnx.TensorOf(a.p.Sources.Models[r.Model].Index.Initializer(r.Own.GetInput()[1]))
	if err != nil {
		return err
	}
	base := node.GetInput()[1] + "/adapted"
	d := &adapter{Recurrence: r, node: node, input: node.GetInput()[0], made: base, out: base + "/sum", weight: base + "/A", bias: base + "/c"}
	n := len(r.To)
	v := make([]float64, r.Width*n)
	for k, to := range r.To {
		v[to*n+k] = 1
	}
	g.Initializer = append(g.Initializer, onnx.FromFloat64(w.DType, v, int64(r.Width), int64(n)).Proto(d.weight),
		onnx.NewTensor(w.DType, int64(n)).Proto(d.bias))
	at := slices.Index(g.Node, node)
	g.Node = slices.Insert(g.Node, at,
		onnx.NewNode("MatMul", d.made, []string{d.input, d.weight}, []string{d.made}),
		onnx.NewNode("Add", d.out, []string{d.made, d.bias}, []string{d.out}))
	node.Input[0] = d.out
	setInitializer(g, node.GetInput()[1], w)
	a.all[d.made] = d
	return nil
}

// describe is a fit of the adapter that makes a value.
func (a *adapters) describe(made string, side *merge.Merged) (l refit.Linear, ok bool) {
	d := a.all[made]
	if d == nil {
		return l, false
	}
	l = refit.Linear{Name: onnx.NodeName(d.node), Node: d.made, Input: d.input, Weight: d.weight, Bias: d.bias, At: d.out, Axis: 2}
	if !slices.ContainsFunc(a.m.Recurrences, func(r merge.Recurrence) bool { return r.Output == d.Output }) {
		l.Head = a.p.Sources.Models[d.Model].Head
	}
	m := refit.Member{Value: side.Values[d.Model][d.Own.GetInput()[0]]}
	for k := range d.To {
		m.To, m.Coef = append(m.To, k), append(m.Coef, 1)
	}
	l.Target = []refit.Member{m}
	return l, m.Value != ""
}

// fold makes the adapters a part of the recurrences' weights. Fits of theirs then are said to be at what the recurrences
// read.
func (a *adapters) fold(fits []refit.Fit) error {
	g := a.m.Model.Graph()
	for k, f := range fits {
		for _, d := range a.all {
			if f.At == d.out {
				fits[k].At = d.input
			}
		}
	}
	for _, d := range a.all {
		if err := d.fold(g); err != nil {
			return err
		}
	}
	g.Node = slices.DeleteFunc(g.Node, func(n *onnx.Node) bool {
		out := n.GetOutput()[0]
		return a.all[out] != nil || len(n.GetInput()) > 0 && a.all[n.GetInput()[0]] != nil
	})
	g.Initializer = slices.DeleteFunc(g.Initializer, func(t *onnx.TensorProto) bool {
		for _, d := range a.all {
			if t.GetName() == d.weight || t.GetName() == d.bias {
				return true
			}
		}
		return false
	})
	return nil
}

func (d *adapter) fold(g *onnx.Graph) error {
	w, wv, err := floatsOf(g, d.node.GetInput()[1])
	if err != nil {
		return err
	}
	_, a, err := floatsOf(g, d.weight)
	if err != nil {
		return err
	}
	_, c, err := floatsOf(g, d.bias)
	if err != nil {
		return err
	}
	rows, n := int(w.Dims[0]*w.Dims[1]), len(d.To)
	merged, shift := make([]float64, rows*d.Width), make([]float64, rows)
	for r := range rows {
		for k, x := range wv[r*n : (r+1)*n] {
			shift[r] += x * c[k]
			for m := range d.Width {
				merged[r*d.Width+m] += x * a[m*n+k]
			}
		}
	}
	setInitializer(g, d.node.GetInput()[1], onnx.FromFloat64(w.DType, merged, w.Dims[0], w.Dims[1], int64(d.Width)))
	d.node.Input[0] = d.input
	return d.shift(g, w, shift)
}

// shift adds to the input half of a recurrence's bias B [directions, 2·gates·H], which it gets where it has none.
func (d *adapter) shift(g *onnx.Graph, w *onnx.Tensor, by []float64) error {
	dirs, half := int(w.Dims[0]), int(w.Dims[1])
	for len(d.node.Input) < 4 {
		d.node.Input = append(d.node.Input, "")
	}
	if d.node.Input[3] == "" {
		d.node.Input[3] = d.node.Input[1] + "/bias"
		g.Initializer = append(g.Initializer, onnx.NewTensor(w.DType, w.Dims[0], 2*w.Dims[1]).Proto(d.node.Input[3]))
	}
	name := d.node.Input[3]
	_, b, err := floatsOf(g, name)
	if err != nil {
		return err
	}
	for k, x := range by {
		b[k/half*2*half+k%half] += x
	}
	setInitializer(g, name, onnx.FromFloat64(w.DType, b, int64(dirs), int64(2*half)))
	return nil
}

func floatsOf(g *onnx.Graph, name string) (*onnx.Tensor, []float64, error) {
	at := slices.IndexFunc(g.Initializer, func(t *onnx.TensorProto) bool { return t.GetName() == name })
	if at < 0 {
		return nil, nil, fault.New(fault.Internal, "no_weight", "no initializer %q", name)
	}
	t, err := onnx.TensorOf(g.Initializer[at])
	if err != nil {
		return nil, nil, err
	}
	v, err := t.Float64s()
	return t, v, err
}

// setInitializer replaces a graph's initializer: its bytes may be others' too.
func setInitializer(g *onnx.Graph, name string, t *onnx.Tensor) {
	for k, old := range g.Initializer {
		if old.GetName() == name {
			g.Initializer[k] = t.Proto(name)
		}
	}
}
