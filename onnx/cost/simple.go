package cost

import "github.com/onnx-zip/onnx-zip/onnx"

// free moves data only.
func free(*call) int64 { return 0 }

// perOutput is n operations for each element of the first output.
func perOutput(n int64) rule {
	return func(c *call) int64 { return times(n, c.out()) }
}

// perInput is n operations for each element of the first input.
func perInput(n int64) rule {
	return func(c *call) int64 { return times(n, times(c.in(0, 0)...)) }
}

// perOperand combines all inputs, an operation for each but the first, and does `more` to the result.
func perOperand(more int64) rule {
	return func(c *call) int64 { return times(int64(len(c.node.Input))-1+more, c.out()) }
}

// pool is n operations for each element of the window of each output element.
func pool(n int64) rule {
	return func(c *call) int64 {
		return times(n, c.out(), times(onnx.AttrInts(c.node, "kernel_shape")...))
	}
}

// lrn squares and adds up `size` neighbours, scales, adds the bias, raises and divides.
func lrn(c *call) int64 {
	return times(2*onnx.AttrInt(c.node, "size", 1)+4, c.out())
}

// interpolation weighs the neighbours on two axes: a linear one 2·2² - 1 operations for each output element, a
// cubic one 2·4² - 1. To copy the nearest is free.
func interpolation(mode string) rule {
	return func(c *call) int64 {
		switch onnx.AttrString(c.node, "mode", mode) {
		case "nearest":
			return 0
		case "cubic", "bicubic":
			return times(31, c.out())
		}
		return times(7, c.out())
	}
}
