package merge

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Crossing is a value that leaves the trunk.
type Crossing struct {
	Value string // model 0's name
	// Gathers says that some head reads it where no weight can take over the reordering of its features.
	Gathers bool
	// Aside says that heads make nothing of it but outputs on the way, while the trunk goes on with it.
	Aside bool
}

// Crossings lists the values that heads read, in topological order of model 0.
func (t *Trunk) Crossings(s *Sources) []Crossing {
	var out []Crossing
	for _, k := range t.Groups {
		for slot, value := range s.Pairing.Nodes[k][0].GetOutput() {
			if value == "" {
				continue
			}
			c, crosses := Crossing{Value: value, Aside: true}, false
			for i, n := range s.Pairing.Nodes[k] {
				r := t.readOutside(s, i, n.GetOutput()[slot])
				crosses = crosses || r.any
				c.Gathers = c.Gathers || r.gathers
				c.Aside = c.Aside && !r.main
			}
			if crosses {
				out = append(out, c)
			}
		}
	}
	return out
}

// outsideReads is what a head does with a trunk's value.
type outsideReads struct {
	any     bool // it reads the value
	gathers bool // no weight can take over the reordering of its features
	main    bool // it makes something else of it than outputs on the way
}

// readOutside says how the head of model i reads a value of the trunk.
func (t *Trunk) readOutside(s *Sources, i int, value string) (r outsideReads) {
	ix := s.Models[i].Index
	if t.again[ix.Producer(value)] {
		return r // it has one of its own
	}
	features := false
	for _, l := range t.Analysis.Layouts(i, value) {
		features = features || !l.Aligned()
	}
	if ix.Output(value) != nil {
		r = outsideReads{any: true, gathers: features, main: true}
	}
	for _, u := range ix.Uses(value) {
		if t.Has(s, u.Node) && !t.again[u.Node] {
			continue
		}
		r.any = true
		r.main = r.main || !t.again[u.Node] && (t.leads[i][value] != "" || !t.endsInOutput(i, ix, u.Node))
		c, ok := space.ContractionOf(ix, u.Node, len(t.Analysis.Layouts(i, value)))
		if features && !(ok && c.InputSlot == u.Slot) {
			r.gathers = true
		}
	}
	return r
}

// Values lists the values that a trunk makes, in model 0's names and order: the places to cut at.
func (t *Trunk) Values(s *Sources) []string {
	var out []string
	for _, k := range t.Groups {
		if n := s.Pairing.Nodes[k][0]; !s.OwnPrefix(n) {
			out = append(out, n.GetOutput()[0])
		}
	}
	return out
}

// Nodes0 lists model 0's nodes of the trunk.
func (t *Trunk) Nodes0(s *Sources) []*onnx.Node {
	var out []*onnx.Node
	for _, k := range t.Groups {
		out = append(out, s.Pairing.Nodes[k][0])
	}
	return out
}

// Narrow returns the part of a trunk that a cut leaves, with the spaces of the whole: enough to count with.
func (t *Trunk) Narrow(s *Sources, cut Cut) (*Trunk, error) {
	n := &Trunk{Groups: append([]int(nil), t.Groups...), Ends: t.Ends, Analysis: t.Analysis, identical: t.identical, leads: t.leads, in: map[int]bool{}}
	for k := range t.in {
		n.in[k] = true
	}
	if err := cut.apply(s, n); err != nil {
		return nil, err
	}
	n.repeat(s)
	n.dropUnread(s)
	return n, nil
}
