package rewrite

import (
	"math"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// geluSince, hardSwishSince and layerNormSince are the opsets that have these functions as operators. Before,
// each is written in one form of simpler ones.
const (
	geluSince      = 20
	hardSwishSince = 14
	layerNormSince = 17
)

// compose brings functions that exporters write out, each in its own way, to one form: the operator, where
// the opset has it, else one sequence of simpler ones.
func compose(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		switch {
		case isOp(n, "Erf") && e.composeGelu(n):
			r.did("Gelu composed")
		case isOp(n, "HardSigmoid") && e.composeHardSwish(n):
			r.did("HardSwish composed")
		case isOp(n, "Sqrt") && e.composeLayerNorm(n):
			r.did("LayerNormalization composed")
		}
	}
	e.close()
	return nil
}

// number reports whether a value is a constant of one element about equal to x.
func (e *editor) number(value string, x float64) bool {
	_, v, ok := e.floats(value)
	return ok && len(v) == 1 && math.Abs(v[0]-x) <= 1e-3*math.Abs(x)
}

// only returns the one node that reads a value, if it is of that operator.
func (e *editor) only(value, op string) *onnx.Node {
	if !e.soleReader(value) || e.uses[value][0].Slot < 0 {
		return nil
	}
	n := e.uses[value][0].Node
	if !isOp(n, op) || len(n.GetOutput()) == 0 || n.Output[0] == "" {
		return nil
	}
	return n
}

// other is the operand of a binary node that is not the given one.
func other(n *onnx.Node, operand string) string {
	if input(n, 0) == operand {
		return input(n, 1)
	}
	return input(n, 0)
}

// composeGelu finds x·(1 + erf(x/√2))/2 around its Erf, in whatever order the factors are multiplied.
func (e *editor) composeGelu(erf *onnx.Node) bool {
	scale := e.producer[input(erf, 0)]
	if !(isOp(scale, "Div") && e.number(input(scale, 1), math.Sqrt2) || isOp(scale, "Mul") && e.number(input(scale, 1), math.Sqrt2/2)) {
		return false
	}
	x := input(scale, 0)
	add := e.only(erf.Output[0], "Add")
	if add == nil || !e.number(other(add, erf.Output[0]), 1) {
		return false
	}
	first := e.only(add.Output[0], "Mul")
	if first == nil {
		return false
	}
	gone, last := []*onnx.Node{erf, add, first}, first
	switch factor := other(first, add.Output[0]); {
	case factor == x, e.number(factor, 0.5):
		if last = e.only(first.Output[0], "Mul"); last == nil {
			return false
		}
		rest := other(last, first.Output[0])
		if factor == x && !e.number(rest, 0.5) || factor != x && rest != x {
			return false
		}
		gone = append(gone, last)
		if factor == x && isOp(scale, "Div") && e.opset() < geluSince {
			return false // it has the form already
		}
	default:
		half := e.producer[factor]
		if !isOp(half, "Mul") || input(half, 0) != x || !e.number(input(half, 1), 0.5) {
			return false
		}
	}
	news := e.gelu(last, x, last.Output[0])
	if news == nil {
		return false
	}
	for _, n := range gone {
		if n != last {
			e.replace(n)
		}
	}
	e.replace(last, news...)
	return true
}

// gelu makes the nodes that compute Gelu of x into out, named after n; nil where x's type is unknown.
func (e *editor) gelu(n *onnx.Node, x, out string) []*onnx.Node {
	return e.geluOf(n, x, out, e.value(x).DType)
}

// geluOf is gelu of a value of a given type.
func (e *editor) geluOf(n *onnx.Node, x, out string, dtype onnx.DType) []*onnx.Node {
	c := &chain{e: e, base: n, dtype: dtype, at: x, ok: dtype.IsFloat()}
	if e.opset() >= geluSince {
		return c.unary("Gelu", onnx.StringAttr("approximate", "none")).end(out)
	}
	return c.binary("Div", math.Sqrt2).unary("Erf").binary("Add", 1).with("Mul", x).binary("Mul", 0.5).end(out)
}

