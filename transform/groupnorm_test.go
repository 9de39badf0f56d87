package transform_test

import (
	"context"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/space"
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
	for _, s := range prepare(t, m).Sources.Full.Spaces {
		if s.Mode == space.Pinned && s.Name != "d" {
			t.Errorf("space %q is pinned: %s", s.Name, s.Reasons())
		}
	}
	proofs, err := transform.Prove(context.Background(), engine(t), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(proofs) != 4 {
		t.Errorf("%d properties could be tried", len(proofs))
	}
	for _, p := range proofs {
		if !p.Passed {
			t.Errorf("%s: output %q deviates by %.2g (space %q)", p.Name, p.Output, p.Deviation, p.Space)
		}
	}
}
