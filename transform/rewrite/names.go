package rewrite

import (
	"strconv"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// names holds every name of a main graph and its subgraphs. Values and nodes are named independently.
type names struct{ values, nodes map[string]bool }

func newNames() names { return names{map[string]bool{}, map[string]bool{}} }

// add takes the names of a graph and its subgraphs.
func (t names) add(g *onnx.Graph) {
	for _, p := range g.GetInitializer() {
		t.values[p.GetName()] = true
	}
	for _, list := range [][]*onnx.ValueInfo{g.GetInput(), g.GetOutput(), g.GetValueInfo()} {
		for _, v := range list {
			t.values[v.GetName()] = true
		}
	}
	for _, n := range g.GetNode() {
		t.nodes[n.GetName()] = true
		for _, v := range n.GetOutput() {
			t.values[v] = true
		}
		eachSubgraph(n, t.add)
	}
}

// value returns base, or base with the first number that makes it a new value's name, and takes it.
func (t names) value(base string) string { return fresh(t.values, base) }

// node is value for nodes.
func (t names) node(base string) string { return fresh(t.nodes, base) }

func fresh(taken map[string]bool, base string) string {
	name := base
	for i := 2; name == "" || taken[name]; i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	taken[name] = true
	return name
}
