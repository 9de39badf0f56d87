package rewrite

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// microsoft is the domain of ONNX Runtime's fused operators.
const microsoft = "com.microsoft"

// expanders lists the fused operators that are exactly a sequence of standard ones. Each returns that
// sequence, nil where a node is not, or not enough is known of its inputs (yet).
var expanders = map[string]func(e *editor, n *onnx.Node) []*onnx.Node{
	"FusedConv":              expandFusedConv,
	"FusedGemm":              expandFusedGemm,
	"FusedMatMul":            expandFusedMatMul,
	"Gelu":                   expandGelu,
	"BiasGelu":               expandGelu,
	"FastGelu":               expandFastGelu,
	"QuickGelu":              expandQuickGelu,
	"SkipLayerNormalization": expandSkipLayerNorm,
}

// Expand returns a model with the fused operators of ONNX Runtime's optimiser written out as standard
// ones, as far as that is exact; the model itself where it has none. Refuse names what is left.
func Expand(m *onnx.Model) (*onnx.Model, error) {
	if !slices.ContainsFunc(m.Graph().GetNode(), func(n *onnx.Node) bool { return expanders[n.GetOpType()] != nil && n.GetDomain() == microsoft }) {
		return m, nil
	}
	m = m.Clone()
	for expanded := true; expanded; { // what is known of values grows with every node that is a standard one
		e, err := editTyped(m)
		if err != nil {
			return nil, err
		}
		expanded = false
		for n := range e.nodes {
			if expand := expanders[n.GetOpType()]; expand != nil && n.GetDomain() == microsoft {
				if news := expand(e, n); news != nil {
					e.replace(n, news...)
					expanded = true
				}
			}
		}
		e.close()
	}
	dropDomains(m)
	return m, nil
}

// plainNode copies a node as a standard operator, without attributes whose names begin so.
func plainNode(n *onnx.Node, op, prefix string, inputs []string) *onnx.Node {
	c := onnx.NewNode(op, n.GetName(), inputs, slices.Clone(n.Output[:1]))
	for _, a := range n.GetAttribute() {
		if !strings.HasPrefix(a.GetName(), prefix) {
			c.Attribute = append(c.Attribute, onnx.Clone(a))
		}
	}
	return c
}

// expandFusedConv: a Conv, what is added to it, and an activation.
func expandFusedConv(e *editor, n *onnx.Node) []*onnx.Node {
	conv := plainNode(n, "Conv", "activation", slices.Clone(n.Input[:min(len(n.Input), 3)]))
	var p []float32
	if a := onnx.Attr(n, "activation_params"); a != nil {
		p = a.GetFloats()
	}
	return e.activated(n, conv, input(n, 3), onnx.AttrString(n, "activation", ""), p)
}

// expandFusedGemm: a Gemm and an activation.
func expandFusedGemm(e *editor, n *onnx.Node) []*onnx.Node {
	gemm := plainNode(n, "Gemm", "activation", slices.Clone(n.Input))
	p := []float32{onnx.AttrFloat(n, "activation_alpha", 0), onnx.AttrFloat(n, "activation_beta", 0)}
	return e.activated(n, gemm, "", onnx.AttrString(n, "activation", ""), p)
}

// activated appends to a node the addition of a value, "" for none, and an activation with its parameters.
func (e *editor) activated(n, first *onnx.Node, add, activation string, p []float32) []*onnx.Node {
	plain := e.fresh(nameFor(n, "plain"))
	c := &chain{e: e, base: n, dtype: e.value(input(first, 1)).DType, at: plain, nodes: []*onnx.Node{first}, ok: true}
	if add != "" {
		c.with("Add", add)
	}
	switch {
	case activation == "":
	case activation == "Relu", activation == "Sigmoid", activation == "Tanh", activation == "HardSwish" && e.opset() >= hardSwishSince:
		c.unary(activation)
	case activation == "LeakyRelu" && len(p) >= 1:
		c.unary(activation, onnx.FloatAttr("alpha", p[0]))
	case activation == "HardSigmoid" && len(p) >= 2:
		c.unary(activation, onnx.FloatAttr("alpha", p[0]), onnx.FloatAttr("beta", p[1]))
	case activation == "Clip" && len(p) >= 2 && e.opset() >= 11 && c.dtype.IsFloat():
		bound := func(v float32) string {
			return e.addConstant(nameFor(n, "bound"), onnx.FromFloat64(c.dtype, []float64{float64(v)}))
		}
		c.node(activation, []string{bound(p[0]), bound(p[1])})
	default:
		return nil
	}
	if len(c.nodes) > 1 {
		first.Output[0] = plain
	}
	return c.end(n.Output[0])
}

