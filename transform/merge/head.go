package merge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
	"google.golang.org/protobuf/proto"
)

// head emits what of model i is not in the trunk. Features of the trunk reach it in model i's own order:
// folded into the weights that read them where there are some (W_i·U_i), by a Gather elsewhere.
func (b *builder) head(i int) error {
	src := b.s.Models[i]
	values := map[string]string{}
	b.out.Values = append(b.out.Values, values)
	for _, n := range b.headNodes(i) {
		if b.names.handedOut[n] {
			values[n.GetOutput()[0]] = b.headValue(i, n.GetOutput()[0])
			continue
		}
		clone := onnx.Clone(n)
		if n.GetName() != "" { // a name is optional, but must be unique
			clone.Name = proto.String(b.scoped(i, n.GetName()))
		}
		for slot, in := range n.GetInput() {
			name, err := b.headInput(i, n, slot, in)
			if err != nil {
				return err
			}
			clone.Input[slot] = name
		}
		if onnx.HasSubgraph(n) {
			b.renameCaptured(i, clone, n)
		}
		for k, out := range n.GetOutput() {
			clone.Output[k] = b.headValue(i, out)
			values[out] = clone.Output[k]
		}
		if err := b.foldUnmerge(i, n, clone); err != nil {
			return err
		}
		b.graph.Node = append(b.graph.Node, clone)
	}
	var outputs []string
	for _, v := range src.Index.Graph.GetOutput() {
		info := onnx.Clone(v)
		info.Name = proto.String(b.names.outputs[i][v.GetName()])
		if err := b.passThrough(i, v.GetName(), info.GetName()); err != nil {
			return err
		}
		outputs = append(outputs, info.GetName())
		b.graph.Output = append(b.graph.Output, info)
	}
	b.out.Outputs = append(b.out.Outputs, outputs)
	return nil
}

// headNodes lists the nodes of model i that are not in the trunk and lead to an output.
func (b *builder) headNodes(i int) []*onnx.Node {
	ix := b.s.Models[i].Index
	needed := map[*onnx.Node]bool{}
	var visit func(value string)
	visit = func(value string) {
		n := ix.Producer(value)
		if n == nil || needed[n] || b.shared(n) {
			return
		}
		needed[n] = true
		for _, v := range onnx.Reads(n) {
			visit(v)
		}
	}
	for _, v := range ix.Graph.GetOutput() {
		visit(v.GetName())
	}
	var out []*onnx.Node
	for _, n := range ix.Order {
		if needed[n] {
			out = append(out, n)
		}
	}
	return out
}

// scoped names a node of head i. Nodes need no unique names.
func (b *builder) scoped(i int, name string) string { return b.s.Models[i].Head + "/" + name }

// headValue is the merged name of a value that head i makes.
func (b *builder) headValue(i int, name string) string {
	switch {
	case name == "":
		return ""
	case b.s.Models[i].Index.Output(name) != nil:
		return b.names.outputs[i][name]
	}
	return b.scope(i, name)
}

// headInput is the merged name of what a head's node reads; parameters are copied on the way.
func (b *builder) headInput(i int, n *onnx.Node, slot int, name string) (string, error) {
	ix := b.s.Models[i].Index
	switch p := ix.Producer(name); {
	case name == "":
		return "", nil
	case ix.Initializer(name) != nil:
		return b.headParam(i, name)
	case p == nil:
		return b.inputOf(i, name), nil
	case !b.shared(p):
		return b.headValue(i, name), nil
	}
	if b.folds(i, n, slot, name) {
		shared, _ := b.s.Pairing.Value(i, 0, name)
		return shared, nil
	}
	return b.unmerged(i, name)
}

// inputOf is the shared input that model i's input corresponds to.
func (b *builder) inputOf(i int, name string) string {
	for _, row := range b.s.Pairing.Inputs {
		if row[i] == name {
			return row[0]
		}
	}
	return name
}

func (b *builder) headParam(i int, name string) (string, error) {
	scoped := b.scope(i, name)
	if _, done := b.inits[scoped]; done {
		return scoped, nil
	}
	t, err := onnx.TensorOf(b.s.Models[i].Index.Initializer(name))
	if err != nil { // a type that nothing is computed with passes as it is
		clone := onnx.Clone(b.s.Models[i].Index.Initializer(name))
		clone.Name = proto.String(scoped)
		b.initializerProto(clone)
		return scoped, nil
	}
	b.initializer(scoped, t)
	return scoped, nil
}

