package attach

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"google.golang.org/protobuf/proto"
)

// Map gives a model's features from a trunk's: Weight [SourceWidth, Width] · features + Offset [SourceWidth].
type Map struct {
	Weight, Offset []float64
}

// Head is a new head: nodes and tensors to be added to a trunk's.
type Head struct {
	Nodes        []*onnx.Node
	Initializers []*onnx.TensorProto
	Outputs      []*onnx.ValueInfo // under the names of the merged file, in the model's order
	Values       map[string]string // the model's values → the names here
	Maps         []MapNode
}

// MapNode is the node of a crossing's map, where it is one of its own.
type MapNode struct {
	Crossing              Crossing
	Node, Output          string // what the linear node makes, and that with its bias
	Input, Weight, Offset string
}

// Naming says what the model's inner values and tensors, its nodes and its outputs are called in the merged file.
type Naming struct {
	Value, Node, Output func(string) string
}

// Build makes the head that reads a trunk through maps, one for each crossing with features (nil where the trunk's
// features are the model's own).
func (m *Match) Build(maps []*Map, names Naming) (*Head, error) {
	b := &builder{m: m, maps: maps, Naming: names, out: &Head{Values: map[string]string{}}, parameters: map[string]*onnx.Tensor{}}
	for from, to := range m.Inputs {
		b.out.Values[from] = to
	}
	for k, c := range m.Crossings {
		b.out.Values[c.Source] = c.Value
		if !c.Folded && maps[k] != nil {
			b.mapNode(c, maps[k])
		}
	}
	for _, n := range m.Head {
		for _, v := range n.GetOutput() {
			if v == "" {
				continue
			}
			if m.source.Index.Output(v) != nil {
				b.out.Values[v] = b.Output(v)
			} else {
				b.out.Values[v] = b.Value(v)
			}
		}
	}
	if err := b.fold(); err != nil {
		return nil, err
	}
	for _, n := range m.Head {
		b.node(n)
	}
	return b.out, b.outputs()
}

type builder struct {
	Naming
	m          *Match
	maps       []*Map
	out        *Head
	parameters map[string]*onnx.Tensor // by the model's name, where folding changed them
	biases     map[*onnx.Node]string   // biases that folding adds, by node
}

// mapNode adds the node that maps the features of a crossing.
func (b *builder) mapNode(c Crossing, m *Map) {
	n := MapNode{Crossing: c, Input: c.Value, Weight: b.Value(c.Source + "/map/weight"), Offset: b.Value(c.Source + "/map/bias")}
	n.Output = b.Value(c.Source)
	n.Node = n.Output
	dims, weight := []int64{int64(c.SourceWidth), int64(c.Width)}, m.Weight
	label := b.Node(c.Source + "/map")
	switch {
	case c.rank == 2:
		b.add(onnx.NewNode("Gemm", label, []string{c.Value, n.Weight, n.Offset}, []string{n.Output}, onnx.Int("transB", 1)))
	case c.Axis == 1:
		dims = append(dims, slices.Repeat([]int64{1}, c.rank-2)...)
		b.add(onnx.NewNode("Conv", label, []string{c.Value, n.Weight, n.Offset}, []string{n.Output}, onnx.Ints("kernel_shape", dims[2:]...)))
	default:
		n.Node = b.Value(c.Source + "/map/out")
		dims, weight = []int64{dims[1], dims[0]}, transposed(weight, c.SourceWidth, c.Width)
		b.add(onnx.NewNode("MatMul", label, []string{c.Value, n.Weight}, []string{n.Node}))
		b.add(onnx.NewNode("Add", label+"/bias", []string{n.Node, n.Offset}, []string{n.Output}))
	}
	b.tensor(n.Weight, onnx.FromFloat64(onnx.Float, weight, dims...))
	b.tensor(n.Offset, onnx.FromFloat64(onnx.Float, m.Offset, int64(c.SourceWidth)))
	b.out.Values[c.Source] = n.Output
	b.out.Maps = append(b.out.Maps, n)
}

func transposed(v []float64, rows, cols int) []float64 {
	out := make([]float64, len(v))
	for i := range rows {
		for j := range cols {
			out[j*rows+i] = v[i*cols+j]
		}
	}
	return out
}

func (b *builder) add(n *onnx.Node) { b.out.Nodes = append(b.out.Nodes, n) }

func (b *builder) tensor(name string, t *onnx.Tensor) {
	b.out.Initializers = append(b.out.Initializers, t.Proto(name))
}

// fold multiplies the maps into the weights that read the crossings.
func (b *builder) fold() error {
	b.biases = map[*onnx.Node]string{}
	for k, c := range b.m.Crossings {
		if !c.Folded || b.maps[k] == nil {
			continue
		}
		for _, u := range b.m.source.Index.Uses(c.Source) {
			if b.m.shared[u.Node] {
				continue
			}
			if err := b.foldInto(c, b.maps[k], u.Node); err != nil {
				return fault.As(err).AtNode(onnx.NodeName(u.Node))
			}
		}
	}
	return nil
}

