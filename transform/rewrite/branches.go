package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// divideBranches takes the weights of a split attention (SKNet) apart: Reshape(x, […, r, c, …]) → Softmax over the r
// branches becomes a Slice of x for each branch, and their Concat. Each branch then has features of its own, which
// what they weigh ties to each other; a Reshape would lay them out as heads.
func divideBranches(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if isOp(n, "Softmax") && e.opset() >= 13 && e.divideBranch(n) {
			r.did("branches divided")
		}
	}
	e.close()
	return nil
}

// maxBranches bounds the nodes that one Softmax is preceded by.
const maxBranches = 8

func (e *editor) divideBranch(softmax *onnx.Node) bool {
	n := e.producer[input(softmax, 0)]
	if !isOp(n, "Reshape") || !e.soleReader(n.Output[0]) || onnx.AttrInt(n, "allowzero", 0) != 0 {
		return false
	}
	in, out := e.value(input(n, 0)).Dims, e.value(n.Output[0]).Dims
	target, ok := e.ints(input(n, 1))
	axis, okAxis := normalAxis(onnx.AttrInt(softmax, "axis", -1), len(out))
	if !ok || !okAxis || len(target) != len(out) || axis >= len(in) || !slices.Equal(in[:axis], out[:axis]) || slices.Contains(target[axis:], 0) {
		return false
	}
	sizes := factors(in[axis], out[axis:])
	if len(sizes) < 2 || sizes[0] < 2 || sizes[0] > maxBranches {
		return false
	}
	one := slices.Clone(target)
	one[axis] = 1
	base := func(what string) string { return nameFor(n, what) }
	var news []*onnx.Node
	var parts []string
	unit := product(sizes[1:])
	for k := range sizes[0] {
		cut, shaped := e.fresh(base("branch")), e.fresh(base("weights"))
		news = append(news,
			e.cutOut(n, "branch", k*unit, (k+1)*unit, axis, cut),
			onnx.NewNode("Reshape", e.freshNode(base("weights")), []string{cut, e.addConstant(base("shape"), onnx.FromInt64(one, int64(len(one))))}, []string{shaped}))
		parts = append(parts, shaped)
	}
	e.replace(n, append(news, onnx.NewNode("Concat", e.freshNode(base("branches")), parts, []string{n.Output[0]}, onnx.Int("axis", int64(axis))))...)
	return true
}
