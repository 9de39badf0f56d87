package transform_test

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// GroupNormalization as one operator: four properties hold, and nothing is pinned but the output.
func TestGroupNormOperator(t *testing.T) {
	m := onnxtest.Build(t, `
		opset 21
		input x f32[4,3,8,8]
		w = init f32[6,3,3,3] random(1)
		c = Conv(x, w)
		s = init f32[6] random(2, 0.5, 1.5)
		b = init f32[6] random(3, -1, 1)
		n = GroupNormalization(c, s, b) {num_groups=3}
		r = Tanh(n)
		v = init f32[5,6,3,3] random(4)
		d = Conv(r, v)
		y = GlobalAveragePool(d)
		output y
	`)
	proveFree(t, m, "d")
}
