package onnx

import (
	"container/heap"
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// Use is one place where a node reads a value. Slot is the input's position, -1 where a subgraph of the
// node captures the value.
type Use struct {
	Node *Node
	Slot int
}

// Index answers who makes and who reads each value of a graph. It is a snapshot: make a new one after
// changing the graph.
type Index struct {
	Graph *Graph
	// Order holds the nodes in topological order; among nodes that are ready, the file's order is kept.
	Order    []*Node
	position map[*Node]int
	producer map[string]*Node
	uses     map[string][]Use
	inits    map[string]*TensorProto
	inputs   map[string]*ValueInfo
	outputs  map[string]*ValueInfo
}

// NewIndex indexes g. A graph in which a value has two producers or none, or that has a cycle, is an
// error of kind fault.Model.
func NewIndex(g *Graph) (*Index, error) {
	ix := &Index{
		Graph: g, position: map[*Node]int{}, producer: map[string]*Node{}, uses: map[string][]Use{},
		inits: map[string]*TensorProto{}, inputs: map[string]*ValueInfo{}, outputs: map[string]*ValueInfo{},
	}
	if err := ix.define(); err != nil {
		return nil, err
	}
	if err := ix.link(); err != nil {
		return nil, err
	}
	return ix, ix.sort()
}

func bad(format string, args ...any) *fault.Error {
	return fault.New(fault.Model, "invalid_graph", format, args...)
}

// define notes where every value comes from.
func (ix *Index) define() error {
	if err := ix.defineGiven(); err != nil {
		return err
	}
	for _, n := range ix.Graph.GetNode() {
		for _, out := range n.GetOutput() {
			if out == "" {
				continue
			}
			if ix.Has(out) {
				return bad("made twice").AtNode(NodeName(n)).AtValue(out)
			}
			ix.producer[out] = n
		}
	}
	for _, out := range ix.Graph.GetOutput() {
		if !ix.Has(out.GetName()) {
			return bad("the graph's output is never made").AtValue(out.GetName())
		}
		ix.outputs[out.GetName()] = out
	}
	return nil
}

// defineGiven notes the values that no node makes.
func (ix *Index) defineGiven() error {
	if sparse := ix.Graph.GetSparseInitializer(); len(sparse) > 0 {
		return fault.New(fault.Unsupported, "sparse_initializer", "sparse initializers are not supported").
			AtValue(sparse[0].GetValues().GetName()).WithHint("export the model with dense weights")
	}
	for _, t := range ix.Graph.GetInitializer() {
		if ix.Has(t.GetName()) {
			return bad("two initializers of one name").AtValue(t.GetName())
		}
		ix.inits[t.GetName()] = t
	}
	for _, in := range ix.Graph.GetInput() {
		if ix.inits[in.GetName()] != nil { // before IR version 4 initializers are inputs too
			continue
		}
		if ix.Has(in.GetName()) {
			return bad("two inputs of one name").AtValue(in.GetName())
		}
		ix.inputs[in.GetName()] = in
	}
	return nil
}

// link notes where every value is read.
func (ix *Index) link() error {
	for _, n := range ix.Graph.GetNode() {
		for slot, in := range n.GetInput() {
			if in == "" {
				continue
			}
			if !ix.Has(in) {
				return bad("reads a value that nothing makes").AtNode(NodeName(n)).AtValue(in)
			}
			ix.uses[in] = append(ix.uses[in], Use{n, slot})
		}
		for _, captured := range captures(n) {
			if ix.Has(captured) {
				ix.uses[captured] = append(ix.uses[captured], Use{n, -1})
			}
		}
	}
	return nil
}

// captures lists the outer values that the subgraphs of n read, each once, in order.
func captures(n *Node) []string {
	var names []string
	seen := map[string]bool{}
	var walk func(g *Graph, inner map[string]bool)
	walk = func(g *Graph, outer map[string]bool) {
		local := map[string]bool{}
		for name := range outer {
			local[name] = true
		}
		for _, v := range g.GetInput() {
			local[v.GetName()] = true
		}
		for _, t := range g.GetInitializer() {
			local[t.GetName()] = true
		}
		read := func(name string) {
			if name != "" && !local[name] && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
		for _, m := range g.GetNode() {
			for _, in := range m.GetInput() {
				read(in)
			}
			eachSubgraph(m, func(sub *Graph) { walk(sub, local) })
			for _, out := range m.GetOutput() {
				local[out] = true
			}
		}
		for _, v := range g.GetOutput() {
			read(v.GetName())
		}
	}
	eachSubgraph(n, func(g *Graph) { walk(g, nil) })
	return names
}

func eachSubgraph(n *Node, f func(*Graph)) {
	for _, a := range n.GetAttribute() {
		if a.G != nil {
			f(a.G)
		}
		for _, g := range a.GetGraphs() {
			f(g)
		}
	}
}

// sort fills Order: Kahn's algorithm with the earliest node of the file first, so that a sorted file
// keeps its order.
func (ix *Index) sort() error {
	nodes := ix.Graph.GetNode()
	waiting := make([]int, len(nodes))
	readers := map[*Node][]int{}
	var ready intHeap
	for i, n := range nodes {
		for _, v := range Reads(n) {
			if p := ix.producer[v]; p != nil {
				waiting[i]++
				readers[p] = append(readers[p], i)
			}
		}
		if waiting[i] == 0 {
			ready = append(ready, i) // ascending: a heap already
		}
	}
	for len(ready) > 0 {
		n := nodes[heap.Pop(&ready).(int)]
		ix.position[n] = len(ix.Order)
		ix.Order = append(ix.Order, n)
		for _, r := range readers[n] {
			if waiting[r]--; waiting[r] == 0 {
				heap.Push(&ready, r)
			}
		}
	}
	for i, n := range nodes {
		if waiting[i] > 0 {
			return bad("the graph has a cycle").AtNode(NodeName(n))
		}
	}
	return nil
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// Reads lists the values that n reads: its inputs and what its subgraphs capture, absent ones left out.
func Reads(n *Node) []string {
	var out []string
	for _, in := range n.GetInput() {
		if in != "" {
			out = append(out, in)
		}
	}
	return append(out, captures(n)...)
}

// Has reports whether the graph has a value of that name.
func (ix *Index) Has(value string) bool {
	return ix.producer[value] != nil || ix.inits[value] != nil || ix.inputs[value] != nil
}

// Producer returns the node that makes a value, nil for inputs and initializers.
func (ix *Index) Producer(value string) *Node { return ix.producer[value] }

// Uses lists the places that read a value, in the file's order.
func (ix *Index) Uses(value string) []Use { return ix.uses[value] }

// Initializer returns the initializer of that name, or nil.
func (ix *Index) Initializer(value string) *TensorProto { return ix.inits[value] }

// Input returns the graph input of that name, or nil. Inputs that are initializers too do not count.
func (ix *Index) Input(value string) *ValueInfo { return ix.inputs[value] }

// Output returns the graph output of that name, or nil.
func (ix *Index) Output(value string) *ValueInfo { return ix.outputs[value] }

// Inputs lists the graph's real inputs in order: those that are not initializers.
func (ix *Index) Inputs() []*ValueInfo {
	var out []*ValueInfo
	for _, v := range ix.Graph.GetInput() {
		if ix.inputs[v.GetName()] != nil {
			out = append(out, v)
		}
	}
	return out
}

// Position is n's place in Order.
func (ix *Index) Position(n *Node) int { return ix.position[n] }

// Constant returns the tensor behind a value: an initializer or the output of a Constant node; nil where
// the value is computed.
func (ix *Index) Constant(value string) *TensorProto {
	if t := ix.inits[value]; t != nil {
		return t
	}
	if n := ix.producer[value]; n != nil && n.GetOpType() == "Constant" && isDefaultDomain(n.GetDomain()) {
		return AttrTensor(n, "value")
	}
	return nil
}

func isDefaultDomain(domain string) bool { return domain == "" || domain == "ai.onnx" }

// NodeName names a node for people: its name, or its operator and first output where it has none.
func NodeName(n *Node) string {
	if n.GetName() != "" {
		return n.GetName()
	}
	for _, out := range n.GetOutput() {
		if out != "" {
			return fmt.Sprintf("%s(%s)", n.GetOpType(), out)
		}
	}
	return n.GetOpType()
}

// RenameCaptured renames, inside the subgraphs of n, the outer values that they read.
func RenameCaptured(n *Node, to map[string]string) {
	var walk func(g *Graph, hidden map[string]bool)
	walk = func(g *Graph, outer map[string]bool) {
		hidden := map[string]bool{}
		for name := range outer {
			hidden[name] = true
		}
		for _, v := range g.GetInput() {
			hidden[v.GetName()] = true
		}
		for _, t := range g.GetInitializer() {
			hidden[t.GetName()] = true
		}
		for _, m := range g.GetNode() {
			for k, in := range m.GetInput() {
				if name, ok := to[in]; ok && !hidden[in] {
					m.Input[k] = name
				}
			}
			eachSubgraph(m, func(sub *Graph) { walk(sub, hidden) })
			for _, out := range m.GetOutput() {
				hidden[out] = true
			}
		}
		renameOutputs(g, to, hidden)
	}
	eachSubgraph(n, func(g *Graph) { walk(g, nil) })
}

// renameOutputs renames outputs of a subgraph that are outer values handed through.
func renameOutputs(g *Graph, to map[string]string, hidden map[string]bool) {
	for _, v := range g.GetOutput() {
		if name, ok := to[v.GetName()]; ok && !hidden[v.GetName()] {
			v.Name = &name
		}
	}
}

// RenameValue renames a value wherever nodes of the main graph make or read it.
func RenameValue(g *Graph, from, to string) {
	for _, n := range g.GetNode() {
		for k, in := range n.GetInput() {
			if in == from {
				n.Input[k] = to
			}
		}
		for k, out := range n.GetOutput() {
			if out == from {
				n.Output[k] = to
			}
		}
	}
}
