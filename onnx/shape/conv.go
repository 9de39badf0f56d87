package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// conv: X[N,C,…] and W[M,C/group,k…] make [N,M,…].
func conv(c *call) ([]Value, error) { return c.convolve(0, 1, c.in(0).DType) }

// convInteger and qlinearConv are Conv with quantisation parameters between the operands.
func convInteger(c *call) ([]Value, error) { return c.convolve(0, 1, onnx.Int32) }
func qlinearConv(c *call) ([]Value, error) { return c.convolve(0, 3, c.in(7).DType) }

func (c *call) convolve(xSlot, wSlot int, dtype onnx.DType) ([]Value, error) {
	x, w := c.in(xSlot), c.in(wSlot)
	if !x.HasRank || !w.HasRank {
		return typeOnly(dtype), nil
	}
	if err := c.convRanks(xSlot, wSlot); err != nil {
		return nil, err
	}
	group := num(c.attr("group", 1))
	if _, err := c.same(x.Dims[1], mul(w.Dims[1], group), "channels", xSlot, wSlot); err != nil {
		return nil, err
	}
	if err := c.wantBias(w.Dims[0]); err != nil {
		return nil, err
	}
	return c.slideAll(tensor(dtype, cat(x.Dims[:1], w.Dims[:1])), x, w)
}

// wantBias checks the bias of plain convolutions: one entry for each output channel.
func (c *call) wantBias(channels Dim) error {
	op := c.node.GetOpType()
	if (op != "Conv" && op != "ConvTranspose") || !c.has(2) {
		return nil
	}
	if known, err := c.wantRank(2, 1); !known || err != nil {
		return err
	}
	_, err := c.same(c.in(2).Dims[0], channels, "output channels", 2, 1)
	return err
}

func (c *call) convRanks(xSlot, wSlot int) error {
	x, w := c.in(xSlot), c.in(wSlot)
	if len(x.Dims) < 3 || len(x.Dims) != len(w.Dims) {
		return c.mismatch("%s and %s do not fit: both must have a batch, channels and as many spatial axes",
			c.show(xSlot), c.show(wSlot))
	}
	return nil
}

// kernel is the kernel's size: that of the weight, which kernel_shape may only repeat.
func (c *call) kernel(w Value) (kernel []int64, known bool, err error) {
	spatial := w.Dims[2:]
	attr := onnx.AttrInts(c.node, "kernel_shape")
	if attr == nil {
		kernel, known = numbers(spatial)
		return kernel, known, nil
	}
	if len(attr) != len(spatial) {
		return nil, false, c.mismatch("kernel_shape %v against weight %s", attr, format(w.Dims))
	}
	for i, d := range spatial {
		if d.Known() && d.Size != attr[i] {
			return nil, false, c.mismatch("kernel_shape %v against weight %s", attr, format(w.Dims))
		}
	}
	return attr, true, nil
}

// slideAll appends the spatial axes to out, which has the first two.
func (c *call) slideAll(out, x, w Value) ([]Value, error) {
	kernel, known, err := c.kernel(w)
	if err != nil {
		return nil, err
	}
	if !known {
		out.Dims = cat(out.Dims, unknowns(len(x.Dims)-2))
		return []Value{out}, nil
	}
	win, err := c.window(kernel)
	if err != nil {
		return nil, err
	}
	for i, d := range x.Dims[2:] {
		out.Dims = append(out.Dims, win.slide(i, d))
	}
	return []Value{out}, nil
}

// convTranspose: X[N,C,…] and W[C,M/group,k…] make [N,M,…].
func convTranspose(c *call) ([]Value, error) {
	x, w := c.in(0), c.in(1)
	if !x.HasRank || !w.HasRank {
		return typeOnly(x.DType), nil
	}
	if err := c.convRanks(0, 1); err != nil {
		return nil, err
	}
	if _, err := c.same(x.Dims[1], w.Dims[0], "channels", 0, 1); err != nil {
		return nil, err
	}
	channels := mul(w.Dims[1], num(c.attr("group", 1)))
	if err := c.wantBias(channels); err != nil {
		return nil, err
	}
	spatial, err := c.growAll(x, w)
	if err != nil {
		return nil, err
	}
	return tensorOf(x.DType, cat([]Dim{x.Dims[0], channels}, spatial)), nil
}

// growAll is the spatial axes of a transposed convolution.
func (c *call) growAll(x, w Value) ([]Dim, error) {
	n := len(x.Dims) - 2
	kernel, known, err := c.kernel(w)
	if err != nil || !known {
		return unknowns(n), err
	}
	win, err := c.window(kernel)
	if err != nil {
		return nil, err
	}
	if want := onnx.AttrInts(c.node, "output_shape"); len(want) >= n && len(want) > 0 {
		return nums(want[len(want)-n:]...), nil // some exporters list batch and channels too
	}
	extra, err := c.perAxis("output_padding", n, 0)
	if err != nil {
		return nil, err
	}
	out := make([]Dim, n)
	for i := range out {
		out[i] = win.grow(i, x.Dims[2+i], extra[i])
	}
	return out, nil
}

// pool is MaxPool, AveragePool and LpPool. MaxPool's second output holds indices.
func pool(c *call) ([]Value, error) {
	x := c.in(0)
	kernel := onnx.AttrInts(c.node, "kernel_shape")
	if len(kernel) == 0 {
		return nil, c.mismatch("kernel_shape is missing")
	}
	known, err := c.wantRank(0, len(kernel)+2)
	if err != nil || !known {
		return typeOnly(x.DType), err
	}
	win, err := c.window(kernel)
	if err != nil {
		return nil, err
	}
	dims := clone(x.Dims)
	for i := range kernel {
		dims[2+i] = win.slide(i, dims[2+i])
	}
	return []Value{tensor(x.DType, dims), tensor(onnx.Int64, dims)}, nil
}

// globalPool leaves one position on each spatial axis.
func globalPool(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	dims := clone(x.Dims)
	for i := 2; i < len(dims); i++ {
		dims[i] = num(1)
	}
	return tensorOf(x.DType, dims), nil
}

// gridSample: X[N,C,…] at grid[N,…out,r] makes [N,C,…out].
func gridSample(c *call) ([]Value, error) {
	x, grid := c.in(0), c.in(1)
	if len(x.Dims) < 3 || len(grid.Dims) != len(x.Dims) {
		return typeOnly(x.DType), nil
	}
	return tensorOf(x.DType, cat(x.Dims[:2], grid.Dims[1:len(grid.Dims)-1])), nil
}
