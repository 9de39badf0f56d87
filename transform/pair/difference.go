package pair

import (
	"fmt"
	"hash/fnv"
	"sort"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// sig is a hash of structure.
type sig uint64

// backward gives each node a hash of what follows it: the operators that read its outputs, and theirs.
// It only breaks ties between parallel branches of one form.
func backward(ix *onnx.Index) map[*onnx.Node]sig {
	out := make(map[*onnx.Node]sig, len(ix.Order))
	for k := len(ix.Order) - 1; k >= 0; k-- {
		n := ix.Order[k]
		var follows []string
		for slot, v := range n.GetOutput() {
			if v == "" {
				continue
			}
			if ix.Output(v) != nil {
				follows = append(follows, fmt.Sprintf("%d output", slot))
			}
			for _, u := range ix.Uses(v) {
				in := u.Slot
				if commutative[u.Node.GetOpType()] {
					in = 0
				}
				follows = append(follows, fmt.Sprintf("%d %d %x", slot, in, out[u.Node]))
			}
		}
		sort.Strings(follows)
		out[n] = hash(n.GetOpType(), parameterShapes(ix, n), strings.Join(follows, ";"))
	}
	return out
}

func parameterShapes(ix *onnx.Index, n *onnx.Node) string {
	var b strings.Builder
	for slot, in := range n.GetInput() {
		if t := ix.Initializer(in); t != nil {
			fmt.Fprintf(&b, "%d%v ", slot, t.GetDims())
		}
	}
	return b.String()
}

func hash(parts ...string) sig {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return sig(h.Sum64())
}

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
			if _, ok := p.group[n]; ok {
				continue
			}
			d := &Difference{Nodes: make([]*onnx.Node, len(p.Graphs))}
			d.Nodes[i] = n
			d.Why = fmt.Sprintf("%s %q in model %d has no counterpart in model 1", n.GetOpType(), onnx.NodeName(n), i+1)
			return d
		}
	}
	return nil
}
