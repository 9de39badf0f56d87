package rewrite_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// A convolution with its BatchNormalization, and one linear map written in two nodes.
func ExampleCanonicalize() {
	m, err := onnxtest.Parse(`
		input x f32[N,3,8,8]
		w = init f32[4,3,3,3] random(1)
		g = init f32[4] random(2, 0.5, 1.5)
		b = init f32[4] random(3)
		mean = init f32[4] random(4)
		var = init f32[4] random(5, 0.5, 2)
		to = init i64[2] {0, -1}
		v = init f32[144,5] random(6)
		c = init f32[5] random(7)
		a = Conv(x, w)
		n = BatchNormalization(a, g, b, mean, var)
		r = Relu(n)
		f = Reshape(r, to)
		h = MatMul(f, v)
		y = Add(c, h)
		output y f32[N,5]`)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, log, err := rewrite.Canonicalize(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range m.Graph().Node {
		fmt.Println(onnxtest.DumpNode(n))
	}
	fmt.Print(log)
	// Output:
	// n = Conv(x, w, w_bias) {dilations=[1,1], group=1, kernel_shape=[3,3], pads=[0,0,0,0], strides=[1,1]} @a
	// r = Relu(n)
	// f = Flatten(r) {axis=1}
	// y = Gemm(f, v, v_bias) {alpha=1.0, beta=1.0, transA=0, transB=1} @h
	// operands: 1 (1 swapped)
	// attributes: 3 (1 BatchNormalization completed, 1 Conv completed, 1 Reshape completed)
	// spelling: 1 (1 Reshape spelt)
	// reshape: 1 (1 Reshape made Flatten)
	// linear: 1 (1 MatMul made Gemm)
	// batchnorm: 1 (1 folded into the node before)
	// dead: 6 (6 initializers dropped)
}
