package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// placeScales multiplies the number that an attention scales its scores by into the first factor of their product,
// right before it. Exporters have it before or behind the heads are divided, in front of the product or behind it, its
// square root on both sides, and as a divisor.
func placeScales(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if isOp(n, "MatMul") && e.opset() >= 7 && e.isComputed(input(n, 0)) && e.isComputed(input(n, 1)) && e.placeScale(n) {
			r.did("scale placed")
		}
	}
	e.close()
	return nil
}

// movers lists the operators that change where numbers are and nothing else: a factor may as well come behind.
var movers = []string{"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Expand"}

// scaled is a Mul or Div by one number, and the movers between it and the product.
type scaled struct {
	n    *onnx.Node
	by   float64
	path []*onnx.Node
}

// placeScale collects the factors of one product.
func (e *editor) placeScale(n *onnx.Node) bool {
	var before []scaled
	for slot := range n.Input {
		before = append(before, e.scales(n.Input[slot])...)
	}
	behind, by := e.scaleOf(e.reader(n.Output[0]))
	if len(before) == 0 && behind == nil {
		return false
	}
	if behind == nil {
		by = 1
	}
	for _, s := range before {
		by *= s.by
	}
	by = e.rootOfWidth(n, by)
	dtype := e.value(n.Output[0]).DType
	number, ok := rounded(dtype, []float64{by}, nil)
	if !dtype.IsFloat() || !ok || by == 0 || e.isPlaced(n, before, behind, number) {
		return false
	}
	renamed := map[*onnx.Node]bool{} // two factors may lie on one path
	for _, s := range before {
		for _, p := range s.path {
			if !renamed[p] {
				e.rename(p, "unscaled")
				renamed[p] = true
			}
		}
		e.redirect(s.n.Output[0], s.n.Input[0])
		e.replace(s.n)
	}
	if behind != nil {
		e.takeOver(n, behind)
	}
	scale := e.addConstant(nameFor(n, "scale"), number)
	out := e.fresh(nameFor(n, "scaled"))
	mul := onnx.NewNode("Mul", e.freshNode(nameFor(n, "scaled")), []string{n.Input[0], scale}, []string{out})
	product := onnx.Clone(n)
	product.Input[0] = out
	e.replace(n, mul, product)
	return true
}

// isPlaced reports whether the one factor is where it belongs.
func (e *editor) isPlaced(n *onnx.Node, before []scaled, behind *onnx.Node, number *onnx.Tensor) bool {
	if behind != nil || len(before) != 1 || !isOp(before[0].n, "Mul") || before[0].n.Output[0] != n.Input[0] {
		return false
	}
	t, ok := e.constant(before[0].n.Input[1])
	return ok && slices.Equal(t.Raw, number.Raw)
}

// scales lists the factors in front of an operand, the last first.
func (e *editor) scales(value string) (found []scaled) {
	var path []*onnx.Node
	for e.soleReader(value) {
		n := e.producer[value]
		if s, by := e.scaleOf(n); s != nil {
			found = append(found, scaled{s, by, slices.Clone(path)})
		} else if isOp(n, movers...) && input(n, 0) != "" {
			path = append(path, n)
		} else {
			break
		}
		value = n.Input[0]
	}
	return found
}

// scaleOf reports whether n multiplies or divides by one number, and the factor.
func (e *editor) scaleOf(n *onnx.Node) (*onnx.Node, float64) {
	if !isOp(n, "Mul", "Div") || len(n.Input) != 2 {
		return nil, 1
	}
	t, v, ok := e.floats(n.Input[1])
	if !ok || len(v) != 1 || v[0] == 0 || len(t.Dims) > e.rank(n.Input[0]) || e.isConstant(n.Input[0]) {
		return nil, 1
	}
	if isOp(n, "Div") {
		return n, 1 / v[0]
	}
	return n, v[0]
}

// reader is the one node that reads a value, nil where there are more or it is an output.
func (e *editor) reader(value string) *onnx.Node {
	if !e.soleReader(value) || e.uses[value][0].Slot != 0 {
		return nil
	}
	return e.uses[value][0].Node
}

// rootOfWidth is the scale 1/√d, where it is that up to rounding: exporters round it, its inverse or its root.
func (e *editor) rootOfWidth(n *onnx.Node, by float64) float64 {
	x := e.value(n.Input[0])
	if len(x.Dims) == 0 || !x.Dims[len(x.Dims)-1].Known() || x.Dims[len(x.Dims)-1].Size < 1 {
		return by
	}
	const rounding = 1e-6
	if root := 1 / math.Sqrt(float64(x.Dims[len(x.Dims)-1].Size)); math.Abs(by/root-1) <= rounding {
		return root
	}
	return by
}

func (e *editor) isComputed(value string) bool { return value != "" && !e.isConstant(value) }
