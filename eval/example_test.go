package eval_test

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/eval"
)

func ExampleRateOf() {
	fmt.Println(eval.RateOf(958, 1000))
	// Output: 95.80 % [94.37, 96.88] of 1000
}

func ExamplePaired() {
	a := []bool{true, true, true, false, true, true}
	b := []bool{true, false, true, false, true, false}
	d := eval.Paired(a, b)
	fmt.Printf("%+.1f points [%+.1f, %+.1f], n = %d\n", d.Points, d.Low, d.High, d.N)
	// Output: +33.3 points [-20.8, +70.8], n = 6
}
