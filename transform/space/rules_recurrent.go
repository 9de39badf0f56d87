package space

import "github.com/onnx-zip/onnx-zip/onnx"

// gates are the recurrences, and how many gates each has.
var gates = map[string]int{"LSTM": 4, "GRU": 3, "RNN": 1}

// IsRecurrent reports whether a node is an LSTM, GRU or RNN.
func IsRecurrent(n *onnx.Node) bool { return gates[n.GetOpType()] > 0 }

// recurrent is an LSTM, GRU or RNN of so many gates. Its hidden features may be reordered and doubled like those of any
// layer: W is [directions, gates·H, inputs], R [directions, gates·H, H], B [directions, 2·gates·H], the LSTM's peepholes P
// [directions, 3·H], initial and last states [directions, batch, H]; the gates lie one after the other, all directions
// have the same order. But what is made of merged features comes back to them step by step, so a merge keeps those of
// each model apart.
func recurrent(gates int) rule {
	return func(c *call) {
		x, w, r := c.in(0), c.param(1), c.param(2)
		switch {
		case w == nil || r == nil || c.input(3) != "" && c.param(3) == nil || c.input(7) != "" && c.param(7) == nil:
			c.pinNode("computes its weights")
			return
		case len(x) != 3 || len(w.GetDims()) != 3 || len(r.GetDims()) != 3 || w.GetDims()[1] != int64(gates)*r.GetDims()[2]:
			c.pinNode("has operands of unexpected shape")
			return
		}
		hidden := c.fresh(int(r.GetDims()[2]))
		why := c.why("feeds its features back to itself: each model keeps its own, side by side")
		hidden[0].b.apart = &why
		for k := range 2 {
			restrictAll(x[k], Pinned, c.why("takes a step along the features"))
		}
		c.read(0, 2, c.weights(1)/c.size(c.input(0), 2))
		c.setParam(1, 1, copies(hidden, gates), Out)
		c.setParam(1, 2, x[2], In)
		c.setParam(2, 1, copies(hidden, gates), Out)
		c.setParam(2, 2, hidden, In)
		if c.param(3) != nil {
			c.setParam(3, 1, copies(hidden, 2*gates), Out)
		}
		if c.param(7) != nil {
			c.setParam(7, 1, copies(hidden, 3), Out)
		}
		c.initialState(5, hidden)
		c.initialState(6, hidden)
		c.recurrentOutputs(x, hidden)
	}
}

// copies is an axis that holds the same features n times, one after the other.
func copies(x axis, n int) axis {
	var out axis
	for range n {
		out = append(out, x...)
	}
	return out
}

// initialState ties a recurrence's initial state, where it has one, to its features.
func (c *call) initialState(slot int, hidden axis) {
	switch s := c.in(slot); {
	case c.input(slot) == "":
	case c.param(slot) != nil:
		c.setParam(slot, 2, hidden, Out)
	default:
		for k := range 2 {
			restrictAll(s[k], Pinned, c.why("takes a step along the features"))
		}
		c.a.unify(hidden, s[2], c.why("ties its operands"))
	}
}

// recurrentOutputs: all steps [steps, directions, batch, H], the last states [directions, batch, H]; with layout 1 the
// batch comes first.
func (c *call) recurrentOutputs(x []axis, hidden axis) {
	outputs := c.n.GetOutput()
	first := onnx.AttrInt(c.n, "layout", 0)
	dirs := aligned(int(c.param(1).GetDims()[0]))
	batch := x[1-first]
	all, last := []axis{x[0], dirs, batch, hidden}, []axis{dirs, batch, hidden}
	if first != 0 {
		all, last = []axis{batch, x[1], dirs, hidden}, []axis{batch, dirs, hidden}
	}
	for k := range outputs {
		if k == 0 {
			c.setOut(k, all)
		} else {
			c.setOut(k, last)
		}
	}
}
