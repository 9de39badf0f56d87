package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// window is what convolutions and pools have in common: a kernel that slides over the spatial axes.
type window struct {
	kernel, strides, dilations []int64
	before, after              []int64 // pads
	autoPad                    string
	ceil                       bool
}

// maxWindow bounds kernels, strides and pads: beyond it sums of them could overflow.
const maxWindow = 1 << 40

// window reads the attributes for a kernel of those sizes.
func (c *call) window(kernel []int64) (*window, error) {
	n := len(kernel)
	w := &window{
		kernel: kernel, autoPad: onnx.AttrString(c.node, "auto_pad", "NOTSET"),
		ceil: c.attr("ceil_mode", 0) != 0,
	}
	var err error
	if w.strides, err = c.perAxis("strides", n, 1); err != nil {
		return nil, err
	}
	if w.dilations, err = c.perAxis("dilations", n, 1); err != nil {
		return nil, err
	}
	pads, err := c.perAxis("pads", 2*n, 0)
	if err != nil {
		return nil, err
	}
	w.before, w.after = pads[:n], pads[n:]
	for i := range n {
		if w.kernel[i] < 1 || w.kernel[i] > maxWindow || w.strides[i] < 1 || w.dilations[i] < 1 {
			return nil, c.mismatch("kernel %v, strides %v, dilations %v", w.kernel, w.strides, w.dilations)
		}
	}
	return w, nil
}

// perAxis is a list attribute of n entries, each def where it is absent.
func (c *call) perAxis(name string, n int, def int64) ([]int64, error) {
	list := onnx.AttrInts(c.node, name)
	if list == nil {
		list = make([]int64, n)
		for i := range list {
			list[i] = def
		}
	}
	if len(list) != n {
		return nil, c.mismatch("%d %s for %d", len(list), name, n)
	}
	for _, x := range list {
		if x > maxWindow || x < -maxWindow {
			return nil, c.mismatch("%s %v", name, list)
		}
	}
	return list, nil
}

// extent is how many positions the dilated kernel spans.
func (w *window) extent(i int) int64 {
	e, ok := mulInt(w.kernel[i]-1, w.dilations[i])
	if !ok || e > maxWindow {
		return maxWindow
	}
	return e + 1
}

// slide is the output size on spatial axis i: ⌊(size + pads − extent)/stride⌋ + 1.
func (w *window) slide(i int, size Dim) Dim {
	s := w.strides[i]
	switch w.autoPad {
	case "SAME_UPPER", "SAME_LOWER": // ⌈size/stride⌉
		return ceilDiv(size, s)
	case "VALID":
		return add(div(add(size, num(-w.extent(i))), num(s)), num(1))
	}
	span := add(size, num(w.before[i]+w.after[i]-w.extent(i)))
	if span.Known() && span.Size < 0 {
		return num(-1) // refused by Infer, with the dims
	}
	if !w.ceil {
		return add(div(span, num(s)), num(1))
	}
	out := add(ceilDiv(span, s), num(1))
	switch {
	case out.Known() && (out.Size-1)*s >= size.Size+w.before[i]:
		return num(out.Size - 1) // the last window would start in the padding behind
	case !out.Known() && w.after[i]+s > w.extent(i):
		return unknown // whether it would depends on the size
	}
	return out
}

func ceilDiv(d Dim, s int64) Dim { return div(add(d, num(s-1)), num(s)) }

// grow is the output size of a transposed convolution (ONNX: ConvTranspose).
func (w *window) grow(i int, size Dim, extra int64) Dim {
	if w.autoPad == "SAME_UPPER" || w.autoPad == "SAME_LOWER" {
		return mul(size, num(w.strides[i]))
	}
	pads := w.before[i] + w.after[i]
	if w.autoPad == "VALID" {
		pads = 0
	}
	return add(mul(add(size, num(-1)), num(w.strides[i])), num(extra+w.extent(i)-pads))
}
