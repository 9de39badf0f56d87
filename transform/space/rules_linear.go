package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

var (
	convDense          = einsum("nc*,oc*,o->no*")
	convTransposeDense = einsum("nc*,co*,o->no*")
	matMulRight        = einsum(".k,kn->.n")
	matMulLeft         = einsum("mk,.kn->.mn")
	matMulBoth         = einsum(".mk,.kn->.mn")
)

// conv: dense, depthwise (one filter, or m, per channel), or grouped.
func conv(c *call) {
	w := c.param(1)
	groups := onnx.AttrInt(c.n, "group", 1)
	switch {
	case w == nil:
		c.pinNode("computes its weights")
	case groups == 1:
		convDense(c)
	case w.GetDims()[1] == 1 && w.GetDims()[0]%groups == 0:
		depthwise(c, int(w.GetDims()[0]/groups))
	default:
		grouped(c, int(groups), int(w.GetDims()[0]), true)
	}
}

// depthwise: output channel k·m+j filters input channel k. W is [C·m, 1, …], or of a transposed convolution
// [C, m, …]; the bias is [C·m].
func depthwise(c *call, m int) {
	x := c.in(0)
	if len(x) < 3 {
		c.pinNode("has an input of unexpected rank")
		return
	}
	out, ok := times(resolve(x[1]), aligned(m))
	if !ok {
		c.pinNode("spreads channels whose layout it cannot follow")
		return
	}
	if c.n.GetOpType() == "ConvTranspose" {
		c.setParam(1, 0, x[1], Out)
	} else {
		c.setParam(1, 0, out, Out)
	}
	c.convResult(out)
}

// convResult ties a convolution's bias to its channels and gives the output its axes; the window's must hold no
// features.
func (c *call) convResult(channels axis) {
	x, value := c.in(0), c.n.GetOutput()[0]
	switch {
	case c.param(2) != nil:
		c.setParam(2, 0, channels, Out)
	case c.input(2) != "":
		c.a.unify(channels, c.in(2)[0], c.why("ties its operands"))
	}
	axes := []axis{x[0], channels}
	for k := 2; k < len(x); k++ {
		restrictAll(x[k], Pinned, c.why("slides a window over the features"))
		axes = append(axes, aligned(c.size(value, k)))
	}
	c.setOut(0, axes)
}

// grouped: each of the groups of input channels makes a group of output channels. Groups change places as a whole,
// those of the two sides together; inside a group the channels of each side have an order of their own. W is
// [outputs, inputs/groups, …], or of a transposed convolution (not forward) [inputs, outputs/groups, …].
func grouped(c *call, groups, outputs int, forward bool) {
	x := c.in(0)
	if len(x) < 3 {
		c.pinNode("has an input of unexpected rank")
		return
	}
	why := c.why("divides the features into groups, which move as a whole")
	channels := c.fresh(outputs)
	out, _ := intoGroups(channels, groups, why)
	from := resolve(x[1])
	in, ok := intoGroups(from, groups, why)
	switch {
	case ok:
		uniteHeads(in, out)
	case from.isAligned():
		out.heads.group.fixed = true
	default:
		c.pinNode("is a grouped convolution of channels whose layout it cannot follow")
		return
	}
	filters, inside, roles := channels, slices.Clone(from), [2]Role{Out, In}
	if !forward {
		filters, inside, roles = from, slices.Clone(channels), [2]Role{In, Out}
	}
	inside[0].part = GroupPart
	c.setParam(1, 0, filters, roles[0])
	c.setParam(1, 1, inside, roles[1])
	c.read(0, 1, c.weights(1)/c.size(c.input(0), 1))
	c.convResult(channels)
}

// convTranspose: dense, depthwise or grouped, as conv; W is [inputs, outputs/groups, …].
func convTranspose(c *call) {
	w := c.param(1)
	groups := onnx.AttrInt(c.n, "group", 1)
	switch {
	case w == nil:
		c.pinNode("computes its weights")
	case groups == 1:
		convTransposeDense(c)
	case w.GetDims()[0] == groups:
		depthwise(c, int(w.GetDims()[1]))
	default:
		grouped(c, int(groups), int(w.GetDims()[1]*groups), false)
	}
}

// gemm: A·B + C with A and B perhaps transposed; B must be a parameter. C is broadcast to the result.
func gemm(c *call) {
	if c.param(1) == nil || c.input(2) != "" && c.param(2) == nil {
		c.pinNode("computes its weights")
		return
	}
	a, b := "mk", "kn"
	if onnx.AttrInt(c.n, "transA", 0) != 0 {
		a = "km"
	}
	if onnx.AttrInt(c.n, "transB", 0) != 0 {
		b = "nk"
	}
	einsum(a + "," + b + "->mn")(c)
	c.setParams(2, c.a.vals[c.model][c.n.GetOutput()[0]])
}

// matMul: a parameter of rank 2 on either side, or two computed operands (attention).
func matMul(c *call) {
	left, right := c.param(0), c.param(1)
	switch {
	case right != nil && left == nil && len(right.GetDims()) == 2:
		matMulRight(c)
	case left != nil && right == nil && len(left.GetDims()) == 2:
		matMulLeft(c)
	case left == nil && right == nil && len(c.in(0)) >= 2 && len(c.in(0)) == len(c.in(1)):
		matMulBoth(c)
	default:
		c.pinNode("multiplies operands whose axes it cannot follow")
	}
}
