package merge

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"google.golang.org/protobuf/proto"
)

// A recurrence of which a merge keeps every model's features would be one node with weights R that are zero outside of
// the models' blocks. It is written as a node for each model instead, with its own R, and their concatenation: the same
// function at 1/N of the FLOPs.

// Recurrence is a model's own recurrence in a merged trunk.
type Recurrence struct {
	Model  int
	Output string     // one of its outputs, in the merged graph
	Own    *onnx.Node // in the model
	To     []int      // the merged feature that each of the model's is taken from where it reads them, of Width
	Width  int
}

// OutputOf is the first output that a node has.
func OutputOf(n *onnx.Node) string {
	for _, v := range n.GetOutput() {
		if v != "" {
			return v
		}
	}
	return ""
}

// KeepsApart reports whether an assignment keeps every feature of every model, model after model.
func (a Assignment) KeepsApart() bool {
	if a.Mix != nil {
		return false
	}
	for k, m := range a.Of {
		if m != k || a.Coef[k] != 1 {
			return false
		}
	}
	return a.Width == len(a.Of)
}

// sideBySide emits a recurrence of group k as a node for each model; false where its features are not kept apart.
func (b *builder) sideBySide(k int) (done bool, err error) {
	nodes := b.s.Pairing.Nodes[k]
	if len(nodes) < 2 || !space.IsRecurrent(nodes[0]) {
		return false, nil
	}
	state := b.t.Analysis.Layouts(0, nodes[0].GetInput()[2])
	if len(state) != 3 || len(state[2]) != 1 || state[2][0].Space == nil || state[2][0].Space.Apart == "" || !b.as[state[2][0].Space].KeepsApart() {
		return false, nil
	}
	parts := make([][]string, len(nodes[0].GetOutput()))
	for i, own := range nodes {
		n, err := b.recurrenceOf(i, nodes[0], own, state[2][0].Space)
		if err != nil {
			return false, err
		}
		b.graph.Node = append(b.graph.Node, n)
		for slot, v := range n.GetOutput() {
			parts[slot] = append(parts[slot], v)
		}
	}
	for slot, v := range nodes[0].GetOutput() {
		if v != "" {
			axis := int64(3) // of all steps
			if slot > 0 {
				axis = 2
			}
			n := onnx.NewNode("Concat", v, parts[slot], []string{v}, onnx.Int("axis", axis))
			b.graph.Node = append(b.graph.Node, n)
			b.out.Nodes[k] = n
		}
	}
	return true, nil
}

// recurrenceOf is the node of model i: first is that of model 0, whose names the trunk has, own that of model i.
func (b *builder) recurrenceOf(i int, first, own *onnx.Node, sp *space.Space) (*onnx.Node, error) {
	n := onnx.Clone(own)
	n.Input, n.Output = slices.Clone(first.GetInput()), slices.Clone(first.GetOutput())
	n.Name = proto.String(b.own(onnx.NodeName(first), i))
	for slot, v := range n.Output {
		if v != "" {
			n.Output[slot] = b.own(v, i)
		}
	}
	for slot, v := range first.GetInput() {
		p := b.s.param(i, own, slot)
		switch {
		case v == "" || slot == 0 || slot == 4: // what it reads, and how many steps of it
		case p == nil:
			n.Input[slot] = b.pick(v, i, sequence(sp.First(i), sp.In(i)))
		case slot == 1:
			if err := b.inputWeights(i, n, own, p); err != nil {
				return nil, err
			}
		default:
			t, err := onnx.TensorOf(p)
			if err != nil {
				return nil, err
			}
			n.Input[slot] = b.own(v, i)
			b.initializer(n.Input[slot], t)
		}
	}
	return n, nil
}

// own is a new name in the trunk for what model i has there.
func (b *builder) own(name string, i int) string {
	name = b.names.unique(name + "/" + b.s.Models[i].Head)
	b.names.taken[name] = true
	return name
}

// inputWeights gives n model i's W, whose inputs are merged features: W·U. Where all that it reads is kept apart, it reads
// the model's own part of that, with the W that it has.
func (b *builder) inputWeights(i int, n, own *onnx.Node, p *onnx.TensorProto) error {
	w, err := onnx.TensorOf(p)
	if err != nil {
		return err
	}
	name := n.Input[1]
	n.Input[1] = b.own(name, i)
	layouts := b.t.Analysis.Layouts(i, own.GetInput()[1])
	if len(layouts) != 3 || layouts[2].Aligned() {
		b.initializer(n.Input[1], w)
		return nil
	}
	m := b.as.mapAxis(layouts[2], i, len(b.s.Models), int(w.Dims[2]))
	if !slices.ContainsFunc(layouts[2], func(seg space.Segment) bool {
		return seg.Space == nil || seg.Space.Apart == "" || !b.as[seg.Space].KeepsApart()
	}) {
		var index []int64
		for _, to := range m.to {
			index = append(index, int64(to))
		}
		n.Input[0] = b.pick(n.Input[0], i, index)
		b.initializer(n.Input[1], w)
		return nil
	}
	v, err := w.Float64s()
	if err != nil {
		return err
	}
	merged, dims := m.scatter(v, w.Dims, 2, false)
	b.initializer(n.Input[1], onnx.FromFloat64(w.DType, merged, dims...))
	b.out.Recurrences = append(b.out.Recurrences, Recurrence{Model: i, Output: OutputOf(n), Own: own, To: m.to, Width: m.width})
	return nil
}

// pick is model i's part of the last axis of a trunk's value.
func (b *builder) pick(value string, i int, index []int64) string {
	key := b.s.Models[i].Head + " part of " + value
	if v, ok := b.gathered[key]; ok {
		return v
	}
	v := b.own(value, i)
	b.initializer(v+"/index", onnx.FromInt64(index, int64(len(index))))
	b.names.taken[v+"/index"] = true
	b.graph.Node = append(b.graph.Node, onnx.NewNode("Gather", v, []string{value, v + "/index"}, []string{v}, onnx.Int("axis", 2)))
	b.gathered[key] = v
	return v
}

func sequence(from, n int) []int64 {
	out := make([]int64, n)
	for k := range out {
		out[k] = int64(from + k)
	}
	return out
}
