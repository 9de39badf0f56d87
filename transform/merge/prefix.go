package merge

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// A prefix is what a model does to its inputs before the first node that mixes all features by weights: a
// normalisation, a resize, a depthwise convolution. Its features are the inputs' own, so they have no order that
// could be matched, and where models differ there, nothing behind could be shared.
//
// So every model is rewritten to compute the prefixes of all models side by side. Its stems (the first Conv, Gemm
// or MatMul) read their concatenation, with weights that are zero for the others' prefixes:
//
//	W_i·p_i(x) = [0 … W_i … 0]·[p_1(x); …; p_N(x)]
//
// This is the same function, exactly. Now the prefixes are identical in all models, and the merged stem comes out as
// Σ_i M_i·[0 … W_i … 0] = [M_1·W_1 | … | M_N·W_N] by itself. All that follows (spaces, capture, refit, proofs)
// knows nothing of it.

// Prefixes says which nodes of models that were rewritten for their prefixes are whose.
type Prefixes struct {
	// Plain are the models as they were: their costs and outputs are the sources'.
	Plain *Sources
	// Parts are the prefixes' nodes, in the order in which all models compute them.
	Parts []PrefixPart

	plain   []map[*onnx.Node]*onnx.Node // model → node → the node that it was; absent for what was added
	wide    []map[*onnx.Node]*onnx.Node // the other way round
	stems   []map[*onnx.Node]bool       // model → node that reads a concatenation
	weights []map[string]string         // model → widened weight → the weight that it was
	joins   []join
}

// join is a concatenation of prefixes.
type join struct {
	value      string // model 0's name
	axis, rank int
	sizes      []int // of its parts
}

// PrefixPart is one node of a prefix.
type PrefixPart struct {
	Owners []int      // the models that compute it
	Node   *onnx.Node // in the first of them, as it was
	Value  string     // its first output, in the merged model

	nodes map[int]*onnx.Node // owner → its node
}

// stem is a place where a prefix ends: a value, and the axis on which nodes contract it with a parameter.
type stem struct {
	value   string // a value of the prefix or an input
	axis    int
	size    int // of the axis
	readers []*onnx.Node
}

// stemsOf lists the stems of a model, in the order of their first readers. Why says what stands in the way of any,
// where there are none.
func stemsOf(src *Source) (stems []*stem, why string) {
	front := frontOf(src)
	for _, n := range src.Index.Order {
		if !front[n] {
			continue
		}
		if c, dense := denseReader(src, n); dense {
			stems = addStem(stems, src, n, c)
		} else if makesFeatures(src.Index, n) && why == "" {
			why = fmt.Sprintf("%s %q makes features first, which is no Conv, Gemm or MatMul of all of them", n.GetOpType(), onnx.NodeName(n))
		}
	}
	if len(stems) > 0 {
		return stems, ""
	}
	if why == "" {
		why = "no Conv, Gemm or MatMul reads it"
	}
	return nil, why
}

// frontOf marks the nodes of a model that depend on no features made by weights: prefixes, and the first that make some.
func frontOf(src *Source) map[*onnx.Node]bool {
	mixed, front := map[string]bool{}, map[*onnx.Node]bool{}
	for _, n := range src.Index.Order {
		front[n] = !slices.ContainsFunc(onnx.Reads(n), func(v string) bool { return mixed[v] })
		_, dense := denseReader(src, n)
		for _, out := range n.GetOutput() {
			mixed[out] = !front[n] || dense || makesFeatures(src.Index, n)
		}
	}
	return front
}

// prefixOf marks the nodes of a model that work on the inputs' features.
func prefixOf(src *Source) map[*onnx.Node]bool {
	prefix := frontOf(src)
	for n, front := range prefix {
		_, dense := denseReader(src, n)
		prefix[n] = front && !dense && !makesFeatures(src.Index, n)
	}
	return prefix
}

// denseReader describes a node that contracts a computed value with a parameter.
func denseReader(src *Source, n *onnx.Node) (space.Contraction, bool) {
	if onnx.HasSubgraph(n) || space.IsRecurrent(n) {
		return space.Contraction{}, false
	}
	c, ok := space.ContractionOf(src.Index, n, 2)
	if !ok {
		return c, false
	}
	s := src.Shapes[n.GetInput()[c.InputSlot]]
	if !s.HasRank {
		return c, false
	}
	return space.ContractionOf(src.Index, n, len(s.Dims))
}

// makesFeatures is true of nodes whose weights are no prefix's: recurrences, tables, products of other forms, and
// whatever cannot be taken out of its place.
func makesFeatures(ix *onnx.Index, n *onnx.Node) bool {
	constant := func(slot int) bool {
		return slot < len(n.GetInput()) && ix.Initializer(n.GetInput()[slot]) != nil
	}
	switch n.GetOpType() {
	case "LSTM", "GRU", "RNN", "ConvTranspose", "Attention":
		return true
	case "Conv": // a depthwise one leaves the features apart, another group is cheap on inputs' few features
		return onnx.AttrInt(n, "group", 1) == 1
	case "MatMul", "Gemm", "Einsum":
		return constant(0) || constant(1)
	case "Gather": // an embedding
		return constant(0) && !constant(1)
	}
	return onnx.HasSubgraph(n) || n.GetDomain() != "" && n.GetDomain() != "ai.onnx"
}

