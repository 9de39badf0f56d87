package attach

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Crossing is a value that a trunk hands to a new head, and the model's own value that it stands for.
type Crossing struct {
	Value  string `json:"value"`        // of the trunk
	Source string `json:"source_value"` // of the model
	Axis   int    `json:"axis"`         // counts the features; -1 where the value holds none and is taken as it is
	// Width and SourceWidth count the features, each of Inner positions along the axis (those of a Flatten).
	Width       int `json:"width"`
	SourceWidth int `json:"source_width"`
	Inner       int `json:"positions_per_feature"`
	// Folded says that the weights which read the value take the map over; else the map is a node of its own.
	Folded bool `json:"folded"`

	rank int
}

// Match is what a trunk computes of a model.
type Match struct {
	Crossings []Crossing
	Shared    int               // nodes of the model that the trunk computes
	Head      []*onnx.Node      // the model's other nodes, in order
	Inputs    map[string]string // the model's inputs → the trunk's
	// Exact says that the trunk computes the model's own values, bit for bit: all weights are equal.
	Exact bool

	trunk, source space.Input
	pairing       *pair.Pairing
	analysis      *space.Analysis // of the model
	shared        map[*onnx.Node]bool
}

// Find matches a model in its common form to a trunk in its common form. Errors are of kind fault.Correspondence:
// other inputs, or no node in common.
func Find(trunk, source space.Input, o pair.Options) (*Match, error) {
	o.AnyWidth = true
	p, err := pair.Find([]*onnx.Index{trunk.Index, source.Index}, o)
	if err != nil {
		return nil, err
	}
	m := &Match{
		trunk: trunk, source: source, pairing: p, shared: map[*onnx.Node]bool{}, Inputs: map[string]string{}, Exact: true,
		analysis: space.Analyze([]space.Input{source}, nil, space.Options{}),
	}
	for _, row := range p.Inputs {
		m.Inputs[row[1]] = row[0]
	}
	for _, nodes := range p.Nodes {
		m.shared[nodes[1]] = true
	}
	why, err := m.settle()
	if err != nil {
		return nil, err
	}
	for _, n := range source.Index.Order {
		if m.shared[n] {
			m.Shared++
			m.Exact = m.Exact && m.sameWeights(n)
		} else {
			m.Head = append(m.Head, n)
		}
	}
	if m.Shared == 0 {
		if why == "" && p.First != nil {
			why = p.First.Why
		}
		return nil, fault.New(fault.Correspondence, "no_common_trunk", "the merged trunk computes nothing of this model: %s", why).
			WithHint("give a model of the architecture that the file was merged from; `onnx-zip inspect` shows both")
	}
	return m, nil
}

// settle finds the crossings. Where a value cannot be handed on, the node that makes it goes to the head, with all
// that follows it; why is the first reason.
func (m *Match) settle() (why string, err error) {
	for {
		m.Crossings = nil
		var bad *onnx.Node
		for _, n := range m.source.Index.Order {
			if !m.shared[n] {
				continue
			}
			for _, v := range n.GetOutput() {
				if !m.crosses(v) {
					continue
				}
				c, problem := m.crossing(v)
				if problem != "" {
					bad = n
					if why == "" {
						why = fmt.Sprintf("%q cannot be handed to a head: %s", v, problem)
					}
					break
				}
				m.Crossings = append(m.Crossings, c)
			}
		}
		if bad == nil {
			return why, nil
		}
		m.leave(bad)
	}
}

// crosses reports whether the head needs a shared value.
func (m *Match) crosses(value string) bool {
	return m.source.Index.Output(value) != nil ||
		slices.ContainsFunc(m.source.Index.Uses(value), func(u onnx.Use) bool { return !m.shared[u.Node] })
}

// leave takes a node and all that follows it out of what is shared.
func (m *Match) leave(n *onnx.Node) {
	delete(m.shared, n)
	for _, v := range n.GetOutput() {
		for _, u := range m.source.Index.Uses(v) {
			if m.shared[u.Node] {
				m.leave(u.Node)
			}
		}
	}
}

