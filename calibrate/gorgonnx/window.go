package gorgonnx

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// window lists the attributes of operators that slide over an image.
var window = []string{"auto_pad", "dilations", "kernel_shape", "pads", "strides"}

// sliding is a window that slides over the last two axes of (N,C,H,W).
type sliding struct {
	kernel, strides, dilations []int64 // vertical, horizontal
	pads                       []int64 // top, left, bottom, right
}

// newSliding reads a node's window. kernel is the weights' where the operator has some, else nil.
func newSliding(c *call, kernel []int64) (*sliding, error) {
	x := c.in[0]
	if len(x.Dims) != 4 {
		return nil, unsupported("this engine slides windows over images only, not over a tensor of shape %v", x.Dims)
	}
	n := c.node
	w := &sliding{kernel: kernel, strides: []int64{1, 1}, dilations: []int64{1, 1}, pads: make([]int64, 4)}
	declared := onnx.AttrInts(n, "kernel_shape")
	if kernel == nil {
		w.kernel = declared
	} else if declared != nil && !slices.Equal(declared, kernel) {
		return nil, fmt.Errorf("kernel_shape %v of weights %v", declared, kernel)
	}
	for _, a := range []struct {
		name string
		to   *[]int64
	}{{"strides", &w.strides}, {"dilations", &w.dilations}, {"pads", &w.pads}} {
		if v := onnx.AttrInts(n, a.name); v != nil {
			*a.to = v
		}
	}
	ok := len(w.kernel) == 2 && len(w.strides) == 2 && len(w.dilations) == 2 && len(w.pads) == 4 &&
		slices.Min(slices.Concat(w.kernel, w.strides, w.dilations)) > 0 && slices.Min(w.pads) >= 0
	if !ok {
		return nil, unsupported("a window of kernel %v, strides %v, dilations %v, pads %v", w.kernel, w.strides, w.dilations, w.pads)
	}
	return w, w.autoPad(onnx.AttrString(n, "auto_pad", "NOTSET"), x.Dims[2:])
}

// autoPad computes the pads of the deprecated attribute auto_pad: for SAME, ⌈size/stride⌉ positions.
func (w *sliding) autoPad(mode string, image []int64) error {
	switch mode {
	case "NOTSET", "":
		return nil
	case "VALID":
		w.pads = make([]int64, 4)
		return nil
	case "SAME_UPPER", "SAME_LOWER":
	default:
		return unsupported("auto_pad %q", mode)
	}
	for i, size := range image {
		positions := (size + w.strides[i] - 1) / w.strides[i]
		total := max(0, (positions-1)*w.strides[i]+w.extent(i)-size)
		small, large := total/2, total-total/2
		w.pads[i], w.pads[i+2] = small, large
		if mode == "SAME_LOWER" {
			w.pads[i], w.pads[i+2] = large, small
		}
	}
	return nil
}

// extent is how far the window reaches along an axis: (kernel − 1)·dilation + 1.
func (w *sliding) extent(i int) int64 { return (w.kernel[i]-1)*w.dilations[i] + 1 }

// positions is the size of the output along each axis, for a padded image: ⌊(size − extent)/stride⌋ + 1.
func (w *sliding) positions(padded []int64) ([]int64, error) {
	out := make([]int64, 2)
	for i, size := range padded {
		if size < w.extent(i) {
			return nil, fmt.Errorf("a window of %v on an image of %v", w.kernel, padded)
		}
		out[i] = (size-w.extent(i))/w.strides[i] + 1
	}
	return out, nil
}

// attrs are the attributes for onnx-go. Pads are not among them: it mixes up their order (it takes
// [1,1,0,0] for one row and no column on each side), so images are padded here.
func (w *sliding) attrs(dilated bool) []*onnx.Attribute {
	a := []*onnx.Attribute{onnx.Ints("kernel_shape", w.kernel...), onnx.Ints("strides", w.strides...)}
	if dilated {
		a = append(a, onnx.Ints("dilations", w.dilations...))
	}
	return a
}

// pad surrounds the images of float32 (N,C,H,W) with a value.
func (w *sliding) pad(x *onnx.Tensor, value float32) *onnx.Tensor {
	if slices.Max(w.pads) == 0 {
		return x
	}
	top, left, height, width := w.pads[0], w.pads[1], x.Dims[2], x.Dims[3]
	rows, columns := height+top+w.pads[2], width+left+w.pads[3]
	one := onnx.FromFloat32([]float32{value})
	out := &onnx.Tensor{DType: x.DType, Dims: []int64{x.Dims[0], x.Dims[1], rows, columns}}
	out.Raw = bytes.Repeat(one.Raw, out.Len())
	for image := range x.Dims[0] * x.Dims[1] {
		for row := range height {
			from := (image*height + row) * width
			to := (image*rows+row+top)*columns + left
			copy(out.Raw[4*to:], x.Raw[4*from:4*(from+width)])
		}
	}
	return out
}

