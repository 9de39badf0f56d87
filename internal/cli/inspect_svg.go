package cli

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// checkSVG refuses a picture that could not be written, before any work is done.
func (f *inspectFlags) checkSVG(files []string) error {
	switch {
	case f.svg == "" && f.force:
		return usage("bad_flag", "--force goes with --svg only")
	case f.svg == "":
		return nil
	case f.svg == "-":
		return usage("no_output", "a picture cannot be written to standard output").WithHint("name a file: --svg model.svg")
	case contains(files, f.svg):
		return usage("same_file", "--svg %s names a model's file", f.svg).WithHint("name another file: --svg model.svg")
	}
	return onnx.CheckOutput(f.svg, f.force)
}

// draw writes the picture of the first model.
func (a *app) draw(f *inspectFlags, p *transform.Prepared, t *merge.Trunk, in *inspection) error {
	g := graphOf(p, t, in)
	if err := report.Write(f.svg, g.SVG(), f.force); err != nil {
		return err
	}
	in.Picture = f.svg
	return nil
}

// grapher turns the first model into a picture's nodes and edges.
type grapher struct {
	p     *transform.Prepared
	t     *merge.Trunk
	a     *space.Analysis
	ix    *onnx.Index
	whole bool // there is no trunk: the whole model is shown
	g     *report.Graph
	node  map[*onnx.Node]int
	index map[*space.Space]int
	seen  map[edgeKey]bool
}

type edgeKey struct {
	value string
	to    int
}

func graphOf(p *transform.Prepared, t *merge.Trunk, in *inspection) *report.Graph {
	b := &grapher{
		p: p, t: t, a: t.Analysis, ix: p.Sources.Models[0].Index, whole: len(t.Groups) == 0, node: map[*onnx.Node]int{},
		index: map[*space.Space]int{}, seen: map[edgeKey]bool{},
	}
	if b.whole {
		b.a = p.Sources.Full
	}
	b.g = &report.Graph{Title: in.Models[0].File, Notes: []string{in.Shared, "in the common form that merging starts from: constants folded, leftovers of exporters gone"}}
	shown := shownSpaces(p, t)
	for i, s := range shown {
		b.index[s] = i
	}
	if !b.whole {
		for k, s := range t.PinnedOutside(p.Sources) { // listed last, as copies
			b.index[s] = len(t.Analysis.Spaces) + k
		}
	}
	for _, s := range shown {
		b.g.Spaces = append(b.g.Spaces, report.Space{ID: s.ID, Name: s.Name, Dim: s.Dim, Dims: uneven(s), Mode: s.Label(), Aligned: s.Aligned, Why: s.Reasons()})
	}
	b.nodes()
	for _, c := range in.Cuts {
		if n := b.ix.Producer(c.Value); n != nil {
			b.g.Cuts = append(b.g.Cuts, report.Cut{Node: b.node[n], Label: fmt.Sprintf("cut:%d, %s of FLOPs", c.Number, percent(c.FLOPsShare))})
		}
	}
	return b.g
}

// nodes adds inputs, nodes and outputs, in topological order, each with the edges that lead to it.
func (b *grapher) nodes() {
	from := map[string]int{}
	for _, v := range b.ix.Inputs() {
		from[v.GetName()] = len(b.g.Nodes)
		b.g.Nodes = append(b.g.Nodes, report.Node{Name: v.GetName(), Op: "input", Outer: true})
	}
	ends := map[*onnx.Node]string{}
	for n, k := range endsOf(b.ix, b.t, 0) {
		ends[n] = b.t.Ends[k-1].Why
	}
	for _, n := range b.ix.Order {
		at := len(b.g.Nodes)
		b.node[n] = at
		b.g.Nodes = append(b.g.Nodes, report.Node{Name: onnx.NodeName(n), Op: n.GetOpType(), Shared: b.t.Has(b.p.Sources, n), End: ends[n]})
		for _, value := range onnx.Reads(n) {
			b.edge(from, value, at)
		}
		for _, value := range n.GetOutput() {
			from[value] = at
		}
	}
	for _, v := range b.ix.Graph.GetOutput() {
		b.g.Nodes = append(b.g.Nodes, report.Node{Name: v.GetName(), Op: "output", Outer: true})
		b.edge(from, v.GetName(), len(b.g.Nodes)-1)
	}
}

// edge adds the way of a value to one reader; parameters have none.
func (b *grapher) edge(from map[string]int, value string, to int) {
	at, ok := from[value]
	key := edgeKey{value, to}
	if !ok || value == "" || b.seen[key] {
		return
	}
	b.seen[key] = true
	e := report.Edge{From: at, To: to, Value: value}
	if p := b.ix.Producer(value); p == nil || b.whole || b.t.Has(b.p.Sources, p) {
		e.Spaces = b.features(b.a.Layouts(0, value))
	} else {
		e.Spaces = b.features(b.p.Sources.Full.Layouts(0, value)) // pinned ones only: the others are the trunk's
		e.Outside = len(e.Spaces) == 0
	}
	b.g.Edges = append(b.g.Edges, e)
}

// features are the spaces of a value's feature axis: the axis that holds the freest space.
func (b *grapher) features(layouts []space.Layout) []int {
	var best []int
	rank := 4
	for _, axis := range layouts {
		var here []int
		freest := 4
		for _, seg := range axis {
			if seg.Space == nil {
				continue
			}
			k, ok := b.index[seg.Space]
			if !ok {
				continue
			}
			r := int(seg.Space.Mode)
			if seg.Space.Aligned {
				r = 3 // features only in name
			}
			freest = min(freest, r)
			if len(here) == 0 || here[len(here)-1] != k {
				here = append(here, k)
			}
		}
		if freest < rank {
			best, rank = here, freest
		}
	}
	return best
}
