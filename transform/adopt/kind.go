package adopt

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// linear lists operators that move, select, or combine linearly what they read. Between networks of one function only
// these may differ: what bends values must be the same on both sides, lest two functions be taken for one that differ
// only where no probe went (a Clip at 6, say).
var linear = setOf("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Concat", "Gather", "GatherND",
	"Expand", "Tile", "Identity", "Cast", "CastLike", "Pad", "DepthToSpace", "SpaceToDepth", "Trilu",
	"Add", "Sub", "Mul", "Div", "Neg", "Sum", "Reciprocal", "MatMul", "Gemm", "Einsum", "Conv", "ReduceSum", "ReduceMean", "GlobalAveragePool",
	"Where", "IsNaN", "Not", "And", "Or", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
	"Shape", "Size", "Range", "ConstantOfShape", "Constant", "Cos", "Sin", "ScatterND", "ScatterElements", "GatherElements")

func setOf(ops ...string) map[string]bool {
	s := map[string]bool{}
	for _, op := range ops {
		s[op] = true
	}
	return s
}

// bends gives each node a hash of everything nonlinear that leads to it, its own operator included, in any order.
func bends(ix *onnx.Index) []uint64 {
	own := make([]uint64, len(ix.Order))
	carries := carriesFeatures(ix)
	for i, n := range ix.Order {
		if carries[i] && !linear[n.GetOpType()] {
			own[i] = kindOf(ix, n)
		}
	}
	sums := make([]uint64, len(ix.Order))
	for i, before := range ancestors(ix) {
		before.each(func(k int) { sums[i] += own[k] })
	}
	return sums
}

// carriesFeatures reports, for each node, whether it computes with weights or float inputs; sizes, positions and
// masks do not.
func carriesFeatures(ix *onnx.Index) []bool {
	carries := make([]bool, len(ix.Order))
	for i, n := range ix.Order {
		if op := n.GetOpType(); op == "Shape" || op == "Size" {
			continue
		}
		for _, v := range onnx.Reads(n) {
			if p := ix.Producer(v); p != nil {
				carries[i] = carries[i] || carries[ix.Position(p)]
			} else if in := ix.Input(v); in != nil {
				dtype, _, _ := onnx.TensorType(in)
				carries[i] = carries[i] || dtype.IsFloat()
			} else {
				carries[i] = carries[i] || isWeight(ix.Initializer(v))
			}
		}
	}
	return carries
}

// kindOf hashes what is nonlinear in an operator: with its attributes and the numbers that it reads, but for the axes
// that differ between forms. What some exporters write out has the hash of that.
func kindOf(ix *onnx.Index, n *onnx.Node) uint64 {
	switch op := n.GetOpType(); op {
	case "Attention", "Softmax":
		return hash("Softmax")
	case "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization":
		return hash("Sqrt", fmt.Sprint([]float64{float64(onnx.AttrFloat(n, "epsilon", 1e-5))}))
	case "Sqrt":
		return hash("Sqrt", numbers(ix, ix.Producer(n.GetInput()[0])))
	case "Gelu":
		if onnx.AttrString(n, "approximate", "none") == "tanh" {
			return hash("Tanh", "")
		}
		return hash("Erf", "")
	case "Pow":
		if x := numbers(ix, n); x == "[2]" || x == "[3]" {
			return 0 // polynomials
		}
	}
	parts := []string{n.GetDomain(), n.GetOpType()}
	for _, a := range n.GetAttribute() {
		if name := a.GetName(); name != "axis" && name != "axes" && name != "keepdims" && name != "stash_type" && a.G == nil {
			parts = append(parts, fmt.Sprint(name, a.GetI(), a.GetF(), string(a.GetS()), a.GetInts(), a.GetFloats()))
		}
	}
	if len(parts) == 2 {
		return hash(n.GetOpType(), numbers(ix, n))
	}
	slices.Sort(parts[2:])
	return hash(append(parts, numbers(ix, n))...)
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(strings.Join(parts, "\x00")))
	return h.Sum64()
}

// numbers lists the single floats that a node reads, "" without any.
func numbers(ix *onnx.Index, n *onnx.Node) string {
	text := ""
	for _, v := range n.GetInput() {
		if t := ix.Initializer(v); t != nil && onnx.DType(t.GetDataType()).IsFloat() && elements(t.GetDims()) == 1 {
			if x, err := onnx.TensorOf(t); err == nil {
				values, _ := x.Float64s()
				text += fmt.Sprint(values)
			}
		}
	}
	return text
}
