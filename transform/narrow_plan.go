package transform

import (
	"maps"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// planWidths finds widths of the trunk and of all models behind it at which the merged model needs at most o.Budget times the
// FLOPs of one source. Errors are Prepared.planWidths'.
func (n *narrowing) planWidths(o Settings, rename map[string]string) (map[*space.Space]int, error) {
	w, err := n.from.newPlanner(o.Budget, func(widths map[*space.Space]int) (float64, error) { return n.flopsAt(widths, rename) })
	if err != nil {
		return nil, err
	}
	w.add(n.from, n.trunk, o, anyWidth)
	first := n.alone[0]
	w.add(first.p, first.t, o, first.freeIn)
	for _, a := range n.alone[1:] {
		if sameSpaces(first.free, a.free) {
			w.tie(first.free, a.free) // models of one kind are narrowed alike
		} else {
			w.add(a.p, a.t, o, a.freeIn)
		}
	}
	return w.plan()
}

// sameSpaces reports whether two models have as many features in each of these spaces.
func sameSpaces(a, b []*space.Space) bool {
	return slices.EqualFunc(a, b, func(x, y *space.Space) bool { return x.Dim == y.Dim })
}

// flopsAt counts the FLOPs of a merged model of those widths. A node behind the cut does what it does with a narrower trunk, less
// what its model saves by being narrower: products of features in and out.
func (n *narrowing) flopsAt(widths map[*space.Space]int, rename map[string]string) (float64, error) {
	m, err := merge.Build(n.from.Sources, n.trunk, n.from.anyone(keepWidths(n.trunk, widths)), merge.Options{Rename: rename, Ones: true})
	if err != nil {
		return 0, err
	}
	merged, err := flopsByValue(m.Model)
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, f := range merged {
		total += f
	}
	for i, a := range n.alone {
		if a.flops == nil {
			if a.flops, err = flopsByValue(a.p.Sources.Models[0].Model); err != nil {
				return 0, err
			}
		}
		narrow, err := a.build(a.any(widths), true)
		if err != nil {
			return 0, err
		}
		left, err := flopsByValue(narrow.Model)
		if err != nil {
			return 0, err
		}
		for value, f := range a.flops {
			name, inHead := m.Values[i][value]
			if !inHead || f == 0 {
				continue
			}
			total -= merged[name] * (1 - left[value]/f)
		}
		for value := range a.again { // computed twice from now on
			total += left[value]
		}
	}
	return total, nil
}

// flopsByValue counts the FLOPs of nodes, by the first value that each makes.
func flopsByValue(m *onnx.Model) (map[string]float64, error) {
	c, err := cost.AtBatch(m, 1)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, n := range m.Graph().GetNode() {
		if node, ok := c.Node(n); ok {
			out[n.GetOutput()[0]] = float64(node.FLOPs)
		}
	}
	return out, nil
}

// keepWidths are the planned widths of one trunk's spaces.
func keepWidths(t *merge.Trunk, widths map[*space.Space]int) map[*space.Space]int {
	out := maps.Clone(widths)
	maps.DeleteFunc(out, func(sp *space.Space, _ int) bool { return !slices.Contains(t.Analysis.Spaces, sp) })
	return out
}
