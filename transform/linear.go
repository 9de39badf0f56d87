package transform

import (
	"bytes"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// linearFinder lists the nodes of a merged model that least squares refits, with what each is compared to.
type linearFinder struct {
	p      *Prepared
	t      *merge.Trunk
	as     merge.Assignments
	m      *merge.Merged
	side   *merge.Merged
	merged *onnx.Index
	// last is, for each value, the position of the latest linear node that leads to it.
	last map[string]int
	// source maps values of the merged graph to the model and value that they stand for; trunk values to
	// model 0's.
	source   map[string]sourceValue
	adapters *adapters
	// kept is the model whose trunk is left as it is: its nodes and its head have nothing to correct. -1: none.
	kept int
}

type sourceValue struct {
	model int
	name  string
	trunk bool
}

// linearNodes lists them in the merged graph's order. Recurrences get adapters on the way, which the caller folds after the
// refit.
func (p *Prepared) linearNodes(t *merge.Trunk, as merge.Assignments, m, side *merge.Merged) ([]refit.Linear, *adapters, error) {
	kept := keptTrunk(p, t, m)
	adapters, err := p.adapt(t, as, m, kept)
	if err != nil {
		return nil, nil, err
	}
	ix, err := onnx.NewIndex(m.Model.Graph())
	if err != nil {
		return nil, nil, err
	}
	f := &linearFinder{p: p, t: t, as: as, m: m, side: side, merged: ix, adapters: adapters, last: map[string]int{}, source: map[string]sourceValue{}, kept: kept}
	f.trace()
	var out []refit.Linear
	for _, n := range ix.Order {
		if l, ok := f.describe(n); ok {
			out = append(out, l)
		}
	}
	return out, adapters, nil
}

// keptTrunk is the model whose parameters the merged trunk holds bit for bit, -1 where it is none's.
func keptTrunk(p *Prepared, t *merge.Trunk, m *merge.Merged) int {
	merged := map[string]*onnx.TensorProto{}
	for _, w := range m.Model.Graph().GetInitializer() {
		merged[w.GetName()] = w
	}
	for i, src := range p.Sources.Models {
		if !slices.ContainsFunc(t.Groups, func(k int) bool {
			return !sameParameters(p.Sources.Pairing.Nodes[k][0], p.Sources.Pairing.Nodes[k][i], merged, src.Index)
		}) {
			return i
		}
	}
	return -1
}

// sameParameters compares the parameters that a merged trunk node reads, by the first model's names, with those of
// a source's node.
func sameParameters(first, node *onnx.Node, merged map[string]*onnx.TensorProto, ix *onnx.Index) bool {
	for slot, in := range first.GetInput() {
		if merged[in] == nil {
			continue
		}
		mine := ix.Initializer(node.GetInput()[slot])
		if mine == nil {
			return false // swapped inputs of a commutative operator: taken for different
		}
		a, errA := onnx.TensorOf(merged[in])
		b, errB := onnx.TensorOf(mine)
		if errA != nil || errB != nil || a.DType != b.DType || !bytes.Equal(a.Raw, b.Raw) {
			return false
		}
	}
	return true
}

// trace fills in last and source.
func (f *linearFinder) trace() {
	for _, n := range f.t.Nodes0(f.p.Sources) {
		for _, v := range n.GetOutput() {
			f.source[v] = sourceValue{0, v, true}
		}
	}
	for i, values := range f.m.Values {
		for name, merged := range values {
			f.source[merged] = sourceValue{i, name, false}
		}
	}
	for _, b := range f.m.Bases {
		f.source[b.Made], f.source[b.Out] = sourceValue{b.Model, b.Value, false}, sourceValue{b.Model, b.Value, false}
	}
	for _, n := range f.merged.Order {
		at := -1
		for _, v := range onnx.Reads(n) {
			if p, ok := f.last[v]; ok {
				at = max(at, p)
			}
		}
		if f.isLinear(n) {
			at = f.merged.Position(n)
		}
		for _, v := range n.GetOutput() {
			f.last[v] = at
		}
	}
}

// isLinear is true of nodes whose weights are constant and belong to the merge.
func (f *linearFinder) isLinear(n *onnx.Node) bool {
	switch n.GetOpType() {
	case "Conv", "Gemm", "MatMul":
		return len(n.GetInput()) > 1 && f.merged.Initializer(n.GetInput()[1]) != nil && f.merged.Initializer(n.GetInput()[0]) == nil
	}
	return false
}

// describe says what a linear node is compared with; ok is false for nodes that are exact already.
func (f *linearFinder) describe(n *onnx.Node) (l refit.Linear, ok bool) {
	z := n.GetOutput()[0]
	if l, ok := f.adapters.describe(z, f.side); ok {
		return l, true
	}
	src, known := f.source[z]
	exact := src.trunk || src.model == f.kept && f.p.narrowed == nil
	if !known || !f.isLinear(n) || f.kept >= 0 && exact {
		return l, false
	}
	if src.trunk {
		if k, in := f.p.Sources.Pairing.Of(f.p.Sources.Models[0].Index.Producer(z)); !in || f.t.IsIdentical(k) {
			return l, false
		}
	} else {
		l.Head = f.p.Sources.Models[src.model].Head
	}
	l.Name, l.Node, l.Input, l.Weight = onnx.NodeName(n), z, n.GetInput()[0], n.GetInput()[1]
	l.Axis = f.channelAxis(n, src)
	if len(n.GetInput()) > 2 {
		l.Bias = n.GetInput()[2]
	}
	l.At = z
	if n.GetOpType() == "MatMul" {
		f.takeBias(&l)
	}
	f.takeSum(&l, f.merged.Position(n))
	l.Target, ok = f.members(l.At, l.Axis)
	return l, ok
}

// channelAxis is the axis of a node's output that counts its channels.
func (f *linearFinder) channelAxis(n *onnx.Node, src sourceValue) int {
	if n.GetOpType() == "MatMul" {
		return len(f.p.Sources.Models[src.model].Shapes[src.name].Dims) - 1
	}
	return 1
}

// soleReader is the one node that reads a value, nil where there are others.
func (f *linearFinder) soleReader(v string) *onnx.Node {
	uses := f.merged.Uses(v)
	if len(uses) != 1 || f.merged.Output(v) != nil {
		return nil
	}
	return uses[0].Node
}

// takeBias gives a MatMul the constant that is added right behind it for a bias.
func (f *linearFinder) takeBias(l *refit.Linear) {
	add := f.soleReader(l.At)
	if add == nil || add.GetOpType() != "Add" {
		return
	}
	for _, in := range add.GetInput() {
		if t := f.merged.Initializer(in); t != nil && len(t.GetDims()) == 1 && t.GetDims()[0] > 1 {
			l.Bias, l.At = in, add.GetOutput()[0]
			return
		}
	}
}

// takeSum moves the comparison behind a residual sum that the node is the last to feed.
func (f *linearFinder) takeSum(l *refit.Linear, position int) {
	add := f.soleReader(l.At)
	if add == nil || add.GetOpType() != "Add" || len(add.GetInput()) != 2 {
		return
	}
	out := add.GetOutput()[0]
	if _, known := f.source[out]; !known || f.last[out] != position {
		return
	}
	for _, in := range add.GetInput() {
		if f.merged.Initializer(in) != nil || !f.sameShape(in, out) {
			return
		}
	}
	l.At = out
}

func (f *linearFinder) sameShape(a, b string) bool {
	x, okX := f.source[a]
	y, okY := f.source[b]
	if !okX || !okY {
		return false
	}
	dx, dy := f.p.Sources.Models[x.model].Shapes[x.name].Dims, f.p.Sources.Models[y.model].Shapes[y.name].Dims
	return slices.Equal(dx, dy)
}

// members lists the sources' values that a merged value stands for.
func (f *linearFinder) members(value string, axis int) ([]refit.Member, bool) {
	src := f.source[value]
	if !src.trunk {
		dims := f.p.Sources.Models[src.model].Shapes[src.name].Dims
		if axis >= len(dims) || dims[axis].Size < 0 {
			return nil, false
		}
		m := refit.Member{Value: f.side.Values[src.model][f.p.narrowed.own(src.model, src.name)]}
		ok := f.p.narrowed.member(&m, src.model, src.name, axis, int(dims[axis].Size))
		return []refit.Member{m}, ok
	}
	var out []refit.Member
	for i := range f.p.Sources.Models {
		name, _ := f.p.Sources.Pairing.Value(0, i, value)
		layouts := f.t.Analysis.Layouts(i, name)
		if axis >= len(layouts) || !onlyFeatures(layouts, axis) {
			return nil, false
		}
		to, coef, _ := f.as.Map(layouts[axis], i, len(f.p.Sources.Models))
		out = append(out, refit.Member{Value: f.side.Values[i][name], To: to, Coef: coef, Mix: f.as.MixOf(layouts[axis], i)})
	}
	return out, true
}

// onlyFeatures is true where the given axis is the one that holds features.
func onlyFeatures(layouts []space.Layout, axis int) bool {
	for k, l := range layouts {
		if l.Aligned() == (k == axis) {
			return false
		}
	}
	return true
}
