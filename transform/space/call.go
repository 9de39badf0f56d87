package space

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// call is one node under one rule: what rules read and write.
type call struct {
	a     *analyzer
	model int
	n     *onnx.Node
}

// apply runs the node's rule; a node without one, or whose rule gives up, pins all that it touches.
func (c *call) apply() {
	r, known := rules[c.n.GetOpType()]
	common := c.readsCommon()
	defer func() { c.noteCommon(common) }()
	switch {
	case !known && common && !onnx.HasSubgraph(c.n) && !onnx.IsRandom(c.n):
		for k, out := range c.n.GetOutput() { // whatever it does, it makes the same in every model
			if out != "" {
				c.setOut(k, c.a.alignedAxes(c.model, out))
			}
		}
	case c.n.GetDomain() != "" && c.n.GetDomain() != "ai.onnx":
		c.pinNode("is an operator of domain " + c.n.GetDomain() + ", which the analysis does not know")
	case !known:
		c.pinNode("is an operator that the analysis does not know")
	case !c.ranksKnown():
		c.pinNode("works on values whose rank could not be found")
	default:
		r(c)
		if !passesSame[c.n.GetOpType()] {
			c.outputsVary()
		}
	}
	for _, out := range c.n.GetOutput() { // a rule speaks of the outputs it knows
		if out != "" && c.a.vals[c.model][out] == nil && c.isRead(out) {
			c.pinNode(fmt.Sprintf("makes %q, which the analysis does not follow", out))
			return
		}
	}
}

// passesSame are operators whose result, where their computed operands hold the same along an axis, does too.
var passesSame = map[string]bool{
	"Expand": true, "Reshape": true, "Unsqueeze": true, "Squeeze": true, "Transpose": true, "Cast": true, "Identity": true, "Not": true,
	"Neg": true, "Add": true, "Sub": true, "Mul": true, "Div": true, "Where": true, "Equal": true, "And": true, "Or": true, "MatMul": true,
}

// outputsVary takes back that positions of the outputs hold the same.
func (c *call) outputsVary() {
	for k, out := range c.n.GetOutput() {
		axes := slices.Clone(c.a.vals[c.model][out])
		for i := range axes {
			axes[i] = vary(axes[i])
		}
		if axes != nil {
			c.setOut(k, axes)
		}
	}
}

func (c *call) isRead(value string) bool {
	ix := c.a.inputs[c.model].Index
	return len(ix.Uses(value)) > 0 || ix.Output(value) != nil
}

// readsCommon reports whether all that the node computes with has the same values in every model: inputs of the
// graph, what was made of them without weights, and constants, which a trunk only shares where they are equal.
func (c *call) readsCommon() bool {
	for _, v := range onnx.Reads(c.n) {
		ix := c.a.inputs[c.model].Index
		if ix.Initializer(v) == nil && ix.Input(v) == nil && !c.a.common[c.model][v] {
			return false
		}
	}
	return true
}

// noteCommon notes that the outputs are the same in every model, unless the node has weights.
func (c *call) noteCommon(common bool) {
	for _, v := range c.n.GetInput() {
		for _, role := range c.a.roles[c.model][v] {
			common = common && role == None
		}
	}
	for _, out := range c.n.GetOutput() {
		c.a.common[c.model][out] = common && !onnx.IsRandom(c.n)
	}
}

func (c *call) ranksKnown() bool {
	outputs := c.n.GetOutput()
	for _, v := range append(slices.Clone(c.n.GetInput()), outputs[:min(1, len(outputs))]...) {
		if v != "" && !c.a.inputs[c.model].Shapes[v].HasRank {
			return false
		}
	}
	return true
}

// why is a reason that names this node.
func (c *call) why(text string) Reason {
	return Reason{Model: c.model, Node: onnx.NodeName(c.n), Op: c.n.GetOpType(), Text: text}
}

// input is the name of an input, "" where it is absent.
func (c *call) input(slot int) string {
	if slot < len(c.n.GetInput()) {
		return c.n.GetInput()[slot]
	}
	return ""
}

// param is the initializer of an input, nil where it is computed or absent.
func (c *call) param(slot int) *onnx.TensorProto {
	if name := c.input(slot); name != "" {
		return c.a.inputs[c.model].Index.Initializer(name)
	}
	return nil
}

// ints reads a constant integer input, or what shape inference knows of a computed one.
func (c *call) ints(slot int) ([]int64, bool) {
	if t := c.param(slot); t != nil {
		tensor, err := onnx.TensorOf(t)
		if err != nil {
			return nil, false
		}
		v, err := tensor.Int64s()
		return v, err == nil
	}
	known := c.a.inputs[c.model].Shapes[c.input(slot)].Ints
	if known == nil {
		return nil, false
	}
	out := make([]int64, len(known))
	for i, d := range known {
		if !d.Known() {
			return nil, false
		}
		out[i] = d.Size
	}
	return out, true
}

// shape is the inferred shape of a value.
func (c *call) shape(value string) []shape.Dim { return c.a.inputs[c.model].Shapes[value].Dims }

