package merge

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"google.golang.org/protobuf/proto"
)

// widener rewrites models so that each computes the prefixes of all.
type widener struct {
	plain *Sources
	rows  [][]*stem           // corresponding stems, one of each model
	skip  map[*onnx.Node]bool // readers of stems that keep to their own prefix: the trunk does not reach them
	why   string              // why the last attempt failed

	parts []*part
	keys  []map[string]string // model → its value → what it is, the same for values that are equal by construction
}

// part is a node that some models compute as their prefix, once for all that have it.
type part struct {
	key    string
	inputs []string // keys
	owners map[int]*onnx.Node
	first  int // the first owner
}

// collect lists the nodes of all prefixes, equal ones once, and gives every value of them a key.
func (w *widener) collect() error {
	w.parts, w.keys = nil, nil
	for i, src := range w.plain.Models {
		keys := map[string]string{}
		for k, row := range w.plain.Pairing.Inputs {
			keys[row[i]] = fmt.Sprintf("input %d", k)
		}
		w.keys = append(w.keys, keys)
		var values []string
		for _, row := range w.rows {
			values = append(values, row[i].value)
		}
		nodes, _ := ancestors(src.Index, values)
		for _, n := range src.Index.Order {
			if nodes[n] {
				if err := w.collectNode(i, n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *widener) collectNode(i int, n *onnx.Node) error {
	inputs := make([]string, len(n.GetInput()))
	for slot, v := range n.GetInput() {
		key, err := w.keyOf(i, v)
		if err != nil {
			return err
		}
		inputs[slot] = key
	}
	key := formOf(n) + strings.Join(inputs, "\x00")
	at := slices.IndexFunc(w.parts, func(p *part) bool { return p.key == key && p.owners[i] == nil })
	if at < 0 {
		at = len(w.parts)
		w.parts = append(w.parts, &part{key: key, inputs: inputs, owners: map[int]*onnx.Node{}, first: i})
	}
	w.parts[at].owners[i] = n
	for slot, out := range n.GetOutput() {
		if out != "" {
			w.keys[i][out] = fmt.Sprintf("part %d.%d", at, slot)
		}
	}
	return nil
}

// keyOf is what a value of model i is: a part's output, an input, or a constant by its contents.
func (w *widener) keyOf(i int, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	if key, ok := w.keys[i][value]; ok {
		return key, nil
	}
	init := onnx.Clone(w.plain.Models[i].Index.Initializer(value))
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(anonymous(init))
	if err != nil {
		return "", fault.Wrap(fault.Internal, "prefix_constant", err, "a constant cannot be compared").AtValue(value)
	}
	return fmt.Sprintf("constant %x", sha256.Sum256(content)), nil
}

// anonymous strips a constant of all but what it holds, in one form.
func anonymous(t *onnx.TensorProto) *onnx.TensorProto {
	if v, err := onnx.TensorOf(t); err == nil {
		return v.Proto("")
	}
	t.Name, t.DocString = nil, nil
	return t
}

// formOf is a node without its names.
func formOf(n *onnx.Node) string {
	attributes := make([]string, len(n.GetAttribute()))
	for k, a := range n.GetAttribute() {
		a = onnx.Clone(a)
		a.DocString = nil
		text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(a)
		attributes[k] = string(text)
	}
	slices.Sort(attributes)
	return strings.Join([]string{n.GetDomain(), n.GetOpType(), fmt.Sprint(len(n.GetOutput())), strings.Join(attributes, "\x00"), ""}, "\x00")
}

// joint is a row of stems with the values that its readers read side by side.
type joint struct {
	row    []*stem
	keys   []string // of the values, each once
	sizes  []int    // of the stem's axis in each
	source []int    // a model that has each value
}

// joints lists the rows whose values differ.
func (w *widener) joints() (out []joint) {
	for _, row := range w.rows {
		j := joint{row: row}
		for i, st := range row {
			if key := w.keys[i][st.value]; !slices.Contains(j.keys, key) {
				j.keys, j.sizes, j.source = append(j.keys, key), append(j.sizes, st.size), append(j.source, i)
			}
		}
		if len(j.keys) > 1 {
			out = append(out, j)
		}
	}
	return out
}

// build makes the rewritten models and pairs them; nil where that cannot be, with the reason in w.why.
func (w *widener) build(o pair.Options) (*Sources, error) {
	if err := w.collect(); err != nil {
		return nil, err
	}
	joints := w.joints()
	w.rows = nil
	for _, j := range joints {
		w.rows = append(w.rows, j.row)
	}
	if len(w.rows) == 0 {
		return nil, nil // nothing differs before the stems
	}
	if err := w.collect(); err != nil { // of these alone: what else is equal stays as it is
		return nil, err
	}
	joints = w.joints()
	p := &Prefixes{Plain: w.plain}
	wide := make([]*Source, len(w.plain.Models))
	graphs := make([]*onnx.Index, len(wide))
	for i := range wide {
		g := newWideGraph(w, i)
		if why := g.build(joints); why != "" {
			w.why = why
			return nil, nil
		}
		wide[i], graphs[i] = g.src, g.src.Index
		p.plain, p.wide = append(p.plain, g.plain), append(p.wide, g.wide)
		p.stems, p.weights = append(p.stems, g.stems), append(p.weights, g.weights)
		if i == 0 {
			p.joins = g.joins
			for at, part := range w.parts {
				p.Parts = append(p.Parts, PrefixPart{
					Owners: part.models(), Node: part.owners[part.first], nodes: part.owners, Value: g.values[fmt.Sprintf("part %d.0", at)],
				})
			}
		}
	}
	pairing, err := pair.Find(graphs, o)
	if err != nil {
		return nil, err
	}
	return analyzed(&Sources{Models: wide, Pairing: pairing, Prefixes: p}), nil
}

// settle reports whether the trunk of the rewritten models holds all readers that were widened for it. Where it does
// not, those outside are left to their own prefix in the next attempt.
func (w *widener) settle(wide *Sources) (done bool, err error) {
	t, err := FindTrunk(wide, Cut{})
	if err != nil {
		return false, err
	}
	done = true
	for i, stems := range wide.Prefixes.stems {
		for n := range stems {
			if !t.Has(wide, n) {
				w.skip[wide.Prefixes.plain[i][n]], done = true, false
			}
		}
	}
	if done {
		return true, nil
	}
	w.why = "what reads the prefixes does not correspond"
	if d := wide.Pairing.First; d != nil {
		w.why += ": " + d.Why
	}
	w.rows = slices.DeleteFunc(w.rows, func(row []*stem) bool {
		return slices.ContainsFunc(row, func(st *stem) bool {
			return !slices.ContainsFunc(st.readers, func(n *onnx.Node) bool { return !w.skip[n] })
		})
	})
	return false, nil
}

func (p *part) models() []int {
	var out []int
	for i := range p.owners {
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// wideGraph is one model while it is rewritten.
type wideGraph struct {
	w      *widener
	i      int
	old    *Source
	graph  *onnx.Graph
	src    *Source
	taken  map[string]bool
	values map[string]string // key → its name in this model

	plain, wide map[*onnx.Node]*onnx.Node // see Prefixes
	stems       map[*onnx.Node]bool
	weights     map[string]string
	joins       []join
}

func newWideGraph(w *widener, i int) *wideGraph {
	old := w.plain.Models[i]
	from := old.Model.Graph()
	g := &wideGraph{
		w: w, i: i, old: old, taken: map[string]bool{}, values: map[string]string{},
		plain: map[*onnx.Node]*onnx.Node{}, wide: map[*onnx.Node]*onnx.Node{}, stems: map[*onnx.Node]bool{}, weights: map[string]string{},
		graph: &onnx.Graph{
			Name: from.Name, DocString: from.DocString, Input: from.Input, Output: from.Output, ValueInfo: from.ValueInfo,
			Initializer: slices.Clone(from.Initializer), SparseInitializer: from.SparseInitializer,
		},
	}
	for _, t := range from.Initializer {
		g.taken[t.GetName()] = true
	}
	for _, v := range from.Input {
		g.taken[v.GetName()] = true
	}
	for _, n := range from.Node {
		for _, v := range n.GetOutput() {
			g.taken[v] = true
		}
	}
	for value, key := range w.keys[i] {
		g.values[key] = value
	}
	return g
}

// fresh is a name that nothing in the model has.
func (g *wideGraph) fresh(base string) string {
	n := names{taken: g.taken}
	name := n.unique(base)
	g.taken[name] = true
	return name
}

// build writes the graph: the prefixes' nodes, equal in all models and in one order; the concatenations; the rest.
// It returns why that cannot be.
func (g *wideGraph) build(joints []joint) (why string) {
	done := map[*onnx.Node]bool{}
	for at, p := range g.w.parts {
		if own := p.owners[g.i]; own != nil {
			done[own] = true
			g.keep(own)
			continue
		}
		g.adopt(at, p)
	}
	readers := map[*onnx.Node]string{}
	for _, j := range joints {
		out := g.concat(j)
		for _, n := range j.row[g.i].readers {
			if !g.w.skip[n] {
				readers[n] = out
			}
		}
	}
	for _, n := range g.old.Model.Graph().GetNode() {
		if done[n] {
			continue
		}
		clone := g.keep(n)
		if to, ok := readers[n]; ok {
			g.widen(clone, n, to, joints)
		}
	}
	return g.finish(joints)
}

func (g *wideGraph) keep(n *onnx.Node) *onnx.Node {
	clone := onnx.Clone(n)
	g.plain[clone], g.wide[n] = n, clone
	g.graph.Node = append(g.graph.Node, clone)
	return clone
}

// adopt adds a node that other models have as their prefix, under the first one's names.
func (g *wideGraph) adopt(at int, p *part) {
	head := g.w.plain.Models[p.first].Head
	n := p.owners[p.first]
	clone := onnx.Clone(n)
	if n.GetName() != "" {
		clone.Name = proto.String(head + "/" + n.GetName())
	}
	for slot, v := range n.GetInput() {
		key := p.inputs[slot]
		switch {
		case v == "":
		case g.values[key] != "":
			clone.Input[slot] = g.values[key]
		default:
			clone.Input[slot] = g.constant(p.first, v)
		}
	}
	for slot, v := range n.GetOutput() {
		if v != "" {
			clone.Output[slot] = g.fresh(head + "/" + v)
			g.values[fmt.Sprintf("part %d.%d", at, slot)] = clone.Output[slot]
		}
	}
	g.graph.Node = append(g.graph.Node, clone)
}

// constant copies an initializer of another model.
func (g *wideGraph) constant(model int, name string) string {
	src := g.w.plain.Models[model]
	to := g.fresh(src.Head + "/" + name)
	t := onnx.Clone(src.Index.Initializer(name))
	t.Name = proto.String(to)
	g.graph.Initializer = append(g.graph.Initializer, t)
	return to
}

// concat joins the values of a row on the axis that its readers contract.
func (g *wideGraph) concat(j joint) string {
	var in []string
	for _, key := range j.keys {
		in = append(in, g.values[key])
	}
	out := g.fresh("prefixes")
	n := onnx.NewNode("Concat", out, in, []string{out}, onnx.Int("axis", int64(j.row[0].axis)))
	g.graph.Node = append(g.graph.Node, n)
	first := g.w.plain.Models[0]
	g.joins = append(g.joins, join{out, j.row[0].axis, len(first.Shapes[j.row[0].value].Dims), j.sizes})
	return out
}

// widen lets a node read a concatenation: its parameter gets zeros for the others' prefixes.
func (g *wideGraph) widen(clone, n *onnx.Node, to string, joints []joint) {
	c, _ := denseReader(g.old, n)
	clone.Input[c.InputSlot] = to
	at := slices.IndexFunc(joints, func(j joint) bool { return slices.Contains(j.row[g.i].readers, n) })
	j := joints[at]
	before, behind := 0, 0
	place := slices.Index(j.keys, g.w.keys[g.i][j.row[g.i].value])
	for k, size := range j.sizes {
		if k < place {
			before += size
		} else if k > place {
			behind += size
		}
	}
	name := n.GetInput()[c.ParamSlot]
	t, err := onnx.TensorOf(g.old.Index.Initializer(name))
	if err != nil {
		return // finish finds the sizes unequal
	}
	clone.Input[c.ParamSlot] = g.fresh(name + "/wide")
	g.weights[clone.Input[c.ParamSlot]] = name
	g.graph.Initializer = append(g.graph.Initializer, padZeros(t, c.ParamAxis, before, behind).Proto(clone.Input[c.ParamSlot]))
	g.stems[clone] = true
}

// padZeros adds positions of zeros before and behind those of an axis.
func padZeros(t *onnx.Tensor, axis, before, behind int) *onnx.Tensor {
	dims := slices.Clone(t.Dims)
	dims[axis] += int64(before + behind)
	out := onnx.NewTensor(t.DType, dims...)
	outer, inner := around(t, axis)
	from, to := int(t.Dims[axis])*inner, int(dims[axis])*inner
	for o := range outer {
		copy(out.Raw[o*to+before*inner:], t.Raw[o*from:(o+1)*from])
	}
	return out
}

// finish indexes the graph and infers its shapes. It returns why the prefixes cannot be concatenated.
func (g *wideGraph) finish(joints []joint) (why string) {
	p := g.old.Model.Proto
	m := &onnx.Model{File: g.old.Model.File, Proto: &onnx.ModelProto{
		IrVersion: p.IrVersion, OpsetImport: p.OpsetImport, ProducerName: p.ProducerName, ProducerVersion: p.ProducerVersion,
		Domain: p.Domain, ModelVersion: p.ModelVersion, DocString: p.DocString, MetadataProps: p.MetadataProps,
		Functions: p.Functions, TrainingInfo: p.TrainingInfo, Graph: g.graph,
	}}
	ix, err := onnx.NewIndex(g.graph)
	if err != nil {
		return err.Error()
	}
	g.graph.Node = ix.Order
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		return "the prefixes cannot be concatenated: " + err.Error()
	}
	for _, j := range joints {
		var values []string
		for _, key := range j.keys {
			values = append(values, g.values[key])
		}
		if why, ok := sameButFor(shapes, values, j.row[0].axis); !ok {
			return "the prefixes cannot be concatenated: " + why
		}
	}
	g.src = &Source{Head: g.old.Head, Model: m, Index: ix, Shapes: shapes}
	return ""
}
