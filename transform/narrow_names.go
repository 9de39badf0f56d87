package transform

import (
	"maps"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// namesBack gives what merging a model alone has scoped by its head the model's own names again.
type namesBack struct {
	src   *merge.Source
	g     *onnx.Graph
	taken map[string]bool   // names of values, and "node "+NAME of nodes
	to    map[string]string // what was renamed
}

func (b namesBack) findTaken() {
	for _, t := range b.g.GetInitializer() {
		b.taken[t.GetName()] = true
	}
	for _, n := range b.g.GetNode() {
		b.taken["node "+n.GetName()] = true
		for _, v := range n.GetOutput() {
			b.taken[v] = true
		}
	}
}

// values renames what nodes make. It returns, by their names, the values that are computed a second time, to be handed out: the
// model reads the first on, which has the name.
func (b namesBack) values(m *merge.Merged) (again map[string]string) {
	again = map[string]string{}
	for _, own := range slices.Sorted(maps.Keys(m.Values[0])) {
		name := m.Values[0][own]
		switch {
		case own == name || b.src.Index.Output(own) != nil:
			continue
		case b.taken[own]:
			again[name] = own
			continue
		}
		b.rename(name, own)
		if b.src.Index.Output(name) != nil { // merging alone hands it out directly
			b.g.Node = append(b.g.Node, onnx.NewNode("Identity", name, []string{own}, []string{name}))
		}
		m.Values[0][own] = own
	}
	return again
}

func (b namesBack) rename(from, to string) {
	onnx.RenameValue(b.g, from, to)
	b.to[from] = to
}

func (b namesBack) parameters() {
	for _, t := range b.g.GetInitializer() {
		own, scoped := strings.CutPrefix(t.GetName(), b.src.Head+"/")
		if scoped && b.src.Index.Initializer(own) != nil && !b.taken[own] {
			b.rename(t.GetName(), own)
			t.Name = &own
		}
	}
}

// nodes renames the nodes, and in their subgraphs what was renamed outside.
func (b namesBack) nodes() {
	for _, n := range b.g.GetNode() {
		if own, scoped := strings.CutPrefix(n.GetName(), b.src.Head+"/"); scoped && !b.taken["node "+own] {
			n.Name = &own
		}
		if onnx.HasSubgraph(n) {
			onnx.RenameCaptured(n, b.to)
		}
	}
}