// size is the inferred size of a value's axis, -1 where unknown.
func (c *call) size(value string, k int) int {
	dims := c.shape(value)
	if k < 0 || k >= len(dims) {
		return -1
	}
	return int(dims[k].Size)
}

// in is the axes of an input. An initializer met this way is taken as it is: all axes aligned.
func (c *call) in(slot int) []axis {
	name := c.input(slot)
	if axes, ok := c.a.vals[c.model][name]; ok {
		return axes
	}
	return c.a.alignedAxes(c.model, name)
}

// setParam gives an axis of a parameter its layout and role. Each initializer is read in one place
// (rewrite un-shares them) but for tied matrices: an embedding's table that makes the output too has two
// roles at once, so the features that it meets stay as they are. So do those that meet a constant that
// cannot be averaged.
func (c *call) setParam(slot, k int, x axis, role Role) {
	if x.isAligned() {
		return
	}
	name := c.input(slot)
	switch {
	case c.readers(name) > 1:
		restrictAll(x, Pinned, c.why("reads a parameter that is read elsewhere too"))
		return
	case !onnx.DType(c.param(slot).GetDataType()).IsFloat():
		restrictAll(x, Pinned, c.why("reads a constant per feature that is not of a floating type"))
		return
	}
	for _, r := range resolve(x) {
		if r.part == InsidePart { // one value for all heads: they cannot differ in the order inside
			r.b.fixInside()
		}
	}
	if c.a.vals[c.model][name] == nil {
		c.a.vals[c.model][name] = c.a.alignedAxes(c.model, name)
		c.a.roles[c.model][name] = make([]Role, len(c.shape(name)))
	}
	c.a.vals[c.model][name][k], c.a.roles[c.model][name][k] = x, role
}

// readers is the number of places where the analysed nodes read a value.
func (c *call) readers(name string) int {
	n := 0
	for _, u := range c.a.inputs[c.model].Index.Uses(name) {
		if c.a.opts.Keep == nil || c.a.opts.Keep(c.model, u.Node) {
			n++
		}
	}
	return n
}

// setParams is setParam for an operand that is broadcast to axes, right-aligned: it holds one value per
// feature where it has the axis in full.
func (c *call) setParams(slot int, axes []axis) {
	t := c.param(slot)
	if t == nil {
		return
	}
	for k, d := range t.GetDims() {
		at := len(axes) - len(t.GetDims()) + k
		if at >= 0 && d != 1 {
			axes[at] = vary(axes[at])
		}
		if at >= 0 && (d != 1 || axes[at].positions() == 1) {
			c.setParam(slot, k, axes[at], Out)
		}
	}
}

// fresh is an axis of new features.
func (c *call) fresh(size int) axis {
	if size < 0 {
		return axis{{b: c.pinnedBlock(size, "makes an axis of unknown size"), inner: 1}}
	}
	return axis{{b: c.a.newBlock(c.model, size), inner: 1}}
}

func (c *call) pinnedBlock(size int, text string) *block {
	b := c.a.newBlock(c.model, size)
	b.restrict(Pinned, c.why(text))
	return b
}

// pinned is an axis of new features that may not be touched.
func (c *call) pinned(size int, text string) axis {
	return axis{{b: c.pinnedBlock(size, text), inner: 1}}
}

// setOut gives an output its axes. Axes of size 1 hold nothing that could be reordered.
func (c *call) setOut(k int, axes []axis) {
	if k < len(c.n.GetOutput()) && c.n.GetOutput()[k] != "" {
		c.a.vals[c.model][c.n.GetOutput()[k]] = axes
	}
}

// pinNode pins every axis of the inputs, and gives the outputs pinned axes, unless all that the node
// works on is aligned and constant: then every model has the same there.
func (c *call) pinNode(text string) {
	for slot := range c.n.GetInput() {
		for _, x := range c.in(slot) {
			restrictAll(x, Pinned, c.why(text))
		}
	}
	for _, captured := range onnx.Reads(c.n) {
		for _, x := range c.a.vals[c.model][captured] {
			restrictAll(x, Pinned, c.why(text))
		}
	}
	for k, out := range c.n.GetOutput() {
		if out != "" {
			c.setOut(k, c.pinnedAxes(out, text))
		}
	}
}

// pinnedAxes makes axes for an output that nothing is known about: any of them may hold features.
func (c *call) pinnedAxes(value, text string) []axis {
	dims := c.shape(value)
	axes := make([]axis, max(len(dims), 1))
	for k := range axes {
		axes[k] = c.pinned(c.size(value, k), text)
	}
	return axes
}

// weights is the number of values of a parameter.
func (c *call) weights(slot int) int {
	n := 1
	for _, d := range c.param(slot).GetDims() {
		n *= int(d)
	}
	return n
}

// read notes that a contraction reads features from axis k of an input.
func (c *call) read(slot, k, fan int) {
	c.a.reads = append(c.a.reads, Read{Model: c.model, Value: c.input(slot), Axis: k, Node: onnx.NodeName(c.n), Fan: fan})
}