// crossing describes a value; problem says why it cannot cross.
func (m *Match) crossing(value string) (c Crossing, problem string) {
	ix := m.source.Index
	other, _ := m.pairing.Value(1, 0, value)
	mine, theirs := m.source.Shapes[value], m.trunk.Shapes[other]
	switch {
	case ix.Output(value) != nil:
		return c, "it is an output of the model"
	case !mine.DType.IsFloat():
		return c, "it is no floating value"
	case mine.Rank() < 1 || mine.Rank() != theirs.Rank():
		return c, "its rank is not known"
	}
	c = Crossing{Value: other, Source: value, Axis: -1, rank: mine.Rank()}
	for k, layout := range m.analysis.Layouts(0, value) {
		a, b := mine.Dims[k], theirs.Dims[k]
		if layout.Aligned() {
			if a.Known() && b.Known() && a.Size != b.Size {
				return c, fmt.Sprintf("axis %d has size %v in the model, %v in the trunk", k, a, b)
			}
			continue
		}
		if c.Axis >= 0 {
			return c, "its features lie on two axes"
		}
		if !a.Known() || !b.Known() {
			return c, "the number of its features is open"
		}
		c.Axis, c.Inner = k, innerOf(layout)
		if layout.Divided() || int(a.Size)%c.Inner != 0 || int(b.Size)%c.Inner != 0 {
			return c, "its features cannot be told apart"
		}
		c.SourceWidth, c.Width = int(a.Size)/c.Inner, int(b.Size)/c.Inner
	}
	c.Folded = c.Axis < 0 || m.folds(c)
	if !c.Folded && !c.mappable() {
		return c, "a node that is no linear layer reads it, and a linear map does not fit in between"
	}
	return c, ""
}

// innerOf is the number of positions of each feature along an axis, 1 where they differ.
func innerOf(l space.Layout) int {
	for _, seg := range l {
		if seg.Space == nil || seg.Inner != l[0].Inner {
			return 1
		}
	}
	return l[0].Inner
}

// mappable says that a node can map the features: a convolution of size 1, a Gemm, or a MatMul and an Add.
func (c Crossing) mappable() bool {
	return c.Inner == 1 && c.rank >= 2 && c.rank <= 4 && (c.Axis == 1 || c.Axis == c.rank-1)
}

// folds reports whether every reader in the head is a linear layer that can take over a map of the features, its
// offset too.
func (m *Match) folds(c Crossing) bool {
	for _, u := range m.source.Index.Uses(c.Source) {
		if m.shared[u.Node] {
			continue
		}
		k, ok := space.ContractionOf(m.source.Index, u.Node, c.rank)
		if !ok || u.Slot != k.InputSlot || k.InputAxis != c.Axis || m.reads(u.Node.GetInput()[k.ParamSlot]) > 1 {
			return false
		}
		if b, ok := biasOf(m.source.Index, u.Node); !ok || b.name != "" && m.reads(b.name) > 1 {
			return false
		}
	}
	return true
}

func (m *Match) reads(parameter string) int { return len(m.source.Index.Uses(parameter)) }

// bias is where a linear node's bias lies: in an input slot of node, which may be free.
type bias struct {
	node *onnx.Node
	slot int
	name string // "" where there is none yet
}

// biasOf finds it; ok is false where none can be added. That of a MatMul is the vector that is added behind it.
func biasOf(ix *onnx.Index, n *onnx.Node) (b bias, ok bool) {
	switch n.GetOpType() {
	case "Gemm":
		if onnx.AttrFloat(n, "alpha", 1) != 1 || onnx.AttrFloat(n, "beta", 1) != 1 {
			return b, false
		}
	case "Conv":
	case "MatMul":
		uses := ix.Uses(n.GetOutput()[0])
		if len(uses) != 1 || uses[0].Node.GetOpType() != "Add" || ix.Output(n.GetOutput()[0]) != nil || uses[0].Slot < 0 {
			return b, false
		}
		b = bias{uses[0].Node, 1 - uses[0].Slot, uses[0].Node.GetInput()[1-uses[0].Slot]}
		t := ix.Initializer(b.name)
		return b, t != nil && len(t.GetDims()) == 1 && t.GetDims()[0] > 1
	default:
		return b, false
	}
	b = bias{node: n, slot: 2}
	if len(n.GetInput()) > 2 && n.GetInput()[2] != "" {
		b.name = n.GetInput()[2]
		if ix.Initializer(b.name) == nil {
			return b, false
		}
	}
	return b, true
}

// sameWeights reports whether a shared node's parameters are the trunk's, bit for bit.
func (m *Match) sameWeights(n *onnx.Node) bool {
	for _, in := range n.GetInput() {
		mine := m.source.Index.Initializer(in)
		if mine == nil {
			continue
		}
		name, _ := m.pairing.Value(1, 0, in)
		theirs := m.trunk.Index.Initializer(name)
		if theirs == nil || !slices.Equal(mine.GetDims(), theirs.GetDims()) {
			return false
		}
		x, errX := onnx.TensorOf(mine)
		y, errY := onnx.TensorOf(theirs)
		if errX != nil || errY != nil || !bytes.Equal(x.Raw, y.Raw) {
			return false
		}
	}
	return true
}