// expandFusedMatMul: operands transposed, multiplied, and scaled.
func expandFusedMatMul(e *editor, n *onnx.Node) []*onnx.Node {
	in := slices.Clone(n.Input)
	if len(in) != 2 {
		return nil
	}
	var news []*onnx.Node
	for slot, side := range []string{"A", "B"} {
		last, batch := onnx.AttrInt(n, "trans"+side, 0) != 0, onnx.AttrInt(n, "transBatch"+side, 0) != 0
		if !last && !batch {
			continue
		}
		rank := e.rank(in[slot])
		if rank < 2 {
			return nil
		}
		turned := e.fresh(nameFor(n, side))
		news = append(news, onnx.NewNode("Transpose", e.freshNode(nameFor(n, side)), []string{in[slot]}, []string{turned},
			onnx.Ints("perm", fusedPerm(rank, last, batch)...)))
		in[slot] = turned
	}
	c := e.chain(n, input(n, 0))
	c.at, c.ok = in[0], true
	c.with("MatMul", in[1])
	if alpha := float64(onnx.AttrFloat(n, "alpha", 1)); alpha != 1 {
		c.ok = c.dtype.IsFloat()
		c.binary("Mul", alpha)
	}
	if !c.ok {
		return nil
	}
	return append(news, c.end(n.Output[0])...)
}

// fusedPerm is the order of axes that FusedMatMul takes an operand in: with batch the first axis goes behind
// those of the batch, with last the last two are swapped then.
func fusedPerm(rank int, last, batch bool) []int64 {
	perm := sequence(0, int64(rank))
	if batch {
		perm = append(append(sequence(1, int64(rank)-1), 0), int64(rank)-1)
	}
	if last {
		perm[rank-1], perm[rank-2] = perm[rank-2], perm[rank-1]
	}
	return perm
}

// expandGelu: a bias, where there is one, and x·(1 + erf(x/√2))/2.
func expandGelu(e *editor, n *onnx.Node) []*onnx.Node {
	c := e.biased(n)
	if !c.ok {
		return nil
	}
	return append(c.nodes, e.geluOf(n, c.at, n.Output[0], c.dtype)...)
}

// biased adds a node's second input, where there is one, to its first.
func (e *editor) biased(n *onnx.Node) *chain {
	c := e.chain(n, input(n, 0))
	if bias := input(n, 1); bias != "" {
		c.dtype = max(c.dtype, e.value(bias).DType)
		c.ok = c.dtype.IsFloat()
		c.with("Add", bias)
	}
	return c
}

// expandFastGelu: a bias, where there is one, and x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
func expandFastGelu(e *editor, n *onnx.Node) []*onnx.Node {
	c := e.biased(n)
	x := c.at
	if !c.ok {
		return nil
	}
	if e.opset() >= geluSince {
		return c.unary("Gelu", onnx.StringAttr("approximate", "tanh")).end(n.Output[0])
	}
	c.binary("Pow", 3).binary("Mul", 0.044715).with("Add", x).binary("Mul", 0.7978845608028654).
		unary("Tanh").binary("Add", 1).with("Mul", x).binary("Mul", 0.5)
	return c.end(n.Output[0])
}

// expandQuickGelu: x·sigmoid(α·x).
func expandQuickGelu(e *editor, n *onnx.Node) []*onnx.Node {
	c := e.chain(n, input(n, 0))
	return c.binary("Mul", float64(onnx.AttrFloat(n, "alpha", 1.702))).unary("Sigmoid").with("Mul", input(n, 0)).end(n.Output[0])
}

// expandSkipLayerNorm: input, skip and bias added, which may be an output of its own, and normalised.
func expandSkipLayerNorm(e *editor, n *onnx.Node) []*onnx.Node {
	gamma := input(n, 2)
	if len(n.Output) > 1 && (!e.unread(n.Output[1]) || len(n.Output) > 2 && !e.unread(n.Output[2])) || gamma == "" {
		return nil
	}
	c := &chain{e: e, base: n, dtype: e.value(gamma).DType, at: input(n, 0)}
	c.ok = c.dtype.IsFloat()
	c.with("Add", input(n, 1))
	if bias := input(n, 4); bias != "" {
		c.with("Add", bias)
	}
	if len(n.Output) > 3 && n.Output[3] != "" {
		c.nodes[len(c.nodes)-1].Output[0], c.at = n.Output[3], n.Output[3]
	}
	e.layerNorm(c, gamma, input(n, 3), float64(onnx.AttrFloat(n, "epsilon", 1e-12)))
	return c.end(n.Output[0])
}

// layerNorm appends γ·(x - E x)/√(Var x + ε) + β over the last axis; β may be absent.
func (e *editor) layerNorm(c *chain, gamma, beta string, epsilon float64) {
	if e.opset() >= layerNormSince {
		more := []string{gamma}
		if beta != "" {
			more = append(more, beta)
		}
		c.node("LayerNormalization", more, onnx.Int("axis", -1), onnx.FloatAttr("epsilon", float32(epsilon)))
		return
	}
	x := c.at
	mean := c.unary("ReduceMean", onnx.Ints("axes", -1)).at
	c.at = x
	centred := c.with("Sub", mean).at
	deviation := c.binary("Pow", 2).unary("ReduceMean", onnx.Ints("axes", -1)).binary("Add", epsilon).unary("Sqrt").at
	c.at = centred
	c.with("Div", deviation).with("Mul", gamma)
	if beta != "" {
		c.with("Add", beta)
	}
}
