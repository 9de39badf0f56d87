package merge

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Trunk is the part that the merged model computes once for all heads: an ancestor-closed set of
// corresponding nodes.
type Trunk struct {
	// Groups are indices into Pairing.Nodes, in topological order.
	Groups []int
	// Analysis holds the spaces of the trunk alone; readers outside get the features in their own order.
	Analysis *space.Analysis
	// Ends says for each place where the trunk ends why it goes no further.
	Ends []End
	// Identical are the spaces that every writer fills with bit-identical weights in all models: they
	// are shared as they are.
	Identical map[*space.Space]bool
	// Exact says that all of the trunk is identical: the merged model is equal to every source.
	Exact bool

	distinct bool
	// noRecurrence keeps recurrences that differ between the models out.
	noRecurrence bool
	in           map[int]bool // by group
	identical    map[int]bool // groups that compute the same in every model, bit for bit
	// leads says for each model to which output a value leads on every way, without meeting weights.
	leads []map[string]string
	// again are nodes of the trunk, of any model, that its head computes too, for outputs of its own: see repeat.
	again map[*onnx.Node]bool
}

// End is a node that could have been shared, by its inputs, and is not.
type End struct {
	Node string
	Why  string
}

// Has reports whether the trunk holds node n of any model.
func (t *Trunk) Has(s *Sources, n *onnx.Node) bool {
	k, ok := s.Pairing.Of(n)
	return ok && t.in[k]
}

// FindTrunk returns the largest trunk that can be shared, or the part of it that cut leaves.
func FindTrunk(s *Sources, cut Cut) (*Trunk, error) {
	t := &Trunk{in: map[int]bool{}, identical: map[int]bool{}, distinct: cut.Distinct, noRecurrence: cut.NoRecurrence}
	t.grow(s)
	if s.Pairing.First != nil && s.Pairing.First.Nodes[0] != nil {
		t.Ends = append(t.Ends, End{Node: onnx.NodeName(s.Pairing.First.Nodes[0]), Why: s.Pairing.First.Why})
	}
	if err := cut.apply(s, t); err != nil {
		return nil, err
	}
	t.analyze(s)
	if err := t.retract(s, cut); err != nil {
		return nil, err
	}
	t.dropUnread(s)
	t.prune(s)
	t.analyze(s)
	t.list(s)
	s.explainPrefix(t)
	return t, nil
}

// retract takes nodes out of the trunk until no value crosses its end in the middle of an attention: features
// that lie on two axes, heads and what is inside, cannot be handed on in another order.
func (t *Trunk) retract(s *Sources, cut Cut) error {
	for {
		crossings := t.Crossings(s)
		at := slices.IndexFunc(crossings, func(c Crossing) bool {
			return slices.ContainsFunc(t.Analysis.Layouts(0, c.Value), space.Layout.Inside)
		})
		if at < 0 {
			return nil
		}
		value := crossings[at].Value
		if len(cut.Values) > 0 {
			return fault.New(fault.Unsupported, "cut_in_attention", "the trunk cannot end inside an attention").
				AtValue(value).WithHint("cut before or behind it; `onnx-zip inspect` lists the valid cuts")
		}
		t.dropFrom(s, s.Models[0].Index.Producer(value))
		t.analyze(s)
	}
}

// dropFrom takes a node of model 0 and all that follows it out of the trunk.
func (t *Trunk) dropFrom(s *Sources, n *onnx.Node) {
	if k, ok := s.Pairing.Of(n); ok && t.in[k] {
		delete(t.in, k)
		t.Groups = slices.DeleteFunc(t.Groups, func(g int) bool { return g == k })
		for _, out := range n.GetOutput() {
			for _, u := range s.Models[0].Index.Uses(out) {
				t.dropFrom(s, u.Node)
			}
		}
	}
}

// isIdentical reports whether the group computes the same bits in every model: equal parameters, and
// inputs that are identical themselves.
func (t *Trunk) isIdentical(s *Sources, k int) bool {
	nodes := s.Pairing.Nodes[k]
	for _, v := range nodes[0].GetInput() {
		if v == "" {
			continue
		}
		if p := s.Models[0].Index.Producer(v); p != nil {
			if g, ok := s.Pairing.Of(p); !ok || !t.identical[g] {
				return false
			}
		}
		if s.Models[0].Index.Initializer(v) != nil && !s.equalParam(v) {
			return false
		}
	}
	return true
}

