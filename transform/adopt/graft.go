package adopt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// graft builds p.Model anew: a value that equals one of like is computed as like does, all else as it was.
func graft(like, own *onnx.Index, p Pair, equal map[string]string) (*onnx.Model, int) {
	out := &onnx.Model{Proto: onnx.Shallow(p.Model.Proto), File: p.Model.File}
	out.Proto.Graph = onnx.Shallow(own.Graph)
	out.Graph().Node, out.Graph().Initializer, out.Graph().ValueInfo = nil, nil, nil
	g := &grafter{like: like, own: own, graph: out.Graph(), equal: equal,
		wanted: map[string]string{}, names: maps.Clone(p.Inputs), taken: taken(own.Graph), made: map[string]bool{}}
	for _, v := range own.Graph.GetOutput() {
		if of, ok := equal[v.GetName()]; ok && g.wanted[of] == "" {
			g.wanted[of] = v.GetName()
		}
	}
	for _, v := range own.Graph.GetOutput() {
		g.output(v.GetName())
	}
	if g.adopted == 0 {
		return nil, 0
	}
	out.Proto.OpsetImport = joinOpsets(out.Proto.OpsetImport, p.Like.Proto.OpsetImport)
	return out, g.adopted
}

// joinOpsets adds the domains of more that are missing in imports; those that both have are of one version by now.
func joinOpsets(imports, more []*onnx.OpsetID) []*onnx.OpsetID {
	imports = slices.Clone(imports)
	for _, m := range more {
		if !slices.ContainsFunc(imports, func(i *onnx.OpsetID) bool { return i.GetDomain() == m.GetDomain() }) {
			imports = append(imports, m)
		}
	}
	return imports
}

type grafter struct {
	like, own *onnx.Index
	graph     *onnx.Graph       // the new one
	equal     map[string]string // own value → the one of like that it equals
	wanted    map[string]string // like's value → the output that it becomes
	names     map[string]string // like's value → its name in the new graph
	taken     map[string]bool
	made      map[string]bool // own values that the new graph has
	adopted   int
}

// output makes a graph output, under its own name.
func (g *grafter) output(name string) {
	if got := g.value(name); got != name {
		g.graph.Node = append(g.graph.Node, onnx.NewNode("Identity", g.fresh("adopt_output"), []string{got}, []string{name}))
	}
}

// value makes an own value in the new graph and returns its name there.
func (g *grafter) value(name string) string {
	if name == "" {
		return ""
	}
	if of, ok := g.equal[name]; ok {
		return g.adopt(of)
	}
	if g.made[name] {
		return name
	}
	g.made[name] = true
	if t := g.own.Initializer(name); t != nil {
		g.graph.Initializer = append(g.graph.Initializer, t)
		return name
	}
	n := g.own.Producer(name)
	if n == nil {
		return name // an input
	}
	for _, v := range n.GetOutput() {
		g.made[v] = true
	}
	c := onnx.Clone(n)
	captured := map[string]string{}
	for _, v := range onnx.Reads(n) {
		captured[v] = g.value(v)
	}
	rename(c, captured)
	for k, v := range c.GetOutput() {
		if _, ok := g.equal[v]; ok { // read as like computes it: here it only takes its place
			c.Output[k] = g.fresh(v)
		}
	}
	g.graph.Node = append(g.graph.Node, c)
	return name
}

// adopt makes a value of like in the new graph and returns its name there.
func (g *grafter) adopt(name string) string {
	if to, ok := g.names[name]; ok || name == "" {
		return to
	}
	if t := g.like.Initializer(name); t != nil {
		to := g.fresh(name)
		c := onnx.Shallow(t)
		c.Name = &to
		g.graph.Initializer = append(g.graph.Initializer, c)
		g.names[name] = to
		return to
	}
	n := g.like.Producer(name)
	c := onnx.Clone(n)
	reads := map[string]string{}
	for _, v := range onnx.Reads(n) {
		reads[v] = g.adopt(v)
	}
	rename(c, reads)
	for k, v := range c.GetOutput() {
		if v != "" {
			if g.names[v] = g.wanted[v]; g.names[v] == "" {
				g.names[v] = g.fresh(v)
			}
			c.Output[k] = g.names[v]
		}
	}
	node := g.fresh(onnx.NodeName(n))
	c.Name = &node
	g.graph.Node = append(g.graph.Node, c)
	g.adopted++
	return g.names[name]
}

// rename gives a node's inputs, and what its subgraphs capture, their new names.
func rename(n *onnx.Node, to map[string]string) {
	for k, v := range n.GetInput() {
		if v != "" {
			n.Input[k] = to[v]
		}
	}
	onnx.RenameCaptured(n, to)
}

// fresh is name, or one like it that nothing has.
func (g *grafter) fresh(name string) string {
	to := name
	for k := 1; g.taken[to]; k++ {
		to = fmt.Sprintf("%s_%d", name, k)
	}
	g.taken[to] = true
	return to
}

// taken lists the names of a graph's values and nodes.
func taken(g *onnx.Graph) map[string]bool {
	names := map[string]bool{}
	for _, v := range g.GetInput() {
		names[v.GetName()] = true
	}
	for _, t := range g.GetInitializer() {
		names[t.GetName()] = true
	}
	for _, n := range g.GetNode() {
		names[n.GetName()] = true
		for _, v := range n.GetOutput() {
			names[v] = true
		}
	}
	return names
}