// conv runs each group by itself: onnx-go ignores the attribute group.
func conv(c *call) (*onnx.Tensor, error) {
	x, weights, bias := c.in[0], c.in[1], c.input(2)
	if len(weights.Dims) != 4 {
		return nil, unsupported("this engine convolves images only, not with weights of shape %v", weights.Dims)
	}
	w, err := newSliding(c, weights.Dims[2:])
	if err != nil {
		return nil, err
	}
	groups := onnx.AttrInt(c.node, "group", 1)
	channels, features := x.Dims[1], weights.Dims[0]
	if groups < 1 || channels%groups != 0 || features%groups != 0 || channels/groups != weights.Dims[1] {
		return nil, fmt.Errorf("weights %v in %d groups for %d channels", weights.Dims, groups, channels)
	}
	if bias != nil && !slices.Equal(bias.Dims, weights.Dims[:1]) {
		return nil, fmt.Errorf("a bias of shape %v for %d features", bias.Dims, features)
	}
	if err := allFloat(x); err != nil {
		return nil, err
	}
	x = w.pad(x, 0)
	spatial, err := w.positions(x.Dims[2:])
	if err != nil {
		return nil, err
	}
	var parts []*onnx.Tensor
	for g := range groups {
		in := []*onnx.Tensor{part(x, 1, g, groups), part(weights, 0, g, groups)}
		if bias != nil {
			in = append(in, part(bias, 0, g, groups))
		}
		y, err := compute("Conv", w.attrs(true), in...)
		if err != nil {
			return nil, err
		}
		parts = append(parts, y)
	}
	y, err := concat(parts, 1)
	return shaped(y, err, x.Dims[0], features, spatial[0], spatial[1])
}

// part is slab g of a tensor cut into equal slabs along an axis.
func part(t *onnx.Tensor, axis int, g, groups int64) *onnx.Tensor {
	if groups == 1 {
		return t
	}
	size := t.Dims[axis] / groups
	index := make([]int64, size)
	for i := range index {
		index[i] = g*size + int64(i)
	}
	return take(t, axis, index)
}

// shaped passes a result through if it has the shape that the standard demands.
func shaped(t *onnx.Tensor, err error, dims ...int64) (*onnx.Tensor, error) {
	if err == nil && !slices.Equal(t.Dims, dims) {
		err = fmt.Errorf("onnx-go made the shape %v, the standard demands %v", t.Dims, dims)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func refusePool(n *onnx.Node) string {
	if onnx.AttrInt(n, "ceil_mode", 0) != 0 {
		return "ceil_mode"
	}
	if d := onnx.AttrInts(n, "dilations"); d != nil && slices.Max(d) > 1 {
		return "dilations"
	}
	return ""
}

func maxPool(c *call) (*onnx.Tensor, error) {
	return pool(c, -math.MaxFloat32, func(x *onnx.Tensor, w *sliding) (*onnx.Tensor, error) {
		return compute("MaxPool", w.attrs(false), x)
	})
}

// averagePool convolves each channel with a window of equal weights, so pads must count.
func averagePool(c *call) (*onnx.Tensor, error) {
	return pool(c, 0, func(x *onnx.Tensor, w *sliding) (*onnx.Tensor, error) {
		if slices.Max(w.pads) > 0 && onnx.AttrInt(c.node, "count_include_pad", 0) == 0 {
			return nil, unsupported("this engine does not have AveragePool with pads that do not count")
		}
		area := w.kernel[0] * w.kernel[1]
		even := make([]float32, area)
		for i := range even {
			even[i] = 1 / float32(area)
		}
		images := withDims(x, x.Dims[0]*x.Dims[1], 1, x.Dims[2], x.Dims[3])
		y, err := compute("Conv", w.attrs(true), images, onnx.FromFloat32(even, 1, 1, w.kernel[0], w.kernel[1]))
		if err != nil {
			return nil, err
		}
		return withDims(y, x.Dims[0], x.Dims[1], y.Dims[2], y.Dims[3]), nil
	})
}

// pool pads the images and checks the result's shape around an operator without pads.
func pool(c *call, padding float32, run func(*onnx.Tensor, *sliding) (*onnx.Tensor, error)) (*onnx.Tensor, error) {
	w, err := newSliding(c, nil)
	if err != nil {
		return nil, err
	}
	for i, p := range w.pads {
		if p >= w.kernel[i%2] {
			return nil, unsupported("pads %v as large as the kernel %v", w.pads, w.kernel)
		}
	}
	if err := allFloat(c.in[0]); err != nil {
		return nil, err
	}
	x := w.pad(c.in[0], padding)
	spatial, err := w.positions(x.Dims[2:])
	if err != nil {
		return nil, err
	}
	y, err := run(x, w)
	return shaped(y, err, x.Dims[0], x.Dims[1], spatial[0], spatial[1])
}

func globalAveragePool(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	if len(x.Dims) != 4 {
		return nil, unsupported("this engine pools images only, not a tensor of shape %v", x.Dims)
	}
	y, err := compute("GlobalAveragePool", nil, x)
	return shaped(y, err, x.Dims[0], x.Dims[1], 1, 1)
}
