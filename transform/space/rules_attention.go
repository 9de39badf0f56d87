package space

import "github.com/onnx-zip/onnx-zip/onnx"

// headAxes are the four axes of queries, keys or values: samples, heads, tokens, features inside a head.
type headAxes [4]axis

// attention: Attention of opset 23, softmax(Q·Kᵀ + mask)·V in one node. Heads move as a whole, those of queries
// together with the head of keys and values that they share; inside a head queries and keys have one order, values
// and what the node makes another. The tensors are [samples, heads, tokens, features], or [samples, tokens,
// heads·features].
func attention(c *call) {
	queries, keys := int(onnx.AttrInt(c.n, "q_num_heads", 0)), int(onnx.AttrInt(c.n, "kv_num_heads", 0))
	packed := len(c.in(0)) == 3
	q, ok1 := c.headAxes(0, queries)
	k, ok2 := c.headAxes(1, keys)
	v, ok3 := c.headAxes(2, keys)
	if !ok1 || !ok2 || !ok3 {
		c.pinNode("attends to features that it cannot divide into heads")
		return
	}
	why := c.why("ties its operands")
	repeated, okK := c.repeatHeads(k[1], q[1])
	values, okV := c.repeatHeads(v[1], q[1])
	if !okK || !okV {
		c.pinNode("attends with heads whose numbers it cannot follow")
		return
	}
	for _, tie := range [][2]axis{{q[0], k[0]}, {q[0], v[0]}, {q[1], repeated}, {q[1], values}, {q[3], k[3]}, {k[2], v[2]}} {
		c.a.unify(tie[0], tie[1], why)
	}
	restrictAll(q[3], Permute, c.why("multiplies the features with each other and adds them up"))
	restrictAll(k[2], Permute, c.why("normalises over the features"))
	scores := headAxes{q[0], q[1], q[2], k[2]}
	if heads := len(c.shape(c.input(3))) - 3; heads >= 0 { // ONNX Runtime wants a mask for each head of keys
		if n := c.size(c.input(3), heads); n != 1 && n != q[1].positions() {
			c.pinNode("has a mask whose heads it cannot follow")
			return
		}
	}
	c.tieBroadcast(3, scores[:])
	c.tieCache(4, k)
	c.tieCache(5, v)
	c.attentionOutputs(packed, headAxes{q[0], q[1], q[2], v[3]}, k, v, scores)
}

// headAxes are the axes of an input of an attention, divided into heads where they are packed.
func (c *call) headAxes(slot, count int) (headAxes, bool) {
	x := c.in(slot)
	switch {
	case c.param(slot) != nil || len(x) != 3 && len(x) != 4:
		return headAxes{}, false
	case len(x) == 4:
		return headAxes{vary(x[0]), vary(x[1]), vary(x[2]), vary(x[3])}, true
	case count < 1:
		return headAxes{}, false
	case x[2].isAligned():
		return headAxes{x[0], aligned(count), x[1], aligned(-1)}, true
	}
	b, ok := intoGroups(resolve(x[2]), count, c.why("divides the features into heads, which move as a whole"))
	if !ok {
		return headAxes{}, false
	}
	return headAxes{x[0], axis{{b: b, inner: 1, part: HeadPart}}, x[1], axis{{b: b, inner: 1, part: InsidePart}}}, true
}

// repeatHeads lays heads of keys or values as often on an axis as there are heads of queries for each of them.
func (c *call) repeatHeads(x, queries axis) (axis, bool) {
	x, n, all := resolve(x), x.positions(), queries.positions()
	if n == all {
		return x, true
	}
	if n < 1 || all < 1 || all%n != 0 {
		return nil, false
	}
	return times(x, aligned(all/n))
}

// tieBroadcast ties an operand that is broadcast to axes (a mask, a bias): axes of size 1 are no tie.
func (c *call) tieBroadcast(slot int, axes []axis) {
	if c.input(slot) == "" {
		return
	}
	if c.param(slot) != nil {
		c.setParams(slot, axes)
		return
	}
	x := c.in(slot)
	for k := range x {
		if at := len(axes) - len(x) + k; at >= 0 && x[k].positions() != 1 {
			c.a.unify(axes[at], x[k], c.why("ties its operands"))
		}
	}
}

// tieCache ties the keys or values of earlier tokens, [samples, heads, tokens, features], to those of this call.
func (c *call) tieCache(slot int, x headAxes) {
	if c.input(slot) == "" {
		return
	}
	past := c.in(slot)
	restrictAll(x[2], Pinned, c.why("appends to features of unknown number"))
	if len(past) != 4 || c.param(slot) != nil {
		c.pinNode("reads a cache in a way that cannot be followed")
		return
	}
	restrictAll(past[2], Pinned, c.why("appends to features of unknown number"))
	for _, k := range []int{0, 1, 3} {
		c.a.unify(x[k], past[k], c.why("ties its operands"))
	}
}

// attentionOutputs gives the outputs their axes: the result, keys and values with the cache, and the scores.
func (c *call) attentionOutputs(packed bool, out, k, v, scores headAxes) {
	if c.a.vals[c.model][c.n.GetOutput()[0]] != nil {
		return // pinned already
	}
	axes := out[:]
	if packed {
		whole, ok := product([]axis{out[1], out[3]})
		if !ok {
			c.pinNode("attends with heads whose numbers it cannot follow")
			return
		}
		axes = []axis{out[0], out[2], whole}
	}
	c.setOut(0, axes)
	if c.input(4) != "" { // as many tokens more as the cache has
		k[2], v[2], scores[3] = aligned(-1), aligned(-1), aligned(-1)
	}
	c.setOut(1, k[:])
	c.setOut(2, v[:])
	c.setOut(3, scores[:])
}

// rotary: RotaryEmbedding of opset 23 turns pairs of features inside each head by angles that depend on the token:
// the order inside is fixed. The tensors are as those of an attention.
func rotary(c *call) {
	x := c.in(0)
	for slot := 1; slot < len(c.n.GetInput()); slot++ {
		if !c.allAligned(slot) {
			c.pinNode("computes its angles from features")
			return
		}
	}
	count := int(onnx.AttrInt(c.n, "num_heads", 0))
	heads, ok := c.headAxes(0, count)
	if !ok {
		c.pinNode("turns features that it cannot divide into heads")
		return
	}
	for _, r := range resolve(heads[3]) {
		if r.part == InsidePart {
			r.b.fixInside()
		} else {
			restrictAll(axis{r}, Pinned, c.why("turns pairs of features"))
		}
	}
	c.setOut(0, x)
}
