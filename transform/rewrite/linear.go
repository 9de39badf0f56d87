package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// unifyLinear gives every linear map of a matrix by constant weights one form: Gemm(transB=1, alpha=1,
// beta=1) with weights [out, in] and, if any, a bias [out]. Maps of higher ranks stay MatMul and Add.
func unifyLinear(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		switch {
		case isOp(n, "MatMul"):
			e.matMulToGemm(n, r)
		case isOp(n, "Gemm"):
			e.foldAlpha(n, r)
			e.foldBeta(n, r)
			if e.layWeights(n) {
				r.did("weights transposed")
			}
			e.plainBias(n, r)
		}
	}
	e.close()
	return nil
}

// foldAlpha multiplies alpha into constant weights.
func (e *editor) foldAlpha(n *onnx.Node, r *Record) {
	alpha := float64(onnx.AttrFloat(n, "alpha", 1))
	if alpha == 1 || e.tied(input(n, 1)) || !e.scaleInput(n, 1, "alpha", alpha) {
		return
	}
	onnx.SetAttr(n, onnx.FloatAttr("alpha", 1))
	r.did("alpha folded")
}

// foldBeta multiplies beta into a constant bias. A beta of zero takes the bias away where the opset
// allows none, and one of a Gemm without bias means nothing.
func (e *editor) foldBeta(n *onnx.Node, r *Record) {
	beta := float64(onnx.AttrFloat(n, "beta", 1))
	switch bias := input(n, 2); {
	case beta == 1:
		return
	case bias == "":
	case beta == 0 && e.opset() >= gemmWithoutBias:
		e.setInput(n, 2, "")
	case !e.scaleInput(n, 2, "beta", beta):
		return
	}
	onnx.SetAttr(n, onnx.FloatAttr("beta", 1))
	r.did("beta folded")
}

// gemmWithoutBias is the opset that made Gemm's third input optional; gemmBroadcasts the one since which
// it broadcasts as everything else.
const (
	gemmBroadcasts  = 7
	gemmWithoutBias = 11
)

// scaleInput multiplies a constant input by a number; false where it is none or a result would overflow.
func (e *editor) scaleInput(n *onnx.Node, slot int, name string, by float64) bool {
	t, v, ok := e.floats(input(n, slot))
	if !ok {
		return false
	}
	for i := range v {
		v[i] *= by
	}
	scaled, ok := rounded(t.DType, v, t.Dims)
	if ok {
		e.setConstant(n, slot, name, scaled)
	}
	return ok
}

// rounded makes a tensor of float64 numbers, each rounded once; false where one is not finite then.
func rounded(dtype onnx.DType, v []float64, dims []int64) (*onnx.Tensor, bool) {
	t := onnx.FromFloat64(dtype, v, dims...)
	back, err := t.Float64s()
	return t, err == nil && finite(back)
}

// layWeights turns constant weights [in, out] into [out, in].
func (e *editor) layWeights(n *onnx.Node) bool {
	t, ok := e.constant(input(n, 1))
	if !ok || onnx.AttrInt(n, "transB", 0) != 0 || len(t.Dims) != 2 || e.tied(n.Input[1]) {
		return false
	}
	e.setConstant(n, 1, "transposed", transpose(t, []int64{1, 0}))
	onnx.SetAttr(n, onnx.Int("transB", 1))
	return true
}

// plainBias gives a constant bias that broadcasts along the rows the dims [out].
func (e *editor) plainBias(n *onnx.Node, r *Record) {
	c := e.contraction(n)
	t, ok := e.constant(input(n, 2))
	if c == nil || !ok || len(t.Dims) == 1 && t.Dims[0] == c.channels || e.opset() < gemmBroadcasts {
		return
	}
	e.setConstant(n, 2, "bias", onnx.FromFloat64(t.DType, c.bias, c.channels))
	r.did("biases broadcast")
}

// matMulToGemm rewrites the product of a matrix and constant weights, with the bias that an Add brings
// where the Add is the only reader.
func (e *editor) matMulToGemm(n *onnx.Node, r *Record) {
	w, ok := e.constant(input(n, 1))
	if !ok || len(w.Dims) != 2 || !w.DType.IsFloat() || e.rank(n.Input[0]) != 2 || e.tied(n.Input[1]) || e.opset() < gemmBroadcasts {
		return
	}
	in := slices.Clone(n.Input)
	add, bias := e.biasAfter(n, w.Dims[1])
	out := n.Output[0]
	switch {
	case bias != nil:
		in = append(in, e.addConstant(n.Input[1]+"_bias", bias))
		out = add.Output[0]
		e.replace(add)
	case e.opset() < gemmWithoutBias:
		in = append(in, e.addConstant(n.Input[1]+"_bias", onnx.NewTensor(w.DType, w.Dims[1])))
	}
	gemm := onnx.NewNode("Gemm", n.GetName(), in, []string{out},
		onnx.FloatAttr("alpha", 1), onnx.FloatAttr("beta", 1), onnx.Int("transA", 0), onnx.Int("transB", 0))
	e.replace(n, gemm)
	e.layWeights(gemm)
	r.did("MatMul made Gemm")
}

// biasAfter finds the Add of a constant that broadcasts along the rows, the sole reader of n's output.
func (e *editor) biasAfter(n *onnx.Node, outputs int64) (add *onnx.Node, bias *onnx.Tensor) {
	if !e.soleReader(n.Output[0]) {
		return nil, nil
	}
	add = e.uses[n.Output[0]][0].Node
	if !isOp(add, "Add") || len(add.Input) != 2 || add.Input[0] != n.Output[0] {
		return nil, nil
	}
	t, v, ok := e.floats(add.Input[1])
	if !ok {
		return nil, nil
	}
	perOutput, ok := perChannel(t.Dims, v, outputs, 2)
	if !ok {
		return nil, nil
	}
	return add, onnx.FromFloat64(t.DType, perOutput, outputs)
}
