package space

import "github.com/onnx-zip/onnx-zip/onnx"

// layerNorm normalises over the axes from `axis` on: its features may be permuted, not averaged.
func layerNorm(c *call) {
	x := c.in(0)
	at := int(onnx.AttrInt(c.n, "axis", -1))
	if at < 0 {
		at += len(x)
	}
	if at < 0 || at >= len(x) {
		c.pinNode("has an axis out of range")
		return
	}
	for k := at; k < len(x); k++ {
		restrictAll(x[k], Permute, c.why("normalises over the features"))
	}
	for slot := 1; slot <= 2; slot++ {
		c.setParams(slot, x)
	}
	c.setOut(0, x)
}

// instanceNorm normalises each channel of each sample over all positions. Features may lie along these: GroupNorm
// with one group is exported as a Reshape to [N, 1, C·H·W] before it.
func instanceNorm(c *call) {
	x := c.in(0)
	if len(x) < 3 {
		c.pinNode("has an input of unexpected rank")
		return
	}
	c.normalisePositions(x)
}

// normalisePositions: the mean and variance are those of all positions, scale and bias are per channel.
func (c *call) normalisePositions(x []axis) {
	for _, positions := range x[2:] {
		restrictAll(positions, Permute, c.why("normalises over the features"))
	}
	for slot := 1; slot <= 2; slot++ {
		c.setParam(slot, 0, x[1], Out)
	}
	c.setOut(0, x)
}

// groupNorm is GroupNormalization of opset 21: it normalises each group of channels of each sample over all positions.
// Groups move as a whole. Scale and bias are per channel (those of opset 18, per group, are rewritten).
func groupNorm(c *call) {
	x := c.in(0)
	if len(x) < 3 || len(c.shape(c.input(1))) != 1 || c.size(c.input(1), 0) != c.size(c.input(0), 1) {
		c.pinNode("has operands of unexpected shape")
		return
	}
	why := c.why("divides the features into groups, which move as a whole")
	if _, ok := intoGroups(resolve(x[1]), int(onnx.AttrInt(c.n, "num_groups", 1)), why); !ok && !x[1].isAligned() {
		c.pinNode("normalises groups of channels whose layout it cannot follow")
		return
	}
	c.normalisePositions(x)
}

// softmax normalises over one axis; before opset 13 over all axes from `axis` on, taken as one.
func softmax(c *call) {
	x := c.in(0)
	old := c.a.inputs[c.model].Opset < 13
	def := int64(-1)
	if old {
		def = 1
	}
	at := int(onnx.AttrInt(c.n, "axis", def))
	if at < 0 {
		at += len(x)
	}
	for k := range x {
		if k == at || old && k > at {
			restrictAll(x[k], Permute, c.why("normalises over the features"))
		}
	}
	c.setOut(0, x)
}

// lpNorm divides by the norm along one axis.
func lpNorm(c *call) {
	x := c.in(0)
	at := int(onnx.AttrInt(c.n, "axis", -1))
	if at < 0 {
		at += len(x)
	}
	if at >= 0 && at < len(x) {
		restrictAll(x[at], Permute, c.why("normalises over the features"))
	}
	c.setOut(0, x)
}

// reduce: reduced axes vanish (or keep size 1). A reduction over features is symmetric in them, so they
// may be permuted, not averaged. axes are an attribute before opset 18 (ReduceSum: 13), an input after.
func reduce(c *call) {
	x := c.in(0)
	axes, given := onnx.AttrInts(c.n, "axes"), onnx.Attr(c.n, "axes") != nil
	if c.input(1) != "" {
		var ok bool
		if axes, ok = c.ints(1); !ok {
			c.pinNode("reduces over axes that are computed")
			return
		}
		given = len(axes) > 0
	}
	if !given && onnx.AttrInt(c.n, "noop_with_empty_axes", 0) != 0 {
		c.setOut(0, x)
		return
	}
	reduced := make([]bool, len(x))
	for k := range x {
		reduced[k] = !given
	}
	for _, at := range axes {
		if at < 0 {
			at += int64(len(x))
		}
		if at >= 0 && at < int64(len(x)) {
			reduced[at] = true
		}
	}
	var out []axis
	for k := range x {
		switch {
		case !reduced[k]:
			out = append(out, x[k])
		default:
			restrictAll(x[k], Permute, c.why("reduces over the features"))
			if onnx.AttrInt(c.n, "keepdims", 1) != 0 {
				out = append(out, aligned(1))
			}
		}
	}
	c.setOut(0, out)
}
