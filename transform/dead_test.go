package transform_test

import (
	"context"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
)

// Units that never fire look alike where they are read. Behind a depthwise convolution, which gives each its bias, they
// do not: the zip of a model with a permuted copy of itself finds each one's own, whichever place is read last.
func TestDeadUnitsAreToldApartWhereTheyDiffer(t *testing.T) {
	for name, reads := range map[string]string{
		"the bias first": "e = Conv(d, w1)\nf = Conv(r, w2)",
		"the bias last":  "f = Conv(r, w2)\ne = Conv(d, w1)",
	} {
		t.Run(name, func(t *testing.T) {
			m := onnxtest.Build(t, `
				input x f32[N,3,8,8]
				w = init f32[8,3,3,3] random(1)
				b = init f32[8] {0, -100, -100, -100, -100, -100, -100, 0}
				dw = init f32[8,1,3,3] random(2)
				db = init f32[8] random(3)
				w1 = init f32[5,8,1,1] random(4)
				w2 = init f32[5,8,1,1] random(5)
				c = Conv(x, w, b)
				r = Relu(c)
				d = Conv(r, dw, db) {group=8}
				`+reads+`
				y = GlobalAveragePool(e)
				z = GlobalAveragePool(f)
				output y
				output z`)
			proofs, err := transform.Prove(context.Background(), engine(t), m, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range proofs {
				if !p.Passed || !p.Told {
					t.Errorf("%s: passed %t, told by the inputs %t, output %q deviates by %.2g", p.Name, p.Passed, p.Told, p.Output, p.Deviation)
				}
			}
			if len(proofs) != 4 {
				t.Errorf("%d properties could be tried", len(proofs))
			}
		})
	}
}
