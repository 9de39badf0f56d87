package merge

import (
	"cmp"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// maxRepeat is the part of a model's FLOPs that its head may compute again.
const maxRepeat = 0.1

// repeat finds what heads compute again for outputs that the trunk makes on its way (a latent code that is decoded
// too). The trunk's features are a mean over the models, good enough to compute on with; an output's features mean
// something, and are asked for as the source makes them. So each head has the last weights before such an output for
// itself, as it has its classifier: they read the trunk, and least squares refits them to their own source. The
// trunk's copy of them is free to be merged.
//
// Where there are no such weights close by (an output behind a residual sum depends on all that was added up to there)
// the head is handed the trunk's features in its own order. So it is where the weights are dear (maxRepeat; the
// cheapest go first), unless the features lie on two axes, as inside an attention, and cannot be handed on.
func (t *Trunk) repeat(s *Sources) {
	t.again = map[*onnx.Node]bool{}
	for i := range s.Models {
		chains := t.chains(s, i)
		if len(chains) == 0 {
			continue
		}
		flops := s.flops()[i]
		cost := func(nodes []*onnx.Node) (sum int64) {
			for _, n := range nodes {
				if !t.again[n] {
					sum += flops[n]
				}
			}
			return sum
		}
		slices.SortStableFunc(chains, func(a, b chain) int { return cmp.Compare(cost(a.nodes), cost(b.nodes)) })
		left := int64(maxRepeat * float64(cost(s.Models[i].Index.Order)))
		for _, c := range chains {
			if price := cost(c.nodes); c.divided || price <= left {
				left -= price
				for _, n := range c.nodes {
					t.again[n] = true
				}
			}
		}
	}
}

// chain is what leads from the last weights to a value that the trunk goes on with and of which a head makes an output.
type chain struct {
	nodes   []*onnx.Node
	divided bool // the value cannot be handed on
}

// chains lists them for model i, in the order of their outputs.
func (t *Trunk) chains(s *Sources, i int) []chain {
	ix := s.Models[i].Index
	var list []chain
	seen := map[string]bool{}
	for _, n := range ix.Order {
		if t.Has(s, n) || !t.endsInOutput(i, ix, n) {
			continue
		}
		for _, v := range n.GetInput() {
			p := ix.Producer(v)
			if p == nil || !t.Has(s, p) || seen[v] || t.leads[i][v] != "" {
				continue
			}
			seen[v] = true
			c := chain{divided: slices.ContainsFunc(t.Analysis.Layouts(i, v), space.Layout.Inside)}
			if k, _ := s.Pairing.Of(p); t.identical[k] && !c.divided {
				continue // the trunk's features are the source's
			}
			if c.nodes = t.chain(s, i, v); len(c.nodes) > 0 {
				list = append(list, c)
			}
		}
	}
	return list
}

// endsInOutput reports whether a node, without weights that mix features, leads to outputs on all ways.
func (t *Trunk) endsInOutput(i int, ix *onnx.Index, n *onnx.Node) bool {
	return !contracts(ix, n) && !slices.ContainsFunc(n.GetOutput(), func(v string) bool {
		return v != "" && t.leads[i][v] == "" && (len(ix.Uses(v)) > 0 || ix.Output(v) != nil)
	})
}

// chain follows a value of model i back through nodes of one computed operand to weights that mix features; where it
// meets none, to the first weights that the models do not have in common (a LayerNorm's gain).
func (t *Trunk) chain(s *Sources, i int, value string) []*onnx.Node {
	ix := s.Models[i].Index
	var nodes []*onnx.Node
	own := 0
	for n := ix.Producer(value); n != nil && t.Has(s, n) && !onnx.HasSubgraph(n); n = ix.Producer(value) {
		_, contraction := space.ContractionOf(ix, n, 2)
		if contraction || n.GetOpType() == "Gather" && s.param(i, n, 0) != nil {
			return append(nodes, n)
		}
		operands := s.operands(i, n)
		if len(operands) != 1 {
			break
		}
		nodes, value = append(nodes, n), operands[0]
		if s.ownWeights(i, n) {
			own = len(nodes)
		}
	}
	return nodes[:own]
}

// operands are the values that a node computes with: neither parameters nor shapes.
func (s *Sources) operands(i int, n *onnx.Node) []string {
	var list []string
	for _, v := range n.GetInput() {
		if v != "" && s.Models[i].Index.Initializer(v) == nil && !s.Models[i].Shapes[v].DType.IsInt() {
			list = append(list, v)
		}
	}
	return list
}

// ownWeights reports whether a node of model i reads a parameter in which the models differ.
func (s *Sources) ownWeights(i int, n *onnx.Node) bool {
	for slot, v := range n.GetInput() {
		if s.param(i, n, slot) == nil {
			continue
		}
		if first, ok := s.Pairing.Value(i, 0, v); ok && !s.equalParam(first) {
			return true
		}
	}
	return false
}

// dropUnread takes nodes out of the trunk that only heads would read, of which some has its own: then all do.
func (t *Trunk) dropUnread(s *Sources) {
	var dropped *onnx.Node
	for _, k := range slices.Backward(t.Groups) {
		nodes := s.Pairing.Nodes[k]
		if t.in[k] && slices.ContainsFunc(nodes, func(n *onnx.Node) bool { return t.again[n] }) && !t.readsOn(s, nodes) {
			delete(t.in, k)
			for _, n := range nodes {
				delete(t.again, n)
			}
			dropped = nodes[0]
		}
	}
	if dropped == nil {
		return
	}
	t.Groups = slices.DeleteFunc(t.Groups, func(k int) bool { return !t.in[k] })
	t.Ends = append(t.Ends, End{Node: onnx.NodeName(dropped), Why: "it makes the features of an output, and nothing behind it is shared"})
}

// readsOn reports whether nodes of the trunk read what these make.
func (t *Trunk) readsOn(s *Sources, nodes []*onnx.Node) bool {
	for i, n := range nodes {
		for _, v := range n.GetOutput() {
			if slices.ContainsFunc(s.Models[i].Index.Uses(v), func(u onnx.Use) bool { return t.Has(s, u.Node) }) {
				return true
			}
		}
	}
	return false
}

// Again lists the nodes of model i's base that the trunk computes once for all heads and head i once more, for outputs
// of its own.
func (t *Trunk) Again(s *Sources, i int) []*onnx.Node {
	var list []*onnx.Node
	for _, n := range s.Models[i].Index.Order {
		if t.again[n] {
			list = append(list, n)
		}
	}
	return list
}
