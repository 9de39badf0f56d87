package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// chain writes a sequence of nodes, each of which reads what the one before makes.
type chain struct {
	e     *editor
	base  *onnx.Node // what the nodes are named after
	dtype onnx.DType // of the constants
	at    string     // the value at the end
	nodes []*onnx.Node
	ok    bool
}

// chain begins at a value of a known floating type.
func (e *editor) chain(base *onnx.Node, x string) *chain {
	dtype := e.value(x).DType
	return &chain{e: e, base: base, dtype: dtype, at: x, ok: dtype.IsFloat()}
}

// node appends a node that reads the value at the end, then more.
func (c *chain) node(op string, more []string, attrs ...*onnx.Attribute) *chain {
	out := c.e.fresh(nameFor(c.base, op))
	c.nodes = append(c.nodes, onnx.NewNode(op, c.e.freshNode(nameFor(c.base, op)), append([]string{c.at}, more...), []string{out}, attrs...))
	c.at = out
	return c
}

func (c *chain) unary(op string, attrs ...*onnx.Attribute) *chain { return c.node(op, nil, attrs...) }

func (c *chain) with(op, value string) *chain { return c.node(op, []string{value}) }

// binary combines the value with a number.
func (c *chain) binary(op string, v float64) *chain {
	if !c.ok {
		return c
	}
	return c.with(op, c.e.addConstant(nameFor(c.base, op+"_by"), onnx.FromFloat64(c.dtype, []float64{v})))
}

// end gives the last value its name and returns the nodes; nil where the type is unknown.
func (c *chain) end(out string) []*onnx.Node {
	if !c.ok {
		return nil
	}
	c.nodes[len(c.nodes)-1].Output[0] = out
	return c.nodes
}
