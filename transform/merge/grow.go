package merge

import (
	"fmt"
	"slices"
	"sort"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// grow fills the trunk with all that can be shared. A node is left to the heads where sharing it would pin features
// that the trunk makes, its own or those of nodes before it; its readers then are the heads', who get the features in
// their own order and ask for nothing. So each node is judged by the spaces of the trunk alone, up to and with itself.
func (t *Trunk) grow(s *Sources) {
	g := &grower{s: s, t: t, blocked: map[int]string{}, equal: map[string]bool{}}
	prefix := prefixOf(s.Models[0])
	for k, nodes := range s.Pairing.Nodes {
		t.identical[k] = (!t.distinct || prefix[nodes[0]]) && t.isIdentical(s, k) // no width changes in a prefix
	}
	finals, leads := s.finals(t.identical)
	t.leads = leads
	for k := range s.Pairing.Nodes {
		if why := g.unfit(k, finals[k]); why != "" {
			g.blocked[k] = why
		}
	}
	sound := 0 // candidates of which it is known that they can be shared together
	for {
		t.Groups = g.candidates()
		if why := g.obstacle(t.Groups); why == "" {
			break
		}
		// the shortest prefix with an obstacle ends with the node that makes it one
		n := sort.Search(len(t.Groups)-1-sound, func(n int) bool { return g.obstacle(t.Groups[:sound+n+1]) != "" })
		sound += n
		k := t.Groups[sound]
		g.blocked[k] = g.obstacle(t.Groups[:sound+1])
	}
	for _, k := range t.Groups {
		t.in[k] = true
	}
	for k, nodes := range s.Pairing.Nodes {
		if s.Models[0].Index.Aside(nodes[0]) {
			continue // the trunk goes on
		}
		if why := g.blocked[k]; why != "" && g.reached(k, t.in) {
			t.Ends = append(t.Ends, End{Node: onnx.NodeName(s.Pairing.Nodes[k][0]), Why: why})
		}
	}
}

// grower is the state of one grow.
type grower struct {
	s       *Sources
	t       *Trunk
	blocked map[int]string  // groups that cannot be shared → why
	equal   map[string]bool // equalParam of constants that were asked for
}

// unfit says why group k can be in no trunk, "" where it can. final is the output whose features it makes.
func (g *grower) unfit(k int, final string) string {
	n := g.s.Pairing.Nodes[k][0]
	if onnx.HasSubgraph(n) { // what it captures is neither paired nor merged
		return "it holds a subgraph"
	}
	if g.t.noRecurrence && space.IsRecurrent(n) && !g.t.identical[k] {
		return "each model keeps its own recurrence, and what follows would not save what it costs to read all of them"
	}
	for _, out := range n.GetOutput() {
		if g.t.isOutput(g.s, out) {
			return fmt.Sprintf("%q is an output of the model", out)
		}
	}
	if final != "" && !g.t.identical[k] {
		return fmt.Sprintf("it makes the features of output %q", final)
	}
	return ""
}

// candidates lists the groups that are not blocked and read nothing that is, in topological order.
func (g *grower) candidates() []int {
	var list []int
	in := map[int]bool{}
	for k := range g.s.Pairing.Nodes {
		if g.blocked[k] == "" && g.reached(k, in) {
			in[k] = true
			list = append(list, k)
		}
	}
	return list
}

// reached reports whether all that group k computes with comes from the shared inputs and the groups of in.
func (g *grower) reached(k int, in map[int]bool) bool {
	ix := g.s.Models[0].Index
	for _, v := range onnx.Reads(g.s.Pairing.Nodes[k][0]) {
		switch p := ix.Producer(v); {
		case ix.Initializer(v) != nil:
		case p != nil:
			if producer, ok := g.s.Pairing.Of(p); !ok || !in[producer] {
				return false
			}
		case !g.s.sharesInput(v):
			return false
		}
	}
	return true
}

// sharesInput reports whether an input of model 0 is paired with one of every model.
func (s *Sources) sharesInput(name string) bool {
	return slices.ContainsFunc(s.Pairing.Inputs, func(row []string) bool { return row[0] == name })
}

// obstacle says why groups cannot be shared together, "" where they can: features that they make are pinned,
// or constants differ that cannot be averaged.
func (g *grower) obstacle(groups []int) string {
	in := map[int]bool{}
	for _, k := range groups {
		in[k] = true
	}
	a := g.s.analyzeGroups(in)
	for _, k := range groups {
		n := g.s.Pairing.Nodes[k][0]
		if why := g.s.layoutsDiffer(a, k); why != "" {
			return why
		}
		if at, axis, sp := pinnedOutput(a, n); sp != nil && !g.t.identical[k] {
			return fmt.Sprintf("axis %d of %q would be pinned: %s", axis, at, sp.Reasons())
		}
		for slot, name := range n.GetInput() {
			if g.s.param(0, n, slot) != nil && !hasRole(a.Roles(0, name)) && !g.equalConstant(name) && !g.s.onlyWidths(a, k, slot) {
				return fmt.Sprintf("constant %q differs between the models: %s", name, g.s.showConstants(name))
			}
		}
	}
	return ""
}

// pinnedOutput is the first axis of a node's outputs whose features are pinned, and their space.
func pinnedOutput(a *space.Analysis, n *onnx.Node) (value string, axis int, sp *space.Space) {
	for _, out := range n.GetOutput() {
		for k, layout := range a.Layouts(0, out) {
			if sp := layout.Pinned(); sp != nil {
				return out, k, sp
			}
		}
	}
	return "", 0, nil
}

func (g *grower) equalConstant(name string) bool {
	equal, known := g.equal[name]
	if !known {
		equal = g.s.equalParam(name)
		g.equal[name] = equal
	}
	return equal
}
