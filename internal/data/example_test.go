package data_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// The way of calibration data: read, held against the model, subsampled, and split into what the
// statistics see and what is held out.
func Example() {
	model, err := onnx.Load("../../testdata/models/fmnist_mlp_a.onnx")
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs, err := data.Inputs(model)
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := data.Open("../../testdata/models/fmnist_test.npz", data.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	bound, err := set.Bind(inputs)
	if err != nil {
		fmt.Println(err)
		return
	}
	some, err := data.Sample(bound, 500, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	rest, held, err := data.Split(some, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	feeds, err := rest.Batch(0, 64)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rest.Samples(), held.Samples(), feeds["input"].DType, feeds["input"].Dims)
	// Output: 450 50 float32 [64 1 28 28]
}
