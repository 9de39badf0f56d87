package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// globalPools turns means over all positions of a map into GlobalAveragePool: an AveragePool with one
// window that covers the map, a ReduceMean over two or more axes from the third on. Where ReduceMean drops
// the axes, a Flatten follows.
func globalPools(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		switch {
		case isOp(n, "AveragePool") && e.coversAll(n):
			e.replace(n, onnx.NewNode("GlobalAveragePool", n.GetName(), []string{n.Input[0]}, []string{n.Output[0]}))
			r.did("AveragePool made global")
		case isOp(n, "ReduceMean") && e.reducesMap(n):
			e.replace(n, e.reduceToPool(n)...)
			r.did("ReduceMean made GlobalAveragePool")
		}
	}
	e.close()
	return nil
}

// coversAll reports whether an AveragePool's only window is the whole map and nothing else.
func (e *editor) coversAll(n *onnx.Node) bool {
	size, ok := e.sizes(input(n, 0), 2)
	return ok && len(size) > 0 && slices.Equal(size, onnx.AttrInts(n, "kernel_shape")) &&
		onnx.Attr(n, "auto_pad") == nil && all(onnx.AttrInts(n, "pads"), 0) && all(onnx.AttrInts(n, "dilations"), 1)
}

// reducesMap reports whether a ReduceMean is over all axes but the first two. Of rank 3 it may as well be
// the mean that a normalisation of tokens takes, which is no pool.
func (e *editor) reducesMap(n *onnx.Node) bool {
	rank := e.rank(input(n, 0))
	axes, given, ok := e.list(n, "axes", 1)
	if rank < 4 || !given || !ok || !e.value(n.Input[0]).DType.IsFloat() {
		return false
	}
	axes = slices.Clone(axes)
	for i, a := range axes {
		if a < 0 {
			axes[i] += int64(rank)
		}
	}
	slices.Sort(axes)
	return slices.Equal(axes, sequence(2, int64(rank)))
}

func (e *editor) reduceToPool(n *onnx.Node) []*onnx.Node {
	if onnx.AttrInt(n, "keepdims", 1) != 0 {
		return []*onnx.Node{onnx.NewNode("GlobalAveragePool", n.GetName(), []string{n.Input[0]}, []string{n.Output[0]})}
	}
	mean := e.fresh(nameFor(n, "mean"))
	return []*onnx.Node{
		onnx.NewNode("GlobalAveragePool", n.GetName(), []string{n.Input[0]}, []string{mean}),
		onnx.NewNode("Flatten", e.freshNode(nameFor(n, "flatten")), []string{mean}, []string{n.Output[0]}, onnx.Int("axis", 1)),
	}
}
