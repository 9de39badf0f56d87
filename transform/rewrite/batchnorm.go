package rewrite

import (
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// batchNorm is a BatchNormalization in inference: y = s·x + t per channel, with s = γ/√(v+ε) and t = β - s·μ.
type batchNorm struct {
	node  *onnx.Node
	dtype onnx.DType
	s, t  []float64
}

// removeBatchNorms folds each BatchNormalization into the contraction before it, else into the one after
// it, and makes a Mul and an Add of what is left.
func removeBatchNorms(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if !isOp(n, "BatchNormalization") {
			continue
		}
		if err := e.checkInference(n); err != nil {
			return err
		}
		switch bn := e.batchNorm(n); {
		case bn == nil:
			r.note("%q stays: its parameters are computed or not finite", onnx.NodeName(n))
		case e.foldIntoMaker(n, bn.s, bn.t):
			r.did("folded into the node before")
		case e.foldIntoReader(bn):
			r.did("folded into the node after")
		case e.makeAffine(bn):
			r.did("made Mul and Add")
		default:
			r.note("%q stays: its rank is unknown or its numbers overflow", onnx.NodeName(n))
		}
	}
	e.close()
	return nil
}

// checkInference refuses a node that normalises by its batch. How a file says so changed with opset 7 (an
// attribute before; then the statistics as outputs) and 14 (an attribute).
func (e *editor) checkInference(n *onnx.Node) error {
	training := false
	switch {
	case e.opset() >= 14:
		training = onnx.AttrInt(n, "training_mode", 0) != 0
	case e.opset() >= 7:
		for _, out := range n.GetOutput()[1:] {
			training = training || out != "" // read or not
		}
	default:
		training = onnx.AttrInt(n, "is_test", 0) == 0
	}
	if !training {
		return nil
	}
	return fault.New(fault.Unsupported, "training_mode", "BatchNormalization is in training mode: its output depends on the whole batch").
		AtNode(onnx.NodeName(n)).WithHint("export the model for inference: model.eval() in PyTorch, training=False in Keras")
}

// batchNorm computes s and t; nil where a parameter is no constant or a number is not finite.
func (e *editor) batchNorm(n *onnx.Node) *batchNorm {
	if len(n.GetInput()) != 5 || onnx.AttrInt(n, "spatial", 1) != 1 {
		return nil
	}
	var p [4][]float64 // γ, β, μ, v
	var dtype onnx.DType
	for i := range p {
		t, v, ok := e.floats(n.Input[1+i])
		if !ok || len(t.Dims) != 1 || i > 0 && len(v) != len(p[0]) {
			return nil
		}
		if p[i] = v; i == 0 {
			dtype = t.DType
		}
	}
	if x := e.value(n.Input[0]).DType; x != onnx.Undefined {
		dtype = x // parameters may be of a wider type than the values
	}
	bn := &batchNorm{node: n, dtype: dtype, s: make([]float64, len(p[0])), t: make([]float64, len(p[0]))}
	epsilon := float64(onnx.AttrFloat(n, "epsilon", 1e-5))
	for c := range bn.s {
		bn.s[c] = p[0][c] / math.Sqrt(p[3][c]+epsilon)
		bn.t[c] = p[1][c] - bn.s[c]*p[2][c]
	}
	if !finite(bn.s) || !finite(bn.t) {
		return nil
	}
	return bn
}

// foldIntoMaker folds s·x + t, as n computes it of its first input, into the contraction that makes x. It
// must be made for n alone.
func (e *editor) foldIntoMaker(n *onnx.Node, s, t []float64) bool {
	x := n.Input[0]
	c := e.contraction(e.producer[x])
	if c == nil || !e.soleReader(x) || c.channels != int64(len(s)) || !c.foldAfter(s, t) {
		return false
	}
	e.takeOver(c.node, n)
	return true
}

// foldIntoReader folds bn into a Conv or Gemm that alone reads its output, where that is exact.
func (e *editor) foldIntoReader(bn *batchNorm) bool {
	y := bn.node.Output[0]
	if !e.soleReader(y) || e.uses[y][0].Slot != 0 {
		return false
	}
	n := e.uses[y][0].Node
	exact := isOp(n, "Conv") && onnx.Attr(n, "auto_pad") == nil && all(onnx.AttrInts(n, "pads"), 0) ||
		isOp(n, "Gemm") && onnx.AttrInt(n, "transA", 0) == 0
	if !exact {
		return false
	}
	c := e.contraction(n)
	if c == nil || c.inputs != int64(len(bn.s)) || !c.foldBefore(bn.s, bn.t) {
		return false
	}
	x := bn.node.Input[0]
	e.replace(bn.node)
	e.setInput(n, 0, x)
	return true
}

// makeAffine replaces bn by a Mul and an Add with constants of dims [C,1,…].
func (e *editor) makeAffine(bn *batchNorm) bool {
	n, rank := bn.node, e.rank(bn.node.Input[0])
	if rank < 2 || !bn.dtype.IsFloat() || e.opset() < 7 { // elementwise operators broadcast from opset 7 on
		return false
	}
	dims := append([]int64{int64(len(bn.s))}, repeat(1, rank-2)...)
	s, okS := rounded(bn.dtype, bn.s, dims)
	t, okT := rounded(bn.dtype, bn.t, dims)
	if !okS || !okT {
		return false
	}
	scaled := e.fresh(nameFor(n, "scaled"))
	e.replace(n,
		onnx.NewNode("Mul", e.freshNode(nameFor(n, "scale")), []string{n.Input[0], e.addConstant(n.Input[1]+"_scale", s)}, []string{scaled}),
		onnx.NewNode("Add", e.freshNode(nameFor(n, "shift")), []string{scaled, e.addConstant(n.Input[2]+"_shift", t)}, []string{n.Output[0]}))
	return true
}
