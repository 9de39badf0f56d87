package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"google.golang.org/protobuf/proto"
)

// editor changes a main graph and keeps up with its own changes: who makes and who reads each value. The
// nodes in the model's list change only with close.
//
// Two invariants keep passes simple. A computed value that keeps its name keeps its meaning and shape, so
// what was inferred before a pass holds throughout; an initializer may change both. And the bytes of tensors
// are replaced, never written to: they may be shared.
type editor struct {
	model    *onnx.Model
	graph    *onnx.Graph
	order    []*onnx.Node // topological, of the graph as it was
	producer map[string]*onnx.Node
	uses     map[string][]onnx.Use
	inits    map[string]*onnx.TensorProto
	inputs   map[string]bool // real ones: those that are no initializers
	outputs  map[string]bool
	taken    names
	instead  map[*onnx.Node][]*onnx.Node // nodes that went, and what came in their place
	known    shape.Shapes                // of the graph as it was; nil unless opened with editTyped
}

// edit opens m's main graph.
func edit(m *onnx.Model) (*editor, error) {
	g := m.Graph()
	ix, err := onnx.NewIndex(g)
	if err != nil {
		return nil, err
	}
	e := &editor{
		model: m, graph: g, order: ix.Order,
		producer: map[string]*onnx.Node{}, uses: map[string][]onnx.Use{}, inits: map[string]*onnx.TensorProto{},
		inputs: map[string]bool{}, outputs: map[string]bool{}, taken: newNames(), instead: map[*onnx.Node][]*onnx.Node{},
	}
	for _, t := range g.GetInitializer() {
		e.inits[t.GetName()] = t
	}
	delete(e.inits, "") // the name of what is absent
	for _, v := range ix.Inputs() {
		e.inputs[v.GetName()] = true
	}
	for _, v := range g.GetOutput() {
		e.outputs[v.GetName()] = true
	}
	for _, n := range ix.Order {
		for _, v := range n.GetOutput() {
			if v != "" {
				e.producer[v] = n
			}
		}
		for _, v := range onnx.Reads(n) {
			e.uses[v] = ix.Uses(v)
		}
	}
	e.taken.add(g)
	return e, nil
}

// editTyped is edit with what can be inferred of every value.
func editTyped(m *onnx.Model) (*editor, error) {
	e, err := edit(m)
	if err != nil {
		return nil, err
	}
	// A graph whose shapes contradict each other is for those to report who need all shapes. Here it means
	// that nothing is known.
	e.known, _ = shape.Infer(m, shape.Options{})
	return e, nil
}

func eachSubgraph(n *onnx.Node, f func(*onnx.Graph)) {
	for _, a := range n.GetAttribute() {
		if a.G != nil {
			f(a.G)
		}
		for _, g := range a.GetGraphs() {
			f(g)
		}
	}
}

// nodes lists the nodes of the graph as it was opened that are still there and whose first output is
// there, in topological order.
func (e *editor) nodes(yield func(*onnx.Node) bool) {
	for _, n := range e.order {
		if len(n.GetOutput()) == 0 || n.Output[0] == "" {
			continue
		}
		if _, gone := e.instead[n]; !gone && !yield(n) {
			return
		}
	}
}

// close writes the nodes and initializers back.
func (e *editor) close() {
	if len(e.instead) == 0 {
		return
	}
	var nodes []*onnx.Node
	var add func(n *onnx.Node)
	add = func(n *onnx.Node) {
		if news, gone := e.instead[n]; gone {
			for _, n := range news {
				add(n)
			}
			return
		}
		nodes = append(nodes, n)
	}
	for _, n := range e.graph.Node {
		add(n)
	}
	e.graph.Node = nodes
}

// fresh returns a new name for a value: base, or like it.
func (e *editor) fresh(base string) string { return e.taken.value(base) }

// freshNode returns a new name for a node.
func (e *editor) freshNode(base string) string { return e.taken.node(base) }

// opset is the version of the default domain.
func (e *editor) opset() int64 { return e.model.Opset("") }

// isStandard reports whether n is an operator of the default domain.
func isStandard(n *onnx.Node) bool { return plainDomain(n.GetDomain()) == "" }

// isOp reports whether n is an operator of the default domain with one of those names.
func isOp(n *onnx.Node, ops ...string) bool {
	return n != nil && isStandard(n) && slices.Contains(ops, n.GetOpType())
}

// input is the name of n's input in that slot, "" where it is absent.
func input(n *onnx.Node, slot int) string {
	if slot < len(n.GetInput()) {
		return n.Input[slot]
	}
	return ""
}

// soleReader reports whether the value is read in exactly one place and is no output of the graph: then
// its maker may give it another meaning if its reader goes along.
func (e *editor) soleReader(value string) bool { return len(e.uses[value]) == 1 && !e.outputs[value] }

// unread reports whether nothing needs the value.
func (e *editor) unread(value string) bool {
	return value == "" || len(e.uses[value]) == 0 && !e.outputs[value]
}

