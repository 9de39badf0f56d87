package space

import "github.com/onnx-zip/onnx-zip/onnx"

// depthToSpace lays b² channels of a map beside each other (PixelShuffle). What it makes are features that have b² positions each
// on the channels' axis before (mode CRD), or one in each of b² copies of them (DCR): these move together.
func depthToSpace(c *call) {
	x := c.in(0)
	square := c.square()
	outer, inner := square, 1
	if onnx.AttrString(c.n, "mode", "DCR") == "CRD" {
		outer, inner = 1, square
	}
	size := c.size(c.n.GetOutput()[0], 1)
	if len(x) != 4 || size < 1 {
		c.pinNode("lays features beside each other in a way that cannot be followed")
		return
	}
	if b, ok := resolve(x[1]).wholeBlock(); ok {
		c.a.refine(b, outer, inner)
	}
	parts, ok := factor(x[1], []int{outer, size, inner})
	if !ok || !parts[0].isAligned() || !parts[2].isAligned() {
		c.pinNode("lays features beside each other in a way that cannot be followed")
		return
	}
	c.mapOf(parts[1])
}

// spaceToDepth lays the pixels of a square of b·b behind each other: b² copies of the features.
func spaceToDepth(c *call) {
	x := c.in(0)
	if len(x) != 4 {
		c.pinNode("has an input of unexpected rank")
		return
	}
	channels, ok := times(aligned(c.square()), resolve(x[1]))
	if !ok {
		c.pinNode("lays pixels behind each other in a way that cannot be followed")
		return
	}
	c.mapOf(channels)
}

// square is the number of pixels of a block.
func (c *call) square() int {
	b := int(onnx.AttrInt(c.n, "blocksize", 1))
	return b * b
}

// mapOf gives the output its axes: those of the input, with other channels and other sizes. Height and width must hold no features.
func (c *call) mapOf(channels axis) {
	axes := []axis{c.in(0)[0], channels}
	for k := 2; k < 4; k++ {
		restrictAll(c.in(0)[k], Pinned, c.why("lays features beside pixels"))
		axes = append(axes, aligned(c.size(c.n.GetOutput()[0], k)))
	}
	c.setOut(0, axes)
}
