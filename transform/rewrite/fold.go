package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// folders lists the operators that can be computed here from constant inputs (given in order, nil where
// absent). They return nil where they cannot tell. Integer tensors of up to one axis need no entry: shape
// inference knows their contents, through Shape of computed values too.
var folders = map[string]func(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor{
	"Transpose": foldTranspose,
	"Reshape":   foldDims,
	"Flatten":   foldDims,
	"Squeeze":   foldDims,
	"Unsqueeze": foldDims,
	"Cast":      foldCast,
	"Expand":    foldExpand,
	"Slice":     foldSlice,
	"Gather":    foldGather,
	"GatherND":  foldGatherND,
	"Concat":    foldConcat,
	"Add":       foldBinary(func(a, b float64) float64 { return a + b }),
	"Sub":       foldBinary(func(a, b float64) float64 { return a - b }),
	"Mul":       foldBinary(func(a, b float64) float64 { return a * b }),
	"Div":       foldBinary(func(a, b float64) float64 { return a / b }),
	"Pow":       foldBinary(math.Pow),
	"Min":       foldBinary(math.Min),
	"Max":       foldBinary(math.Max),
	"MatMul":    foldMatMul,
	"Clip":      foldClip,
	"ScatterND": foldScatterND,
	"Tile":      foldTile,

	"ReduceMean": foldReduce(true), "ReduceSum": foldReduce(false), "BatchNormalization": foldBatchNorm,

	"Neg": foldUnary(func(a float64) float64 { return -a }), "Sqrt": foldUnary(math.Sqrt), "Abs": foldUnary(math.Abs),
	"Exp": foldUnary(math.Exp), "Log": foldUnary(math.Log), "Erf": foldUnary(math.Erf), "Tanh": foldUnary(math.Tanh),
	"Sign": foldUnary(sign), "Relu": foldUnary(relu), "Sigmoid": foldUnary(sigmoid),
	"Reciprocal": foldUnary(func(a float64) float64 { return 1 / a }),
	"Ceil":       foldUnary(math.Ceil), "Floor": foldUnary(math.Floor), "Round": foldUnary(math.RoundToEven),
}

// foldConstants replaces nodes whose value does not depend on the inputs by initializers of the same name.
// Sizes that the file leaves open stay open: what is computed from them is not a constant.
func foldConstants(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if len(n.GetOutput()) == 0 || e.outputs[n.Output[0]] || isOp(n, "Constant") || slices.ContainsFunc(n.Output[1:], e.read) {
			continue
		}
		t := e.knownInts(n.Output[0])
		if t == nil {
			t = e.likeTyped(n)
		}
		if t == nil {
			t = e.fold(n)
		}
		if t == nil {
			continue
		}
		name := n.Output[0]
		e.replace(n)
		e.inits[name] = t.Proto(name)
		e.graph.Initializer = append(e.graph.Initializer, e.inits[name])
		r.did(n.GetOpType() + " folded")
	}
	e.close()
	return nil
}

// read reports whether anything reads a value.
func (e *editor) read(value string) bool {
	return value != "" && (e.outputs[value] || len(e.uses[value]) > 0)
}

// knownInts returns the contents of a small integer value, if inference knows all of it.
func (e *editor) knownInts(name string) *onnx.Tensor {
	v := e.value(name)
	dims, ok := v.Static()
	if !ok || v.Ints == nil || int64(len(v.Ints)) != product(dims) || v.DType.Size() == 0 || v.DType.IsFloat() {
		return nil
	}
	ints := make([]int64, len(v.Ints))
	for i, d := range v.Ints {
		if !d.Known() {
			return nil
		}
		ints[i] = d.Size
	}
	return fromInts(v.DType, ints, dims)
}

// likeTyped gives a CastLike the type that it names by its second input, which need not be a constant.
func (e *editor) likeTyped(n *onnx.Node) *onnx.Tensor {
	t, ok := e.constant(input(n, 0))
	like := e.value(input(n, 1)).DType
	if !isOp(n, "CastLike") || !ok || like == onnx.Undefined {
		return nil
	}
	return convert(t, like)
}

// fold computes a node whose inputs are all constant.
func (e *editor) fold(n *onnx.Node) *onnx.Tensor {
	f := folders[n.GetOpType()]
	if f == nil || !isStandard(n) || len(n.GetInput()) == 0 || n.Input[0] == "" {
		return nil
	}
	in := make([]*onnx.Tensor, len(n.Input))
	for i, v := range n.Input {
		if v == "" {
			continue
		}
		var ok bool
		if in[i], ok = e.constant(v); !ok {
			return nil
		}
	}
	return f(e, n, in)
}

// foldTranspose leaves a tied matrix alone: a transposed copy would no longer be the same tensor.
func foldTranspose(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	if e.tied(n.Input[0]) {
		return nil
	}
	perm := onnx.AttrInts(n, "perm")
	if len(perm) == 0 {
		for i := len(in[0].Dims) - 1; i >= 0; i-- {
			perm = append(perm, int64(i))
		}
	}
	return transpose(in[0], perm)
}