// composeHardSwish: x·HardSigmoid(x) with slope 1/6 is HardSwish.
func (e *editor) composeHardSwish(n *onnx.Node) bool {
	mul := e.only(n.Output[0], "Mul")
	if mul == nil || other(mul, n.Output[0]) != input(n, 0) || e.opset() < hardSwishSince ||
		math.Abs(float64(onnx.AttrFloat(n, "alpha", 0.2))-1.0/6) > 1e-6 || onnx.AttrFloat(n, "beta", 0.5) != 0.5 {
		return false
	}
	e.replace(n)
	e.replace(mul, onnx.NewNode("HardSwish", mul.GetName(), []string{input(n, 0)}, []string{mul.Output[0]}))
	return true
}

// composeLayerNorm finds γ·(x - E x)/√(Var x + ε) + β around its Sqrt.
func (e *editor) composeLayerNorm(sqrt *onnx.Node) bool {
	add := e.producer[input(sqrt, 0)]
	if e.opset() < layerNormSince || !isOp(add, "Add") {
		return false
	}
	_, epsilon, ok := e.floats(input(add, 1))
	variance := e.producer[input(add, 0)]
	if !ok || len(epsilon) != 1 || !e.overLastAxis(variance) {
		return false
	}
	square := e.producer[input(variance, 0)]
	if !(isOp(square, "Pow") && e.number(input(square, 1), 2) || isOp(square, "Mul") && input(square, 0) == input(square, 1)) {
		return false
	}
	centred := e.producer[input(square, 0)]
	if !isOp(centred, "Sub") || !e.overLastAxis(e.producer[input(centred, 1)]) {
		return false
	}
	x := input(centred, 0)
	div := e.only(sqrt.Output[0], "Div")
	if e.producer[input(centred, 1)].Input[0] != x || div == nil || input(div, 1) != sqrt.Output[0] || !e.sameCentre(input(div, 0), centred) {
		return false
	}
	scale := e.only(div.Output[0], "Mul")
	if scale == nil {
		return false
	}
	shift := e.only(scale.Output[0], "Add")
	if shift == nil || !e.perFeature(scale, div.Output[0], x) || !e.perFeature(shift, scale.Output[0], x) {
		return false
	}
	for _, n := range []*onnx.Node{sqrt, div, scale} {
		e.replace(n)
	}
	e.replace(shift, onnx.NewNode("LayerNormalization", shift.GetName(),
		[]string{x, other(scale, div.Output[0]), other(shift, scale.Output[0])}, []string{shift.Output[0]},
		onnx.Int("axis", int64(e.rank(x)-1)), onnx.FloatAttr("epsilon", float32(epsilon[0])), onnx.Int("stash_type", 1)))
	return true
}

// sameCentre reports whether a value is x - E x: that of the variance, or as TorchScript writes it a second one.
func (e *editor) sameCentre(value string, centred *onnx.Node) bool {
	n := e.producer[value]
	return n == centred || isOp(n, "Sub") && input(n, 0) == input(centred, 0) && input(n, 1) == input(centred, 1)
}

// overLastAxis reports whether n is a ReduceMean over the last axis that keeps it.
func (e *editor) overLastAxis(n *onnx.Node) bool {
	if !isOp(n, "ReduceMean") || onnx.AttrInt(n, "keepdims", 1) != 1 {
		return false
	}
	axes, given, ok := e.list(n, "axes", 1)
	rank := int64(e.rank(input(n, 0)))
	return given && ok && len(axes) == 1 && rank > 0 && (axes[0] == -1 || axes[0] == rank-1)
}

// perFeature reports whether n combines value with a constant of one number for each feature of x's last axis.
func (e *editor) perFeature(n *onnx.Node, value, x string) bool {
	t, ok := e.constant(other(n, value))
	rank := e.rank(x)
	return ok && rank > 0 && len(t.Dims) == 1 && e.value(x).Dims[rank-1].Is(t.Dims[0])
}
