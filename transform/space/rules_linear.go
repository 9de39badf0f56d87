package space

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
)

var (
	convDense          = einsum("nc*,oc*,o->no*")
	convTransposeDense = einsum("nc*,co*,o->no*")
	matMulRight        = einsum(".k,kn->.n")
	matMulLeft         = einsum("mk,.kn->.mn")
	matMulBoth         = einsum(".mk,.kn->.mn")
)

// conv: dense, depthwise (one filter, or m, per channel), else pinned.
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
		c.pinNode(fmt.Sprintf("is a grouped convolution (%d groups)", groups))
	}
}

// depthwise: output channel k·m+j filters input channel k. W is [C·m, 1, …], its bias [C·m].
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
	for _, window := range x[2:] {
		restrictAll(window, Pinned, c.why("slides a window over the features"))
	}
	c.setParam(1, 0, out, Out)
	switch {
	case c.param(2) != nil:
		c.setParam(2, 0, out, Out)
	case c.input(2) != "":
		c.a.unify(out, c.in(2)[0], c.why("ties its operands"))
	}
	value := c.n.GetOutput()[0]
	axes := []axis{x[0], out}
	for k := 2; k < len(x); k++ {
		axes = append(axes, aligned(c.size(value, k)))
	}
	c.setOut(0, axes)
}

func convTranspose(c *call) {
	switch {
	case c.param(1) == nil:
		c.pinNode("computes its weights")
	case onnx.AttrInt(c.n, "group", 1) != 1:
		c.pinNode("is a grouped transposed convolution")
	default:
		convTransposeDense(c)
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