// foldDims is for nodes that change the dims and not the order of the elements.
func foldDims(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	dims, ok := e.sizes(n.Output[0], 0)
	if !ok || product(dims) != int64(in[0].Len()) {
		return nil
	}
	return &onnx.Tensor{DType: in[0].DType, Dims: dims, Raw: in[0].Raw}
}

func foldCast(_ *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	return convert(in[0], onnx.DType(onnx.AttrInt(n, "to", 0)))
}

// foldExpand repeats one number; features that are repeated stay tied by their node.
func foldExpand(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	dims, ok := e.sizes(n.Output[0], 0)
	if !ok || in[0].Len() != 1 || !upTo(dims, maxExpanded) || len(dims) < len(in[0].Dims) {
		return nil
	}
	out := onnx.NewTensor(in[0].DType, dims...)
	for at := 0; at < len(out.Raw); at += len(in[0].Raw) {
		copy(out.Raw[at:], in[0].Raw)
	}
	return out
}

// maxExpanded bounds what is made of one number: a bias of zeros, not a map.
const maxExpanded = 1 << 16

// upTo reports whether dims hold at most so many elements.
func upTo(dims []int64, limit int64) bool {
	n := int64(1)
	for _, d := range dims {
		if d > limit || n*d > limit {
			return false
		}
		n *= d
	}
	return true
}

func foldSlice(e *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	starts, okStarts := listOf(e, n, "starts", 1)
	ends, okEnds := listOf(e, n, "ends", 2)
	if !okStarts || !okEnds || len(starts) != len(ends) {
		return nil
	}
	axes, given, ok := e.list(n, "axes", 3)
	if !given {
		axes = sequence(0, int64(len(starts)))
	}
	steps := repeat(1, len(starts))
	if input(n, 4) != "" {
		if steps, ok = e.ints(n.Input[4]); !ok {
			return nil
		}
	}
	if !ok || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil
	}
	t := in[0]
	for i := range starts {
		axis, ok := normalAxis(axes[i], len(t.Dims))
		if !ok || steps[i] == 0 {
			return nil
		}
		t = take(t, axis, sliceIndices(t.Dims[axis], starts[i], ends[i], steps[i]))
	}
	return t
}

func listOf(e *editor, n *onnx.Node, attr string, slot int) ([]int64, bool) {
	v, given, ok := e.list(n, attr, slot)
	return v, given && ok
}

// maxJoined bounds the elements of constants that grow as they are folded: a hostile file doubles them at
// each of a hundred nodes.
const maxJoined = 1 << 26

// foldGather takes scalar and one-dimensional indices only.
func foldGather(_ *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	axis, ok := normalAxis(onnx.AttrInt(n, "axis", 0), len(in[0].Dims))
	if !ok || len(in) != 2 || in[1] == nil || len(in[1].Dims) > 1 {
		return nil
	}
	indices, err := in[1].Int64s()
	if err != nil || in[0].Len()/max(int(in[0].Dims[axis]), 1)*len(indices) > maxJoined {
		return nil
	}
	size := in[0].Dims[axis]
	for i, x := range indices {
		if x < -size || x >= size {
			return nil
		}
		if x < 0 {
			indices[i] += size
		}
	}
	t := take(in[0], axis, indices)
	if len(in[1].Dims) == 0 {
		t.Dims = append(t.Dims[:axis:axis], t.Dims[axis+1:]...)
	}
	return t
}

// foldGatherND picks blocks of a constant: tables of relative positions, as PyTorch's dynamo exporter reads them.
func foldGatherND(_ *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	if len(in) != 2 || in[1] == nil || len(in[1].Dims) == 0 || onnx.AttrInt(n, "batch_dims", 0) != 0 {
		return nil
	}
	last := len(in[1].Dims) - 1
	depth := int(in[1].Dims[last])
	indices, err := in[1].Int64s()
	if err != nil || depth < 1 || depth > len(in[0].Dims) {
		return nil
	}
	dims := append(slices.Clone(in[1].Dims[:last]), in[0].Dims[depth:]...)
	if !upTo(dims, maxArithmetic) {
		return nil
	}
	block := int(product(in[0].Dims[depth:])) * in[0].DType.Size()
	raw := make([]byte, 0, int(product(in[1].Dims[:last]))*block)
	for i := 0; i < len(indices); i += depth {
		at := 0
		for k, x := range indices[i : i+depth] {
			size := in[0].Dims[k]
			if x < -size || x >= size {
				return nil
			}
			at = at*int(size) + int((x+size)%size)
		}
		raw = append(raw, in[0].Raw[at*block:(at+1)*block]...)
	}
	return &onnx.Tensor{DType: in[0].DType, Dims: dims, Raw: raw}
}

func foldConcat(_ *editor, n *onnx.Node, in []*onnx.Tensor) *onnx.Tensor {
	axis, ok := normalAxis(onnx.AttrInt(n, "axis", 0), len(in[0].Dims))
	total := 0
	for _, t := range in {
		if t != nil {
			total += t.Len()
		}
	}
	if !ok || total > maxJoined {
		return nil
	}
	return concat(in, axis)
}
