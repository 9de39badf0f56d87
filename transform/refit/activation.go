package refit

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// activation is what all readers of a value make of it, element by element, before anything else sees it: a ReLU, or the nodes
// that a GELU is written out in.
type activation struct {
	nodes     []*onnx.Node
	constants []*onnx.TensorProto
	in, out   string
}

// elementwise lists the operators of activations; those that are true bend what they read.
var elementwise = map[string]bool{
	"Relu": true, "Clip": true, "HardSwish": true, "HardSigmoid": true, "Sigmoid": true, "Tanh": true, "Erf": true, "Gelu": true,
	"Elu": true, "Selu": true, "Celu": true, "Softplus": true, "Softsign": true, "LeakyRelu": true, "Mish": true, "ThresholdedRelu": true,
	"Pow": true, "Min": true, "Max": true, "Mul": false, "Add": false, "Sub": false, "Div": false, "Neg": false,
}

// activationOf follows a value to the first one behind something nonlinear through which all of it has to pass; nil where
// there is none.
func activationOf(ix *onnx.Index, value string) *activation {
	a := &activation{in: value}
	inside, made := map[string]bool{value: true}, map[*onnx.Node]bool{}
	bends := false
	for _, n := range ix.Order {
		own, constants := readsOnly(ix, n, inside)
		if own == 0 {
			continue
		}
		made[n], inside[n.GetOutput()[0]] = true, true
		bends = bends || elementwise[n.GetOpType()] || n.GetOpType() == "Mul" && own > 1
		a.nodes, a.constants, a.out = append(a.nodes, n), append(a.constants, constants...), n.GetOutput()[0]
		if bends && passes(ix, inside, made, a.out) {
			return a
		}
	}
	return nil
}

// readsOnly counts n's inputs that are inside, 0 where it is no operator of an activation, or reads more than those and
// single numbers.
func readsOnly(ix *onnx.Index, n *onnx.Node, inside map[string]bool) (own int, constants []*onnx.TensorProto) {
	if _, ok := elementwise[n.GetOpType()]; !ok || n.GetDomain() != "" && n.GetDomain() != "ai.onnx" || len(n.GetOutput()) != 1 {
		return 0, nil
	}
	if onnx.Attr(n, "min") != nil || onnx.Attr(n, "max") != nil { // Clip before opset 11
		return 0, nil
	}
	for _, v := range n.GetInput() {
		t := ix.Initializer(v)
		switch {
		case inside[v]:
			own++
		case v == "":
		case t != nil && isNumber(t):
			constants = append(constants, t)
		default:
			return 0, nil
		}
	}
	return own, constants
}

func isNumber(t *onnx.TensorProto) bool {
	n := int64(1)
	for _, d := range t.GetDims() {
		n *= d
	}
	return n == 1
}

// passes reports whether everything inside is read by the nodes inside alone, but for out.
func passes(ix *onnx.Index, inside map[string]bool, made map[*onnx.Node]bool, out string) bool {
	for v := range inside {
		if v == out {
			continue
		}
		if ix.Output(v) != nil {
			return false
		}
		for _, u := range ix.Uses(v) {
			if !made[u.Node] {
				return false
			}
		}
	}
	return true
}

// apply adds the activation of a value to a graph of sums.
func (a *activation) apply(b *graphBuilder, value string) string {
	b.count++
	prefix := fmt.Sprintf("%sa%d/", b.prefix, b.count)
	names := map[string]string{a.in: value, "": ""}
	for _, t := range a.constants {
		if names[t.GetName()] != "" {
			continue
		}
		c, name := onnx.Shallow(t), prefix+t.GetName()
		c.Name = &name
		b.g.Initializer = append(b.g.Initializer, c)
		names[t.GetName()] = name
	}
	for _, n := range a.nodes {
		c, name := onnx.Clone(n), prefix+n.GetOutput()[0]
		c.Name = &name
		for k, v := range c.GetInput() {
			c.Input[k] = names[v]
		}
		c.Output[0], names[n.GetOutput()[0]] = name, name
		b.g.Node = append(b.g.Node, c)
	}
	return names[a.out]
}