// trunkLayouts are the layouts of a trunk value of model i.
func (b *builder) trunkLayouts(i int, name string) []space.Layout {
	return b.t.Analysis.Layouts(i, name)
}

// sizeOf is the source's size of an axis of a value.
func (b *builder) sizeOf(i int, name string, axis int) int {
	return int(b.s.Models[i].Shapes[name].Dims[axis].Size)
}

// moved lists the axes of a trunk value whose features are not in model i's own order.
func (b *builder) moved(i int, name string) []int {
	var axes []int
	for k, l := range b.trunkLayouts(i, name) {
		if !slices.ContainsFunc(l, func(seg space.Segment) bool { return !stays(seg) }) {
			continue
		}
		if !b.as.mapAxis(l, i, len(b.s.Models), b.sizeOf(i, name, k)).identity() {
			axes = append(axes, k)
		}
	}
	return axes
}

// folds reports whether node n of head i can take over the unmerging of the trunk value in slot: it
// contracts exactly the axis that moved with a parameter.
func (b *builder) folds(i int, n *onnx.Node, slot int, name string) bool {
	axes := b.moved(i, name)
	if len(axes) != 1 {
		return len(axes) == 0
	}
	c, ok := space.ContractionOf(b.s.Models[i].Index, n, len(b.trunkLayouts(i, name)))
	return ok && c.InputSlot == slot && c.InputAxis == axes[0] && !b.paramIsShared(i, n, c)
}

// paramIsShared is true where others read the parameter too (a tied embedding): it must stay as it is.
func (b *builder) paramIsShared(i int, n *onnx.Node, c space.Contraction) bool {
	return len(b.s.Models[i].Index.Uses(n.GetInput()[c.ParamSlot])) > 1
}

// foldUnmerge replaces the parameter of a contracting head node by W_i·U_i.
func (b *builder) foldUnmerge(i int, n, clone *onnx.Node) error {
	rank := 0
	c, ok := space.ContractionOf(b.s.Models[i].Index, n, 2)
	if !ok {
		return nil
	}
	name := n.GetInput()[c.InputSlot]
	if p := b.s.Models[i].Index.Producer(name); p == nil || !b.shared(p) {
		return nil
	}
	rank = len(b.trunkLayouts(i, name))
	c, _ = space.ContractionOf(b.s.Models[i].Index, n, rank)
	axes := b.moved(i, name)
	if len(axes) == 0 || !b.folds(i, n, c.InputSlot, name) {
		return nil
	}
	t, err := onnx.TensorOf(b.s.Models[i].Index.Initializer(n.GetInput()[c.ParamSlot]))
	if err != nil {
		return fault.As(err).AtNode(onnx.NodeName(n))
	}
	v, err := t.Float64s()
	if err != nil {
		return fault.As(err).AtNode(onnx.NodeName(n))
	}
	m := b.as.mapAxis(b.trunkLayouts(i, name)[axes[0]], i, len(b.s.Models), b.sizeOf(i, name, axes[0]))
	v, dims := m.scatter(v, t.Dims, c.ParamAxis, false)
	b.initializer(clone.Input[c.ParamSlot], onnx.FromFloat64(t.DType, v, dims...))
	return nil
}

// unmerged returns a trunk value with model i's features in model i's order: Gathers by Of_i, made once
// per value and head.
func (b *builder) unmerged(i int, name string) (string, error) {
	shared, _ := b.s.Pairing.Value(i, 0, name)
	key := fmt.Sprintf("%d %s", i, name)
	if done, ok := b.gathered[key]; ok {
		return done, nil
	}
	value := shared
	for _, k := range b.moved(i, name) {
		m := b.as.mapAxis(b.trunkLayouts(i, name)[k], i, len(b.s.Models), b.sizeOf(i, name, k))
		index := make([]int64, len(m.to))
		for p, q := range m.to {
			index[p] = int64(q)
		}
		own := fmt.Sprintf("%s/unmerge%d", name, k)
		if m.mix != nil {
			value = b.basis(i, own, name, value, k, m.mix.U)
			continue
		}
		of, out := b.fresh(i, own+"/index"), b.fresh(i, own+"/out")
		b.initializer(of, onnx.FromInt64(index, int64(len(index))))
		n := onnx.NewNode("Gather", b.scoped(i, own), []string{value, of}, []string{out}, onnx.Int("axis", int64(k)))
		b.graph.Node = append(b.graph.Node, n)
		b.out.Gathers++
		value = out
	}
	b.gathered[key] = value
	return value, nil
}

