package shape_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

func ExampleInfer() {
	m, err := onnxtest.Parse(`
		input image f32[batch,3,height,32]
		w = init f32[8,3,3,3] random(1)
		c = Conv(image, w) {pads=[1,1,1,1], strides=[2,2]}
		f = Flatten(c)
		output f`)
	if err != nil {
		fmt.Println(err)
		return
	}
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(shapes["c"])
	fmt.Println(shapes["f"])

	shapes, err = shape.Infer(m, shape.Options{InputDims: map[string][]int64{"image": {1, 3, 32, 32}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(shapes["f"])
	// Output:
	// float32[batch,8,(height - 1)/2 + 1,16]
	// float32[batch,128·((height - 1)/2) + 128]
	// float32[1,2048]
}
