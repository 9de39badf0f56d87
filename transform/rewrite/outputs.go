package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// handOut gives an output that the model reads on (a latent code, hidden states) an Identity of its own: what is read
// on then is an inner value like others, with features that may be merged, and the output is one of its readers.
//
// Outputs that a subgraph captures stay, and those that the model merely asks for their size.
func handOut(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	for _, v := range m.Graph().GetOutput() {
		name := v.GetName()
		n := e.producer[name]
		if n == nil || e.captured(name) || !e.readOn(name) {
			continue
		}
		inner := e.fresh(name + "_inner")
		maker := onnx.Clone(n)
		maker.Output[slices.Index(n.GetOutput(), name)] = inner
		for _, u := range slices.Clone(e.uses[name]) {
			e.setInput(u.Node, u.Slot, inner)
		}
		e.replace(n, maker, onnx.NewNode("Identity", e.freshNode(name), []string{inner}, []string{name}))
		r.did("outputs handed out")
	}
	e.close()
	return nil
}

// readOn reports whether a value is computed with, and not only counted or handed to the graph's outputs.
func (e *editor) readOn(value string) bool {
	return slices.ContainsFunc(e.uses[value], func(u onnx.Use) bool { return !isOp(u.Node, "Shape", "Size") && !e.handsOut(u.Node) })
}

// handsOut reports whether a node does nothing but make a value an output.
func (e *editor) handsOut(n *onnx.Node) bool {
	return isOp(n, "Identity") && e.outputs[n.GetOutput()[0]]
}