// Basis is x = U·z + c in head Model, which makes of a trunk's combinations of features those of the model's own Value. c is 0 until a
// refit.
type Basis struct {
	Model int
	Value string // in the model
	// Made is the product and Out the sum, in the merged graph; they are the same where one node makes both.
	Made, Out string
}

// basis emits a Basis for axis k of a trunk's value: a 1×1 convolution over channels, else a product with the axis at the end.
func (b *builder) basis(i int, own, name, value string, k int, u *mat.Dense) string {
	n, width := u.Dims()
	rank, dtype := len(b.trunkLayouts(i, name)), b.s.Models[i].Shapes[name].DType
	weight, bias := b.fresh(i, own+"/basis"), b.fresh(i, own+"/offset")
	made, out := b.fresh(i, own+"/made"), b.fresh(i, own+"/out")
	b.initializer(bias, onnx.NewTensor(dtype, int64(n)))
	emit := func(op string, inputs []string, out string, attrs ...*onnx.Attribute) {
		b.graph.Node = append(b.graph.Node, onnx.NewNode(op, b.scoped(i, own+"/"+strings.ToLower(op)), inputs, []string{out}, attrs...))
	}
	if rank == 4 && k == 1 {
		b.initializer(weight, onnx.FromFloat64(dtype, mat.DenseCopyOf(u).RawMatrix().Data, int64(n), int64(width), 1, 1))
		emit("Conv", []string{value, weight, bias}, out, onnx.Ints("kernel_shape", 1, 1))
		b.out.Bases = append(b.out.Bases, Basis{i, name, out, out})
		return out
	}
	b.initializer(weight, onnx.FromFloat64(dtype, mat.DenseCopyOf(u.T()).RawMatrix().Data, int64(width), int64(n)))
	last := onnx.Ints("perm", swapped(rank, k)...)
	if k < rank-1 {
		moved := b.fresh(i, own+"/moved")
		emit("Transpose", []string{value}, moved, last)
		value = moved
	}
	emit("MatMul", []string{value, weight}, made)
	emit("Add", []string{made, bias}, out)
	if k < rank-1 { // its samples are not the model's value: no refit
		back := b.fresh(i, own+"/back")
		emit("Transpose", []string{out}, back, last)
		return back
	}
	b.out.Bases = append(b.out.Bases, Basis{i, name, made, out})
	return out
}

// swapped are the axes of a value with axis k and the last one exchanged.
func swapped(rank, k int) []int64 {
	axes := make([]int64, rank)
	for a := range axes {
		axes[a] = int64(a)
	}
	axes[k], axes[rank-1] = axes[rank-1], axes[k]
	return axes
}

// passThrough makes an output that no node of the head makes: one that is an input or a parameter.
func (b *builder) passThrough(i int, name, output string) error {
	ix := b.s.Models[i].Index
	if p := ix.Producer(name); p != nil && !b.shared(p) {
		return nil
	}
	from, err := b.headInput(i, &onnx.Node{}, 0, name)
	if err != nil {
		return err
	}
	b.graph.Node = append(b.graph.Node, onnx.NewNode("Identity", b.scoped(i, name), []string{from}, []string{output}))
	return nil
}

// renameCaptured renames what the subgraphs of a head's node read from outside.
func (b *builder) renameCaptured(i int, clone, n *onnx.Node) {
	rename := map[string]string{}
	for _, v := range onnx.Reads(n) {
		if to, err := b.headInput(i, n, -1, v); err == nil {
			rename[v] = to
		}
	}
	onnx.RenameCaptured(clone, rename)
}