func (b *builder) foldInto(c Crossing, m *Map, n *onnx.Node) error {
	k, _ := space.ContractionOf(b.m.source.Index, n, c.rank)
	name := n.GetInput()[k.ParamSlot]
	t, err := onnx.TensorOf(b.m.source.Index.Initializer(name))
	if err != nil {
		return err
	}
	w, err := t.Float64s()
	if err != nil {
		return err
	}
	v, dims, shift := m.contract(w, t.Dims, k.ParamAxis, c)
	b.parameters[name] = onnx.FromFloat64(t.DType, v, dims...)
	return b.foldBias(n, k.ParamAxis, t.DType, shift)
}

// contract multiplies weights with the map along one axis. shift is what the offsets add to each output.
func (m *Map) contract(w []float64, dims []int64, axis int, c Crossing) (v []float64, to []int64, shift []float64) {
	outer, inner := 1, 1
	for _, d := range dims[:axis] {
		outer *= int(d)
	}
	for _, d := range dims[axis+1:] {
		inner *= int(d)
	}
	run := c.Inner * inner // positions of a feature, and all behind the axis
	v = make([]float64, outer*c.Width*run)
	outputs := outer // axis 1 holds the inputs, axis 0 the outputs
	if axis == 0 {
		outputs = inner
	}
	shift = make([]float64, outputs)
	for o := range outer {
		for f := range c.SourceWidth {
			src := w[(o*c.SourceWidth+f)*run:][:run]
			for g := range c.Width {
				a := m.Weight[f*c.Width+g]
				if a == 0 {
					continue
				}
				dst := v[(o*c.Width+g)*run:][:run]
				for x := range src {
					dst[x] += a * src[x]
				}
			}
			for x := range src {
				at := o
				if axis == 0 {
					at = x % inner
				}
				shift[at] += m.Offset[f] * src[x]
			}
		}
	}
	to = slices.Clone(dims)
	to[axis] = int64(c.Width * c.Inner)
	return v, to, shift
}

// foldBias adds the shift to a linear node's bias.
func (b *builder) foldBias(n *onnx.Node, axis int, dtype onnx.DType, shift []float64) error {
	at, _ := biasOf(b.m.source.Index, n)
	if at.name == "" {
		b.biases[n] = b.Value(n.GetOutput()[0] + "/bias")
		b.tensor(b.biases[n], onnx.FromFloat64(dtype, shift, int64(len(shift))))
		return nil
	}
	t, err := onnx.TensorOf(b.m.source.Index.Initializer(at.name))
	if err != nil {
		return err
	}
	old, err := t.Float64s()
	if err != nil {
		return err
	}
	sum := make([]float64, len(shift))
	for k := range sum {
		sum[k] = shift[k] + old[k%len(old)] // one number serves all outputs
	}
	b.parameters[at.name] = onnx.FromFloat64(dtype, sum, int64(len(sum)))
	return nil
}

// node adds a node of the model, with its parameters, under the names of the merged file.
func (b *builder) node(n *onnx.Node) {
	clone := onnx.Clone(n)
	if n.GetName() != "" {
		clone.Name = proto.String(b.Node(n.GetName()))
	}
	for slot, in := range n.GetInput() {
		clone.Input[slot] = b.read(in)
	}
	if bias := b.biases[n]; bias != "" {
		clone.Input = append(clone.Input[:2:2], bias)
	}
	for slot, v := range n.GetOutput() {
		clone.Output[slot] = b.out.Values[v]
	}
	if onnx.HasSubgraph(n) {
		captured := map[string]string{}
		for _, v := range onnx.Reads(n) {
			captured[v] = b.read(v)
		}
		onnx.RenameCaptured(clone, captured)
	}
	b.add(clone)
}

// read is the name of what a node of the head reads; a parameter is added on the way.
func (b *builder) read(v string) string {
	if to, ok := b.out.Values[v]; ok || v == "" {
		return to
	}
	p := b.m.source.Index.Initializer(v)
	if p == nil {
		return v
	}
	to := b.Value(v)
	b.out.Values[v] = to
	if t := b.parameters[v]; t != nil {
		p = t.Proto(to)
	} else {
		p = onnx.Clone(p)
		p.Name = proto.String(to)
	}
	b.out.Initializers = append(b.out.Initializers, p)
	return to
}

// outputs declares the head's outputs.
func (b *builder) outputs() error {
	ix := b.m.source.Index
	for _, v := range ix.Graph.GetOutput() {
		if p := ix.Producer(v.GetName()); p == nil {
			return fault.New(fault.Unsupported, "empty_head", "output %q is an input or a constant: there is no head to attach", v.GetName())
		}
		info := onnx.Clone(v)
		info.Name = proto.String(b.Output(v.GetName()))
		b.out.Outputs = append(b.out.Outputs, info)
	}
	return nil
}

// AddTo appends the head to a model.
func (h *Head) AddTo(m *onnx.Model) {
	g := m.Graph()
	g.Node = append(g.Node, h.Nodes...)
	g.Initializer = append(g.Initializer, h.Initializers...)
	g.Output = append(g.Output, h.Outputs...)
}

// Unique gives names that are not taken yet, the same one for the same wish.
func Unique(taken func(string) bool, prefix string) func(string) string {
	given, used := map[string]string{}, map[string]bool{}
	return func(wish string) string {
		if to, ok := given[wish]; ok {
			return to
		}
		to := prefix + wish
		for k := 2; taken(to) || used[to]; k++ {
			to = fmt.Sprintf("%s%s_%d", prefix, wish, k)
		}
		given[wish], used[to] = to, true
		return to
	}
}
