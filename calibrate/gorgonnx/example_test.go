package gorgonnx_test

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/gorgonnx"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func ExampleEngine() {
	ctx := context.Background()
	model, err := onnx.Load("../../testdata/models/fmnist_mlp_a.onnx")
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := gorgonnx.Engine{}.Open(ctx, model, calibrate.SessionOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	out, err := session.Run(ctx, map[string]*onnx.Tensor{"input": onnx.NewTensor(onnx.Float, 2, 1, 28, 28)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out["logits"].DType, out["logits"].Dims)
	// Output: float32 [2 5]
}