func addStem(stems []*stem, src *Source, n *onnx.Node, c space.Contraction) []*stem {
	value := n.GetInput()[c.InputSlot]
	size := src.Index.Initializer(n.GetInput()[c.ParamSlot]).GetDims()[c.ParamAxis]
	for _, s := range stems {
		if s.value == value && s.axis == c.InputAxis {
			s.readers = append(s.readers, n)
			return stems
		}
	}
	return append(stems, &stem{value: value, axis: c.InputAxis, size: int(size), readers: []*onnx.Node{n}})
}

// findPrefixes rewrites the models where their prefixes keep them from sharing what follows; s itself is returned
// where there is nothing to gain. Where prefixes would help and cannot be, s.noPrefix says why.
func findPrefixes(s *Sources, o pair.Options) (*Sources, error) {
	if len(s.Models) < 2 {
		return s, nil
	}
	stems := make([][]*stem, len(s.Models))
	for i, src := range s.Models {
		var why string
		if stems[i], why = stemsOf(src); why != "" {
			s.noPrefix = fmt.Sprintf("model %d: %s", i+1, why)
			return s, nil
		}
	}
	if s.prefixesShared(stems) {
		return s, nil
	}
	w := &widener{plain: s, rows: pairStems(s, stems), skip: map[*onnx.Node]bool{}}
	for len(w.rows) > 0 {
		wide, err := w.build(o)
		if err != nil || wide == nil {
			s.noPrefix = w.why
			return s, err
		}
		done, err := w.settle(wide)
		if done || err != nil {
			return wide, err
		}
	}
	s.noPrefix = w.why
	return s, nil
}

// prefixesShared reports whether the plain trunk holds a reader of every stem of the first model.
func (s *Sources) prefixesShared(stems [][]*stem) bool {
	t, err := FindTrunk(s, Cut{})
	if err != nil {
		return false
	}
	for _, st := range stems[0] {
		if !slices.ContainsFunc(st.readers, func(n *onnx.Node) bool { return t.Has(s, n) }) {
			return false
		}
	}
	return true
}

// pairStems finds the stems of all models that correspond: by the inputs that they depend on, the axis and the rank,
// in order. Stems without counterparts are left out; those of one and the same value need nothing.
func pairStems(s *Sources, stems [][]*stem) [][]*stem {
	var rows [][]*stem
	used := map[*stem]bool{}
	for _, first := range stems[0] {
		row := []*stem{first}
		for i := 1; i < len(s.Models); i++ {
			at := slices.IndexFunc(stems[i], func(st *stem) bool { return !used[st] && s.likeStem(first, st, i) })
			if at < 0 {
				break
			}
			row = append(row, stems[i][at])
		}
		if len(row) == len(s.Models) {
			rows = append(rows, row)
			for _, st := range row {
				used[st] = true
			}
		}
	}
	return rows
}

func (s *Sources) likeStem(a, b *stem, i int) bool {
	x, y := s.Models[0].Shapes[a.value], s.Models[i].Shapes[b.value]
	return a.axis == b.axis && len(x.Dims) == len(y.Dims) && slices.Equal(s.roots(0, a.value), s.roots(i, b.value))
}

// roots lists the inputs, numbered as they are paired, that a value of model i depends on.
func (s *Sources) roots(i int, value string) []int {
	_, inputs := ancestors(s.Models[i].Index, []string{value})
	var out []int
	for k, row := range s.Pairing.Inputs {
		if inputs[row[i]] {
			out = append(out, k)
		}
	}
	return out
}

// ancestors are the nodes that values depend on, and the inputs among what these read.
func ancestors(ix *onnx.Index, values []string) (nodes map[*onnx.Node]bool, inputs map[string]bool) {
	nodes, inputs = map[*onnx.Node]bool{}, map[string]bool{}
	stack := slices.Clone(values)
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := ix.Producer(v)
		if n == nil {
			inputs[v] = ix.Initializer(v) == nil
			continue
		}
		if !nodes[n] {
			nodes[n] = true
			stack = append(stack, onnx.Reads(n)...)
		}
	}
	return nodes, inputs
}

// sameButFor reports whether values have the same sizes on all axes but one.
func sameButFor(shapes shape.Shapes, values []string, axis int) (string, bool) {
	first := shapes[values[0]]
	for _, v := range values[1:] {
		other := shapes[v]
		if len(first.Dims) != len(other.Dims) {
			return fmt.Sprintf("%q has rank %d, %q rank %d", values[0], len(first.Dims), v, len(other.Dims)), false
		}
		for k, d := range first.Dims {
			if k != axis && (d != other.Dims[k] || d.Sym == "?") {
				return fmt.Sprintf("axis %d of %q and %q cannot be shown to have one size", k, values[0], v), false
			}
		}
	}
	return "", true
}
