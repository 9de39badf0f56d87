package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// dropDead removes nodes and initializers that no graph output depends on, and declarations of values that
// are no more. Graph inputs stay, read or not.
func dropDead(m *onnx.Model, r *Record) error {
	g := m.Graph()
	ix, err := onnx.NewIndex(g)
	if err != nil {
		return err
	}
	needed := neededValues(ix)
	g.Node = filter(g.Node, r, "nodes", func(n *onnx.Node) bool {
		return slices.ContainsFunc(n.GetOutput(), func(v string) bool { return needed[v] })
	})
	g.Initializer = filter(g.Initializer, r, "initializers", func(t *onnx.TensorProto) bool { return needed[t.GetName()] })
	g.ValueInfo = filter(g.ValueInfo, r, "declarations", func(v *onnx.ValueInfo) bool {
		return ix.Producer(v.GetName()) != nil && needed[v.GetName()]
	})
	return nil
}

// neededValues is what the graph's outputs depend on, and all other outputs of the nodes that make it.
func neededValues(ix *onnx.Index) map[string]bool {
	needed := map[string]bool{}
	for _, v := range ix.Graph.GetOutput() {
		needed[v.GetName()] = true
	}
	for _, n := range slices.Backward(ix.Order) {
		if !slices.ContainsFunc(n.GetOutput(), func(v string) bool { return needed[v] }) {
			continue
		}
		for _, v := range n.GetOutput() {
			needed[v] = true
		}
		for _, v := range onnx.Reads(n) {
			needed[v] = true
		}
	}
	delete(needed, "")
	return needed
}

func filter[T any](list []T, r *Record, kind string, keep func(T) bool) []T {
	return slices.DeleteFunc(list, func(x T) bool {
		if keep(x) {
			return false
		}
		r.did(kind + " dropped")
		return true
	})
}
