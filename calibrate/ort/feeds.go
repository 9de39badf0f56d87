package ort

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// checkFeeds holds the feeds against the inputs: all of them, no others, of the declared types and shapes.
// Errors are of kind fault.Data.
func checkFeeds(inputs []port, feeds map[string]*onnx.Tensor) error {
	for _, in := range inputs {
		t, ok := feeds[in.name]
		switch {
		case !ok:
			return fault.New(fault.Data, "missing_input", "the model needs an input %q, %s; got %s",
				in.name, in.wants(), feedNames(feeds)).AtValue(in.name)
		case t == nil:
			return fault.New(fault.Data, "missing_input", "the tensor for the input is nil, expected %s", in.wants()).AtValue(in.name)
		}
		if err := in.check(t); err != nil {
			return err
		}
	}
	for name := range feeds {
		if !slices.ContainsFunc(inputs, func(in port) bool { return in.name == name }) {
			return fault.New(fault.Data, "unknown_input", "the model has no input %q; its inputs are %s",
				name, portNames(inputs)).AtValue(name)
		}
	}
	return nil
}

// check holds one tensor against its declaration. Symbolic dimensions take any size.
func (in port) check(t *onnx.Tensor) error {
	mismatch := func(code string) *fault.Error {
		return fault.New(fault.Data, code, "expected %s, got %v %s", in.wants(), t.DType, sizes(t.Dims)).AtValue(in.name)
	}
	if t.DType != in.dtype {
		return mismatch("input_type")
	}
	if in.dims != nil && len(t.Dims) != len(in.dims) {
		return mismatch("input_shape")
	}
	for i, d := range in.dims {
		if d.Size >= 0 && t.Dims[i] != d.Size {
			return mismatch("input_shape").AtAxis(strconv.Itoa(i))
		}
	}
	if in.dims == nil && len(t.Dims) == 0 {
		return fault.New(fault.Data, "input_shape", "a scalar cannot be fed to an input that declares no rank").
			AtValue(in.name).WithHint("declare the input as a scalar, or feed one element of shape [1]")
	}
	if want, ok := byteSize(t); !ok || want != int64(len(t.Raw)) {
		return fault.New(fault.Data, "input_size", "a tensor of %v %s cannot have %d bytes", t.DType, sizes(t.Dims), len(t.Raw)).
			AtValue(in.name)
	}
	return nil
}

// byteSize is the size that t's dims ask for; false where they are negative or overflow.
func byteSize(t *onnx.Tensor) (int64, bool) {
	const limit = 1 << 46 // more than any machine's memory, and a factor of 2^17 below an overflow
	n := int64(t.DType.Size())
	for _, d := range t.Dims {
		if d < 0 || d > limit || n > limit/max(d, 1) {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// wants is "float32 [N,1,28,28]".
func (in port) wants() string {
	if in.dims == nil {
		return in.dtype.String() + " of any shape"
	}
	parts := make([]string, len(in.dims))
	for i, d := range in.dims {
		switch {
		case d.Size >= 0:
			parts[i] = strconv.FormatInt(d.Size, 10)
		case d.Param != "":
			parts[i] = d.Param
		default:
			parts[i] = "?"
		}
	}
	return in.dtype.String() + " [" + strings.Join(parts, ",") + "]"
}

func sizes(dims []int64) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = strconv.FormatInt(d, 10)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func feedNames(feeds map[string]*onnx.Tensor) string {
	if len(feeds) == 0 {
		return "nothing"
	}
	return quoted(slices.Sorted(maps.Keys(feeds)))
}

func portNames(ports []port) string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.name
	}
	return quoted(names)
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(parts, ", ")
}