// equalParam reports whether a parameter of model 0 has the same bits in all models.
func (s *Sources) equalParam(name string) bool {
	first, err := onnx.TensorOf(s.Models[0].Index.Initializer(name))
	if err != nil {
		return false
	}
	for i := 1; i < len(s.Models); i++ {
		p := s.Models[i].Index.Initializer(s.counterpart(i, name))
		if p == nil {
			return false
		}
		other, err := onnx.TensorOf(p)
		if err != nil || !slices.Equal(first.Dims, other.Dims) || !bytes.Equal(first.Raw, other.Raw) {
			return false
		}
	}
	return true
}

// isOutput reports whether a value, by model 0's name, is a graph output of any model. Outputs stay in the heads, where
// each has its own name. What they are only handed out from does too, unless the model reads it on: a model of half
// precision casts its outputs from float32.
func (t *Trunk) isOutput(s *Sources, name string) bool {
	for i := range s.Models {
		other, _ := s.Pairing.Value(0, i, name)
		ix := s.Models[i].Index
		if ix.Output(other) != nil || t.leads[i][other] != "" && slices.ContainsFunc(ix.Uses(other), func(u onnx.Use) bool { return ix.HandsOut(u.Node) }) {
			return true
		}
	}
	return false
}

func hasRole(roles []space.Role) bool {
	return slices.ContainsFunc(roles, func(r space.Role) bool { return r != space.None })
}

// showConstants lists the first values of a constant in each model.
func (s *Sources) showConstants(name string) string {
	var out []string
	for i := range s.Models {
		t, err := onnx.TensorOf(s.Models[i].Index.Initializer(s.counterpart(i, name)))
		if err != nil {
			continue
		}
		v, _ := t.Float64s()
		if len(v) > 4 {
			out = append(out, fmt.Sprintf("%v…", v[:4]))
		} else {
			out = append(out, fmt.Sprint(v))
		}
	}
	return fmt.Sprint(out)
}

// prune drops trunk nodes that nothing outside or inside needs.
func (t *Trunk) prune(s *Sources) {
	needed := func(k int) bool {
		for i, n := range s.Pairing.Nodes[k] {
			for _, out := range n.GetOutput() {
				if len(s.Models[i].Index.Uses(out)) > 0 || s.Models[i].Index.Output(out) != nil {
					return true
				}
			}
		}
		return false
	}
	t.Groups = slices.DeleteFunc(t.Groups, func(k int) bool {
		if !t.in[k] || !needed(k) {
			delete(t.in, k)
			return true
		}
		return false
	})
}

// analyze finds the trunk's own spaces, and what heads compute again.
func (t *Trunk) analyze(s *Sources) {
	t.Analysis = s.analyzeGroups(t.in)
	t.repeat(s)
}

// list finds which of the trunk's spaces are identical in all models. Pinned spaces are left out of the list: no
// assignment moves them.
func (t *Trunk) list(s *Sources) {
	t.Analysis.Spaces = slices.DeleteFunc(t.Analysis.Spaces, func(sp *space.Space) bool { return sp.Mode == space.Pinned })
	t.Identical = map[*space.Space]bool{}
	for _, sp := range t.Analysis.Spaces {
		t.Identical[sp] = !t.distinct && sp.Even()
	}
	t.Exact = true
	for _, k := range t.Groups {
		if t.identical[k] {
			continue
		}
		t.Exact = false
		for _, out := range s.Pairing.Nodes[k][0].GetOutput() {
			for _, layout := range t.Analysis.Layouts(0, out) {
				for _, seg := range layout {
					if seg.Space != nil {
						t.Identical[seg.Space] = false
					}
				}
			}
		}
	}
}

// PinnedOutside lists the pinned spaces of what is left to the heads. Those that the trunk makes are none of them:
// what pins them in the whole models asks for nothing here.
func (t *Trunk) PinnedOutside(s *Sources) []*space.Space {
	var list []*space.Space
	for _, sp := range s.Full.Spaces {
		n := s.Models[0].Index.Producer(sp.Name)
		if sp.Mode == space.Pinned && !sp.Aligned && (n == nil || !t.Has(s, n)) {
			list = append(list, sp)
		}
	}
	return list
}

// IsIdentical reports whether a group computes the same bits in every model.
func (t *Trunk) IsIdentical(k int) bool { return t.identical[k] }