// captured reports whether a subgraph reads the value by its name.
func (e *editor) captured(value string) bool {
	return slices.ContainsFunc(e.uses[value], func(u onnx.Use) bool { return u.Slot < 0 })
}

// setInput makes n read value in that slot; "" takes the input away.
func (e *editor) setInput(n *onnx.Node, slot int, value string) {
	for len(n.Input) <= slot {
		n.Input = append(n.Input, "")
	}
	if old := n.Input[slot]; old != "" {
		e.dropUse(old, n, slot)
	}
	n.Input[slot] = value
	if value != "" {
		e.uses[value] = append(slices.Clip(e.uses[value]), onnx.Use{Node: n, Slot: slot})
	}
	for len(n.Input) > 0 && n.Input[len(n.Input)-1] == "" {
		n.Input = n.Input[:len(n.Input)-1]
	}
}

func (e *editor) dropUse(value string, n *onnx.Node, slot int) {
	e.uses[value] = slices.DeleteFunc(slices.Clone(e.uses[value]), func(u onnx.Use) bool { return u.Node == n && u.Slot == slot })
}

// redirect makes every reader of old read new instead. False, and nothing done, where a subgraph
// captures old or where it is an output of the graph.
func (e *editor) redirect(old, new string) bool {
	if e.captured(old) || e.outputs[old] {
		return false
	}
	for _, u := range slices.Clone(e.uses[old]) {
		e.setInput(u.Node, u.Slot, new)
	}
	return true
}

// replace takes n out and puts others in its place. Those that make a value of the name of one of n's
// outputs become its maker.
func (e *editor) replace(n *onnx.Node, news ...*onnx.Node) {
	for slot, v := range n.GetInput() {
		if v != "" {
			e.dropUse(v, n, slot)
		}
	}
	if onnx.HasSubgraph(n) {
		for v := range e.uses {
			e.dropUse(v, n, -1)
		}
	}
	for _, v := range n.GetOutput() {
		if e.producer[v] == n {
			delete(e.producer, v)
		}
	}
	e.instead[n] = news
	for _, m := range news {
		e.adopt(m)
	}
}

// adopt notes what a new node reads and makes.
func (e *editor) adopt(n *onnx.Node) {
	for slot, v := range n.GetInput() {
		if v != "" {
			e.uses[v] = append(slices.Clip(e.uses[v]), onnx.Use{Node: n, Slot: slot})
		}
	}
	for _, v := range n.GetOutput() {
		e.producer[v] = n
		e.taken.values[v] = true
	}
}

// takeOver removes after, the sole reader of n's first output, and lets n make after's output instead.
func (e *editor) takeOver(n, after *onnx.Node) {
	delete(e.producer, n.Output[0])
	e.replace(after)
	n.Output[0] = after.Output[0]
	e.producer[n.Output[0]] = n
}

// constant returns the initializer behind a value.
func (e *editor) constant(value string) (*onnx.Tensor, bool) {
	p := e.inits[value]
	if p == nil {
		return nil, false
	}
	t, err := onnx.TensorOf(p)
	return t, err == nil
}

// isConstant reports whether the value is an initializer, of whatever type.
func (e *editor) isConstant(value string) bool { return e.inits[value] != nil }

// floats returns the constant of a floating type behind a value as float64.
func (e *editor) floats(value string) (t *onnx.Tensor, v []float64, ok bool) {
	if t, ok = e.constant(value); !ok || !t.DType.IsFloat() {
		return nil, nil, false
	}
	v, err := t.Float64s()
	return t, v, err == nil
}

// ints returns the integer constant behind a value.
func (e *editor) ints(value string) ([]int64, bool) {
	t, ok := e.constant(value)
	if !ok {
		return nil, false
	}
	v, err := t.Int64s()
	return v, err == nil
}

// addConstant adds an initializer and returns its name: base, or like it.
func (e *editor) addConstant(base string, t *onnx.Tensor) string {
	name := e.fresh(base)
	e.inits[name] = t.Proto(name)
	e.graph.Initializer = append(e.graph.Initializer, e.inits[name])
	return name
}

// setConstant makes n read t in that slot. The initializer that it read keeps its name with the new
// contents where nobody else reads it; base names a new one.
func (e *editor) setConstant(n *onnx.Node, slot int, base string, t *onnx.Tensor) {
	old := input(n, slot)
	if p := e.inits[old]; p != nil && e.soleReader(old) {
		name := p.Name
		proto.Reset(p)
		p.Name, p.DataType, p.Dims, p.RawData = name, proto.Int32(int32(t.DType)), t.Dims, t.Raw
		return
	}
	if old != "" {
		base = old + "_" + base
	}
	e.setInput(n, slot, e.addConstant(base, t))
}

// nameFor derives a name for a new value or node from a node's.
func nameFor(n *onnx.Node, suffix string) string {
	return fmt.Sprintf("%s_%s", onnx.NodeName(n), suffix)
}
