package adopt

import (
	"fmt"
	"slices"
	"sort"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// weight is a parameter of a network: a float initializer of more than one element.
type weight struct {
	name string
	// key says what it is, whatever the exporter: its dims, as [out, in] where it is the matrix of a linear map, and
	// without ones where it is a vector.
	key string
	// transposed: the matrix is stored as [in, out].
	transposed bool
}

// weightsOf lists the parameters of a graph in the order in which its outputs need them, which does not depend on
// names, on the file's order, or on how the operands of commutative operators are placed.
func weightsOf(ix *onnx.Index) []weight {
	w := &walk{ix: ix, needs: weightsNeeded(ix), seen: map[string]bool{}}
	for _, out := range ix.Graph.GetOutput() {
		w.visit(out.GetName())
	}
	return w.found
}

type walk struct {
	ix    *onnx.Index
	needs map[*onnx.Node]int
	seen  map[string]bool
	found []weight
}

// visit lists the weights behind a value: those of what a node reads, then its own.
func (w *walk) visit(value string) {
	n := w.ix.Producer(value)
	if n == nil || w.seen[value] {
		return
	}
	for _, out := range n.GetOutput() {
		w.seen[out] = true
	}
	reads := slices.Clone(onnx.Reads(n))
	if commutative[n.GetOpType()] {
		sort.SliceStable(reads, func(i, j int) bool { return w.behind(reads[i]) < w.behind(reads[j]) })
	}
	for _, v := range reads {
		w.visit(v)
	}
	for slot, v := range n.GetInput() {
		if isWeight(w.ix.Initializer(v)) && !w.seen[v] {
			w.seen[v] = true
			w.found = append(w.found, describe(n, slot, w.ix.Initializer(v)))
		}
	}
}

var commutative = map[string]bool{"Add": true, "Mul": true}

// behind is the number of weights that lead to a value.
func (w *walk) behind(value string) int { return w.needs[w.ix.Producer(value)] }

// weightsNeeded counts, for each node, the weights of the nodes that lead to it, its own included.
func weightsNeeded(ix *onnx.Index) map[*onnx.Node]int {
	before := ancestors(ix)
	own := make([]int, len(ix.Order))
	for i, n := range ix.Order {
		for _, v := range n.GetInput() {
			if isWeight(ix.Initializer(v)) {
				own[i]++
			}
		}
	}
	count := map[*onnx.Node]int{}
	for i, n := range ix.Order {
		before[i].each(func(k int) { count[n] += own[k] })
	}
	return count
}

func isWeight(t *onnx.TensorProto) bool {
	return t != nil && onnx.DType(t.GetDataType()).IsFloat() && elements(t.GetDims()) > 1
}

func elements(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// describe says what a weight is to the node that reads it.
func describe(n *onnx.Node, slot int, t *onnx.TensorProto) weight {
	dims := t.GetDims()
	wide := slices.DeleteFunc(slices.Clone(dims), func(d int64) bool { return d == 1 })
	w := weight{name: t.GetName()}
	switch {
	case slot == 1 && len(dims) == 2 && (n.GetOpType() == "MatMul" || n.GetOpType() == "Gemm" && onnx.AttrInt(n, "transB", 0) == 0):
		w.transposed = true
		w.key = fmt.Sprint("matrix", []int64{dims[1], dims[0]})
	case len(dims) == 2 && (n.GetOpType() == "MatMul" || n.GetOpType() == "Gemm" && slot == 1):
		w.key = fmt.Sprint("matrix", dims)
	case len(wide) < 2:
		w.key = fmt.Sprint("vector", wide)
	default:
		w.key = fmt.Sprint("tensor", dims)
	}
	return w
}
