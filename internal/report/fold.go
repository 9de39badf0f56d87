package report

// fold leaves out what only computes constants: nodes that no input leads to, but for the last of each such part,
// which says how many it stands for. Exporters write masks and positions as hundreds of small nodes; they would
// push the network itself off the page.
func (g *Graph) fold() *Graph {
	fed := g.fed()
	keep := make([]bool, len(g.Nodes))
	for i, n := range g.Nodes {
		keep[i] = fed[i] || n.Outer
	}
	for _, e := range g.Edges {
		if fed[e.To] || g.Nodes[e.To].Outer {
			keep[e.From] = true
		}
	}
	out := &Graph{Title: g.Title, Notes: g.Notes, Spaces: g.Spaces}
	behind := g.behind(keep)
	at := make([]int, len(g.Nodes))
	for i, n := range g.Nodes {
		if !keep[i] {
			continue
		}
		at[i] = len(out.Nodes)
		n.Folded = len(behind[i])
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		if keep[e.From] && keep[e.To] {
			e.From, e.To = at[e.From], at[e.To]
			out.Edges = append(out.Edges, e)
		}
	}
	for _, c := range g.Cuts {
		if fed[c.Node] {
			out.Cuts = append(out.Cuts, Cut{at[c.Node], c.Label})
		}
	}
	return out
}

// fed says which nodes an input leads to; all count where there is no input at all.
func (g *Graph) fed() []bool {
	fed, any := make([]bool, len(g.Nodes)), false
	for i, n := range g.Nodes {
		fed[i] = n.Outer && n.Op == "input"
		any = any || fed[i]
	}
	for _, e := range g.sorted() { // nodes are in topological order, and so are the edges by their ends
		fed[e.To] = fed[e.To] || fed[e.From]
	}
	for i := range fed {
		fed[i] = fed[i] || !any
	}
	return fed
}

// behind collects, for every node that is kept, the left-out ones that lead to it.
func (g *Graph) behind(keep []bool) []map[int]bool {
	behind := make([]map[int]bool, len(g.Nodes))
	for _, e := range g.sorted() {
		if keep[e.From] {
			continue
		}
		if behind[e.To] == nil {
			behind[e.To] = map[int]bool{}
		}
		behind[e.To][e.From] = true
		for k := range behind[e.From] {
			behind[e.To][k] = true
		}
	}
	return behind
}
