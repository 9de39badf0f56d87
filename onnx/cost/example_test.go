package cost_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
)

func ExampleAtBatch() {
	m, err := onnx.Load("../../testdata/models/fmnist_mlp_a.onnx")
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := cost.AtBatch(m, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.FLOPs, "FLOPs,", r.Params, "parameters")
	for _, n := range r.Nodes {
		if n.Op == "Gemm" {
			fmt.Println(n.Op, n.FLOPs, n.Params)
		}
	}
	// Output:
	// 267904 FLOPs, 134149 parameters
	// Gemm 200704 100480
	// Gemm 32768 16512
	// Gemm 32768 16512
	// Gemm 1280 645
}
