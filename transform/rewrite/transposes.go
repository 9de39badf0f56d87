package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// plainTransposes makes one Transpose of two in a row, and of one between Reshapes that join leading axes before it
// and divide them again behind it: PyTorch's dynamo exporter exchanges the last two axes of keys like this.
func plainTransposes(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		switch {
		case isOp(n, "Transpose") && e.fuseTransposes(n):
			r.did("Transposes made one")
		case isOp(n, "Reshape") && e.dropJoin(n):
			r.did("Reshapes around a Transpose dropped")
		}
	}
	e.close()
	return nil
}

// fuseTransposes: the one before n is read by n alone.
func (e *editor) fuseTransposes(n *onnx.Node) bool {
	before := e.producer[input(n, 0)]
	if !isOp(before, "Transpose") || !e.soleReader(n.Input[0]) {
		return false
	}
	first, second := permutation(before), permutation(n)
	if len(first) == 0 || len(first) != len(second) {
		return false
	}
	perm := make([]int64, len(second))
	for i, a := range second {
		perm[i] = first[a]
	}
	e.replace(before)
	e.replace(n, onnx.NewNode("Transpose", n.GetName(), []string{before.Input[0]}, []string{n.Output[0]}, onnx.Ints("perm", perm...)))
	return true
}

// dropJoin finds Reshape [L…, A…] → [ΠL, A…], Transpose of all but the first axis, and Reshape back to [L…, …],
// each the sole reader of the one before; n is the first.
func (e *editor) dropJoin(n *onnx.Node) bool {
	t := e.only(n.Output[0], "Transpose")
	if t == nil || input(n, 0) == "" {
		return false
	}
	last := e.only(t.Output[0], "Reshape")
	perm := permutation(t)
	in, joined, out := e.value(n.Input[0]), e.value(n.Output[0]), e.value(t.Output[0])
	if last == nil || len(perm) < 2 || perm[0] != 0 || !in.HasRank || !joined.HasRank || !out.HasRank {
		return false
	}
	back := e.value(last.Output[0])
	lead := len(in.Dims) - len(joined.Dims) + 1 // axes that the first Reshape joins
	if lead < 2 || !slices.Equal(in.Dims[lead:], joined.Dims[1:]) || len(back.Dims) != len(in.Dims) ||
		!slices.Equal(back.Dims[:lead], in.Dims[:lead]) || !slices.Equal(back.Dims[lead:], out.Dims[1:]) {
		return false
	}
	whole := sequence(0, int64(lead))
	for _, a := range perm[1:] {
		whole = append(whole, a+int64(lead)-1)
	}
	e.replace(n)
	e.replace(t)
	e.replace(last, onnx.NewNode("Transpose", last.GetName(), []string{n.Input[0]}, []string{last.Output[0]}, onnx.Ints("perm", whole...)))
	return true
}

// permutation is the order of axes that a Transpose gives; nil where it gives none, or none that is one.
func permutation(n *onnx.Node) []int64 {
	perm := onnx.AttrInts(n, "perm")
	if !slices.Equal(slices.Sorted(slices.Values(perm)), sequence(0, int64(len(perm)))) {
		return nil
	}
	return perm
}
