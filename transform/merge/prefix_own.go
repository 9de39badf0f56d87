package merge

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Base returns the models without the others' prefixes: what the sources compute and cost by themselves.
func (s *Sources) Base() *Sources {
	if s.Prefixes == nil {
		return s
	}
	return s.Prefixes.Plain
}

// Weight returns an initializer of model i as it was before others' prefixes widened it.
func (s *Sources) Weight(i int, name string) *onnx.TensorProto {
	if s.Prefixes != nil {
		if was, ok := s.Prefixes.weights[i][name]; ok {
			name = was
		}
	}
	return s.Base().Models[i].Index.Initializer(name)
}

// Widened is the node of model i in s that stands for a node of its base.
func (s *Sources) Widened(i int, n *onnx.Node) *onnx.Node {
	if s.Prefixes == nil {
		return n
	}
	return s.Prefixes.wide[i][n]
}

// Own reports whether a node of model i's base is a prefix that some other model does not have: the merged model
// computes it for the sake of some heads only.
func (s *Sources) Own(i int, n *onnx.Node) bool {
	return s.Prefixes != nil && slices.ContainsFunc(s.Prefixes.Parts, func(p PrefixPart) bool {
		return p.nodes[i] == n && len(p.Owners) < len(s.Models)
	})
}

// Shares reports whether the trunk computes a node of model i's base once for all heads.
func (t *Trunk) Shares(s *Sources, i int, n *onnx.Node) bool {
	return t.Has(s, s.Widened(i, n)) && !s.Own(i, n)
}

// Common lists the nodes of model 0's base that the trunk computes once for all heads.
func (t *Trunk) Common(s *Sources) []*onnx.Node {
	if s.Prefixes == nil {
		return t.Nodes0(s)
	}
	var out []*onnx.Node
	for _, n := range t.Nodes0(s) {
		if was := s.Prefixes.plain[0][n]; was != nil && !s.Own(0, was) {
			out = append(out, was)
		}
	}
	return out
}

// Beside reports whether a node of model 0's base is a recurrence of which each model keeps its own in the trunk.
func (t *Trunk) Beside(s *Sources, n *onnx.Node) bool {
	wide := s.Widened(0, n)
	k, ok := s.Pairing.Of(wide)
	if !ok || !t.in[k] || t.identical[k] || !space.IsRecurrent(wide) {
		return false
	}
	layouts := t.Analysis.Layouts(0, wide.GetInput()[2])
	return len(layouts) == 3 && layouts[2].Apart()
}

// OwnPrefix reports whether a node of model 0 belongs to prefixes that are not common to all models, or joins them: no
// place to end a trunk at, and nothing to compare.
func (s *Sources) OwnPrefix(n *onnx.Node) bool {
	if s.Prefixes == nil {
		return false
	}
	was := s.Prefixes.plain[0][n]
	return was == nil || s.Own(0, was)
}

// ReachesStems reports whether a trunk holds the stems that read the models' prefixes side by side. One that does not
// has no use for rewritten models.
func (t *Trunk) ReachesStems(s *Sources) bool {
	if s.Prefixes == nil {
		return true
	}
	for n := range s.Prefixes.stems[0] {
		if t.Has(s, n) {
			return true
		}
	}
	return false
}

// explainPrefix says at the trunk's ends before the first stem why the models cannot keep prefixes of their own.
func (s *Sources) explainPrefix(t *Trunk) {
	if s.noPrefix == "" {
		return
	}
	front := frontOf(s.Models[0])
	for k, end := range t.Ends {
		if slices.ContainsFunc(s.Models[0].Index.Order, func(n *onnx.Node) bool { return front[n] && onnx.NodeName(n) == end.Node }) {
			t.Ends[k].Why += fmt.Sprintf(" (no prefix of each model's own: %s)", s.noPrefix)
		}
	}
}
