package data

import (
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// describe writes type and shape of an input: "float32 (N,1,28,28)"; open axes by their symbol or "?".
func (in InputSpec) describe() string { return in.DType.String() + " " + in.shape() }

func (in InputSpec) shape() string {
	if in.Dims == nil {
		return "of any shape"
	}
	parts := make([]string, len(in.Dims))
	for i, d := range in.Dims {
		switch {
		case d.Size > 0:
			parts[i] = strconv.FormatInt(d.Size, 10)
		case i == 0:
			parts[i] = "N"
		case d.Param != "":
			parts[i] = d.Param
		default:
			parts[i] = "?"
		}
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// batch is the number of samples that the input takes at once, 0 where it is free.
func (in InputSpec) batch() int {
	if len(in.Dims) == 0 {
		return 0
	}
	return int(max(in.Dims[0].Size, 0))
}

// inner is the number of elements of one sample, 0 where it is open.
func (in InputSpec) inner() int64 {
	n := int64(1)
	for _, d := range in.Dims[1:] {
		n *= max(d.Size, 0)
	}
	return n
}

// fits reports whether the axes of shape but the first agree with the declared ones.
func fits(shape []int64, dims []onnx.Dim) bool {
	if len(shape) != len(dims) {
		return false
	}
	for i := 1; i < len(dims); i++ {
		if dims[i].Size >= 0 && dims[i].Size != shape[i] {
			return false
		}
	}
	return true
}

// symbols holds the size that each symbolic dimension was found to have.
type symbols map[string]int64

// fit checks the array's shape against the input's.
func (c *column) fit(sizes symbols) error {
	a, in := c.array, c.input
	switch {
	case in.Dims == nil:
		return nil
	case len(in.Dims) == 0:
		return a.at(bad("shape", "the model's input %q is a scalar: no axis counts samples", in.Name))
	case !fits(a.shape, in.Dims):
		return a.at(misfit(a.shape, in))
	}
	for i := 1; i < len(in.Dims); i++ {
		d := in.Dims[i]
		if d.Size >= 0 || d.Param == "" {
			continue
		}
		if size, known := sizes[d.Param]; known && size != a.shape[i] {
			return a.at(bad("shape", "the array's shape is %s, but %s is %d elsewhere; the model takes %s",
				tuple(a.shape), d.Param, size, in.shape()).AtAxis(strconv.Itoa(i)))
		}
		sizes[d.Param] = a.shape[i]
	}
	return nil
}

// misfit says how shape differs and, where reordering the axes or a reshape would do, which.
func misfit(shape []int64, in InputSpec) *fault.Error {
	if p := transpose(shape, in.Dims); p != nil {
		from, to := "", ""
		switch tuple(p) {
		case "(0,3,1,2)":
			from, to = "NHWC ", "NCHW "
		case "(0,2,3,1)":
			from, to = "NCHW ", "NHWC "
		}
		return bad("shape", "the array is %s%s; the model takes %s%s", from, tuple(shape), to, in.shape()).
			WithHint("transpose with x.transpose%s", tuple(p))
	}
	e := bad("shape", "the array's shape is %s; the model takes %s", tuple(shape), in.shape())
	total := int64(1)
	for _, d := range shape {
		total *= d
	}
	switch inner := in.inner(); {
	case inner > 0 && total == inner && len(shape) == len(in.Dims)-1:
		e.WithHint("the array seems to be a single sample: give it a first axis that counts samples, with x[None]")
	case inner > 0 && total == inner*shape[0]:
		e.WithHint("reshape with x.reshape%s", tuple(reshape(in.Dims)))
	}
	return e
}

func reshape(dims []onnx.Dim) []int64 {
	out := []int64{-1}
	for _, d := range dims[1:] {
		out = append(out, d.Size)
	}
	return out
}

// transpose returns the first order of the axes in which shape fits, nil where there is none. Orders are
// tried lexicographically, so the axis of samples moves last and the others as little as possible.
func transpose(shape []int64, dims []onnx.Dim) []int64 {
	const maxAxes = 6 // 720 orders
	if len(shape) != len(dims) || len(shape) > maxAxes {
		return nil
	}
	var try func(order []int64) []int64
	try = func(order []int64) []int64 {
		if len(order) == len(shape) {
			return order
		}
		for axis, size := range shape {
			want := dims[len(order)].Size
			open := want < 0 || len(order) == 0
			if slices.Contains(order, int64(axis)) || !open && want != size {
				continue
			}
			if p := try(append(slices.Clone(order), int64(axis))); p != nil {
				return p
			}
		}
		return nil
	}
	return try(nil)
}
