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
}

// Crossings lists the values that nodes outside the trunk read, in topological order of model 0.
func (t *Trunk) Crossings(s *Sources) []Crossing {
	var out []Crossing
	for _, k := range t.Groups {
		for slot, value := range s.Pairing.Nodes[k][0].GetOutput() {
			if value == "" {
				continue
			}
			c, crosses := Crossing{Value: value}, false
			for i, n := range s.Pairing.Nodes[k] {
				read, gathers := t.readOutside(s, i, n.GetOutput()[slot])
				crosses = crosses || read
				c.Gathers = c.Gathers || gathers
			}
			if crosses {
				out = append(out, c)
			}
		}
	}
	return out
}

// readOutside reports whether nodes of model i outside the trunk read a value, and whether one of them
// would need its features gathered.
func (t *Trunk) readOutside(s *Sources, i int, value string) (read, gathers bool) {
	ix := s.Models[i].Index
	features := false
	for _, l := range t.Analysis.Layouts(i, value) {
		features = features || !l.Aligned()
	}
	if ix.Output(value) != nil {
		read, gathers = true, features
	}
	for _, u := range ix.Uses(value) {
		if t.Has(s, u.Node) {
			continue
		}
		read = true
		c, ok := space.ContractionOf(ix, u.Node, len(t.Analysis.Layouts(i, value)))
		if features && !(ok && c.InputSlot == u.Slot) {
			gathers = true
		}
	}
	return read, gathers
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
	n := &Trunk{Groups: append([]int(nil), t.Groups...), Ends: t.Ends, Analysis: t.Analysis, identical: t.identical, in: map[int]bool{}}
	for k := range t.in {
		n.in[k] = true
	}
	return n, cut.apply(s, n)
}
