package pair

import (
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// reachable reports whether all computed inputs of a have counterparts: a differs itself, rather than
// follow a node that does.
func (p *Pairing) reachable(a *onnx.Node) bool {
	computed := false
	for _, in := range a.GetInput() {
		if in == "" || p.Graphs[0].Initializer(in) != nil {
			continue
		}
		computed = true
		if _, ok := p.class[0][in]; !ok {
			return false
		}
	}
	return computed
}

// whyNot explains why no node of model i corresponds to a.
func (p *Pairing) whyNot(a *onnx.Node, i int) string {
	if n := p.nearest(a, i); n != nil {
		if d := p.alike(a, n, i); d != "" {
			return d
		}
		return "they read different values"
	}
	return fmt.Sprintf("model %d has no node there", i+1)
}

// nearest is the unpaired node of model i in a's place: one of a's operator if there is one.
func (p *Pairing) nearest(a *onnx.Node, i int) *onnx.Node {
	var any *onnx.Node
	for _, n := range p.candidates(a, i) {
		if _, used := p.group[n]; used {
			continue
		}
		if n.GetOpType() == a.GetOpType() {
			return n
		}
		if any == nil {
			any = n
		}
	}
	return any
}

// difference describes the place where a has no counterpart in some model.
func (p *Pairing) difference(a *onnx.Node, why string) *Difference {
	d := &Difference{Nodes: []*onnx.Node{a}}
	for i := 1; i < len(p.Graphs); i++ {
		d.Nodes = append(d.Nodes, p.nearest(a, i))
	}
	for _, in := range a.GetInput() {
		if in != "" && p.Graphs[0].Initializer(in) == nil {
			d.Value = in
			break
		}
	}
	var sides []string
	for i, n := range d.Nodes {
		if n != nil {
			sides = append(sides, fmt.Sprintf("%s %q in model %d", n.GetOpType(), onnx.NodeName(n), i+1))
		}
	}
	d.Why = fmt.Sprintf("%s: %s", strings.Join(sides, ", "), why)
	return d
}

// surplus reports a node of another model that model 0 lacks, where model 0 is paired to its end.
func (p *Pairing) surplus() *Difference {
	for i := 1; i < len(p.Graphs); i++ {
		for _, n := range p.Graphs[i].Order {
			if _, ok := p.group[n]; ok || p.Graphs[i].Aside(n) {
				continue // whether others hand it out too, the models do not part there
			}
			d := &Difference{Nodes: make([]*onnx.Node, len(p.Graphs))}
			d.Nodes[i] = n
			d.Why = fmt.Sprintf("%s %q in model %d has no counterpart in model 1", n.GetOpType(), onnx.NodeName(n), i+1)
			return d
		}
	}
	return nil
}
