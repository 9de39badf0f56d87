package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// contraction is a Conv, ConvTranspose or Gemm with constant weights and a constant bias or none: what a
// scale and a shift per channel can be folded into.
type contraction struct {
	editor   *editor
	node     *onnx.Node
	weight   *onnx.Tensor
	rank     int       // of the output
	inputs   int64     // channels of the input
	channels int64     // channels of the output
	bias     []float64 // one per channel, nil for none
	// outOf and inOf tell the output and the input channel that an element of the weights belongs to.
	outOf, inOf func(i int64) int64
}

// contraction looks at n; nil where it is none or not all is known.
func (e *editor) contraction(n *onnx.Node) *contraction {
	if !isOp(n, "Conv", "ConvTranspose", "Gemm") || len(n.GetOutput()) != 1 {
		return nil
	}
	w, ok := e.constant(input(n, 1))
	if !ok || !w.DType.IsFloat() || len(w.Dims) < 2 || w.Len() == 0 {
		return nil
	}
	c := &contraction{editor: e, node: n, weight: w, rank: len(w.Dims)}
	if isOp(n, "Gemm") {
		ok = c.asGemm()
	} else {
		ok = c.asConv(onnx.AttrInt(n, "group", 1), isOp(n, "ConvTranspose"))
	}
	if !ok || !c.readBias() {
		return nil
	}
	return c
}

// asGemm: weights [out, in] with transB, else [in, out].
func (c *contraction) asGemm() bool {
	n, rows, cols := c.node, c.weight.Dims[0], c.weight.Dims[1]
	row := func(i int64) int64 { return i / cols }
	col := func(i int64) int64 { return i % cols }
	if onnx.AttrInt(n, "transB", 0) != 0 {
		c.channels, c.inputs, c.outOf, c.inOf = rows, cols, row, col
	} else {
		c.channels, c.inputs, c.outOf, c.inOf = cols, rows, col, row
	}
	return len(c.weight.Dims) == 2 && onnx.AttrFloat(n, "alpha", 1) == 1 && onnx.AttrFloat(n, "beta", 1) == 1
}

// asConv: weights [out, in/group, …], of a ConvTranspose [in, out/group, …], groups in order on both sides.
func (c *contraction) asConv(group int64, transposed bool) bool {
	d := c.weight.Dims
	if group < 1 || d[0]%group != 0 {
		return false
	}
	kernel, outer, inner := product(d[2:]), d[0]/group, d[1] // the axes' sizes within one group
	outerOf := func(i int64) int64 { return i / (inner * kernel) }
	innerOf := func(i int64) int64 { return outerOf(i)/outer*inner + i/kernel%inner }
	if transposed {
		c.inputs, c.channels, c.inOf, c.outOf = d[0], inner*group, outerOf, innerOf
	} else {
		c.channels, c.inputs, c.outOf, c.inOf = d[0], inner*group, outerOf, innerOf
	}
	return true
}

// readBias reads the third input; false where it is no constant per channel.
func (c *contraction) readBias() bool {
	name := input(c.node, 2)
	if name == "" {
		return true
	}
	t, v, ok := c.editor.floats(name)
	if !ok {
		return false
	}
	rank := c.rank
	if !isOp(c.node, "Gemm") {
		rank = 2 // a convolution's bias is [out], as if it followed a matrix
	}
	c.bias, ok = perChannel(t.Dims, v, c.channels, rank)
	return ok
}

// foldAfter lets the contraction compute s·y + t instead of y, per channel: w ← w·s, b ← b·s + t. A nil t
// stands for zeros and adds no bias where there is none. The new numbers are rounded once. False, and
// nothing done, where one overflows.
func (c *contraction) foldAfter(s, t []float64) bool {
	w, err := c.weight.Float64s()
	if err != nil {
		return false
	}
	for i := range w {
		w[i] *= s[c.outOf(int64(i))]
	}
	if c.bias == nil && t == nil {
		return c.store(w, nil)
	}
	b := make([]float64, c.channels)
	copy(b, c.bias)
	for i := range b {
		b[i] *= s[i]
		if t != nil {
			b[i] += t[i]
		}
	}
	return c.store(w, b)
}

// foldBefore lets the contraction take x where it took s·x + t, per input channel: b ← b + Σ w·t, w ← w·s.
// That holds for a contraction of as many terms at every position: not with pads, nor for a ConvTranspose.
func (c *contraction) foldBefore(s, t []float64) bool {
	w, err := c.weight.Float64s()
	if err != nil {
		return false
	}
	b := make([]float64, c.channels)
	copy(b, c.bias)
	for i := range w {
		in := c.inOf(int64(i))
		b[c.outOf(int64(i))] += w[i] * t[in]
		w[i] *= s[in]
	}
	return c.store(w, b)
}

// store makes w and b the node's weights and bias, nil for none. Whether a bias is added depends on the
// graph alone, never on numbers: models that correspond must still do so afterwards.
func (c *contraction) store(w, b []float64) bool {
	weight, ok := rounded(c.weight.DType, w, c.weight.Dims)
	if !ok {
		return false
	}
	e, n := c.editor, c.node
	weightName := n.Input[1]
	if b != nil {
		bias, ok := rounded(c.weight.DType, b, []int64{c.channels})
		if !ok {
			return false
		}
		if c.bias == nil {
			e.setInput(n, 2, e.addConstant(weightName+"_bias", bias))
		} else {
			e.setConstant(n, 2, "folded", bias)
		}
	}
	e.setConstant(n, 1, "folded", weight)
	return true
}

// perChannel spreads a constant over the channels, axis 1 of a tensor of that rank. ok is false where,
// aligned at the last axis, the constant varies along another axis or has more axes.
func perChannel(dims []int64, v []float64, channels int64, rank int) ([]float64, bool) {
	if len(dims) > rank {
		return nil, false
	}
	for i, d := range dims {
		axis := rank - len(dims) + i
		if d != 1 && (axis != 1 || d != channels) {
			return nil, false
		}
	}
	out := make([]float64, channels)
	for i := range out {
		out[i] = v[i%len(v)]
	}
	return out, true
}
