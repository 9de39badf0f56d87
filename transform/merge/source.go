package merge

import (
	"sync"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Source is one model to be merged, in its common form (transform/rewrite).
type Source struct {
	Head   string // the name of its head, unique, [A-Za-z0-9_]+
	Model  *onnx.Model
	Index  *onnx.Index
	Shapes shape.Shapes
}

// Sources are the models to be merged, with what corresponds between them.
type Sources struct {
	Models  []*Source
	Pairing *pair.Pairing
	// Full is the analysis of the whole models, as if all of them were shared. A trunk has spaces of its own: what
	// a reader in the heads asks for holds here, but not there.
	Full *space.Analysis
	// Prefixes is set where models keep what they do to their inputs: the models then compute all prefixes.
	Prefixes *Prefixes

	noPrefix string // why prefixes that differ end the trunk
	// flops are those of each model's nodes for one sample, nil for a model whose shapes do not allow to count them;
	// they are counted once, when they are asked for first.
	flops func() []map[*onnx.Node]int64
}

// NewSources pairs and analyses canonical models. Where they do not correspond to the end, nodes of other widths are
// paired too; that pairing is taken if more can be shared by it.
func NewSources(models []*Source, o pair.Options) (*Sources, error) {
	s, err := newSources(models, o)
	if err != nil || s.Base().Pairing.First == nil || len(models) < 2 {
		return s, err
	}
	o.AnyWidth = true
	any, err := newSources(models, o)
	if err != nil {
		return nil, err
	}
	if len(any.Base().Pairing.Nodes) > len(s.Base().Pairing.Nodes) && any.sharable() > s.sharable() {
		return any, nil
	}
	return s, nil
}

// Narrowed pairs and analyses models that differ from s only in how many features they have behind a trunk of s.
func (s *Sources) Narrowed(models []*Source, o pair.Options) (*Sources, error) {
	o.AnyWidth = s.Pairing.AnyWidth()
	return newSources(models, o)
}

// sharable is the number of nodes that the largest trunk of the models holds.
func (s *Sources) sharable() int {
	t, err := FindTrunk(s, Cut{})
	if err != nil {
		return 0
	}
	return len(t.Common(s))
}

func newSources(models []*Source, o pair.Options) (*Sources, error) {
	graphs := make([]*onnx.Index, len(models))
	for i, m := range models {
		graphs[i] = m.Index
	}
	p, err := pair.Find(graphs, o)
	if err != nil {
		return nil, err
	}
	return findPrefixes(analyzed(&Sources{Models: models, Pairing: p}), o)
}

// analyzed finds the spaces of the whole models.
func analyzed(s *Sources) *Sources {
	s.Full = space.Analyze(s.inputs(), s.Pairing, space.Options{})
	s.flops = sync.OnceValue(s.countFLOPs)
	return s
}

func (s *Sources) countFLOPs() []map[*onnx.Node]int64 {
	out := make([]map[*onnx.Node]int64, len(s.Models))
	for i, m := range s.Models {
		c, err := cost.AtBatch(m.Model, 1)
		if err != nil {
			continue
		}
		out[i] = map[*onnx.Node]int64{}
		for _, n := range m.Index.Order {
			node, _ := c.Node(n)
			out[i][n] = node.FLOPs
		}
	}
	return out
}

func (s *Sources) inputs() []space.Input {
	inputs := make([]space.Input, len(s.Models))
	for i, m := range s.Models {
		inputs[i] = space.Input{Index: m.Index, Shapes: m.Shapes, Opset: m.Model.Opset("")}
	}
	return inputs
}

// analyzeGroups analyses the nodes of some groups alone: readers elsewhere get the features in their own order, so
// they ask for nothing.
func (s *Sources) analyzeGroups(in map[int]bool) *space.Analysis {
	return space.Analyze(s.inputs(), s.Pairing, space.Options{Keep: func(_ int, n *onnx.Node) bool {
		k, ok := s.Pairing.Of(n)
		return ok && in[k]
	}})
}

// param returns the initializer that node n of model i reads in slot, nil where that input is computed.
func (s *Sources) param(i int, n *onnx.Node, slot int) *onnx.TensorProto {
	if slot >= len(n.GetInput()) || n.GetInput()[slot] == "" {
		return nil
	}
	return s.Models[i].Index.Initializer(n.GetInput()[slot])
}

// counterpart is the name in model i of a parameter of model 0 (swapped inputs of commutative operators
// considered).
func (s *Sources) counterpart(i int, name string) string {
	if other, ok := s.Pairing.Value(0, i, name); ok {
		return other
	}
	return ""
}
