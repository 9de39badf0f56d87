package rewrite

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// stats are the parameters of a BatchNormalization over four channels, distinct and far from the defaults.
const stats = `
	g = init f32[4] random(11, 0.5, 1.5)
	b = init f32[4] random(12)
	m = init f32[4] random(13)
	v = init f32[4] random(14, 0.3, 2)
	`

const convBN = stats + `
	input x f32[N,3,5,5]
	w = init f32[4,3,3,3] random(1)
	a = Conv(x, w)
	y = BatchNormalization(a, g, b, m, v)
	output y f32[N,4,3,3]`

func TestBatchNorm(t *testing.T) {
	const before, after, affine = "folded into the node before", "folded into the node after", "made Mul and Add"
	checkPass(t, "batchnorm", []passTest{
		{
			name: "into a Conv", model: convBN,
			want:  "y = Conv(x, w, w_bias)",
			kinds: map[string]int{before: 1},
		},
		{
			name: "into a grouped Conv with a bias, with another epsilon",
			model: stats + `
				input x f32[N,6,4,4]
				w = init f32[4,3,2,3] random(1)
				c = init f32[4] random(2)
				a = Conv(x, w, c) {group=2, pads=[1,1,0,0]}
				y = BatchNormalization(a, g, b, m, v) {epsilon=0.1}
				output y f32[N,4,4,3]`,
			want:  "y = Conv(x, w, c) {group=2, pads=[1,1,0,0]}",
			kinds: map[string]int{before: 1},
		},
		{
			name: "into a ConvTranspose, plain and grouped",
			model: stats + `
				input x f32[N,6,3,3]
				w = init f32[6,4,2,2] random(1)
				u = init f32[4,2,2,3] random(2)
				a = ConvTranspose(x, w)
				c = BatchNormalization(a, g, b, m, v)
				d = ConvTranspose(c, u) {group=2, strides=[2,2]}
				y = BatchNormalization(d, g, b, m, v)
				output y f32[N,4,8,9]`,
			want:  "c = ConvTranspose(x, w, w_bias)\ny = ConvTranspose(c, u, u_bias) {group=2, strides=[2,2]}",
			kinds: map[string]int{before: 2},
		},
		{
			name: "into Gemms of both layouts",
			model: stats + `
				input x f32[N,3]
				w = init f32[4,3] random(1)
				u = init f32[4,4] random(2)
				c = init f32[1,4] random(3)
				a = Gemm(x, w) {transB=1}
				d = BatchNormalization(a, g, b, m, v)
				e = Gemm(d, u, c)
				y = BatchNormalization(e, g, b, m, v)
				output y f32[N,4]`,
			want:  "d = Gemm(x, w, w_bias) {transB=1}\ny = Gemm(d, u, c)",
			kinds: map[string]int{before: 2},
		},
		{
			name: "weights that another Conv reads are copied",
			model: stats + `
				input x f32[N,4,5]
				w = init f32[4,4,3] random(1)
				a = Conv(x, w)
				d = BatchNormalization(a, g, b, m, v)
				y = Conv(d, w)
				output y f32[N,4,1]`,
			want:  "d = Conv(x, w_folded, w_bias)\ny = Conv(d, w)",
			kinds: map[string]int{before: 1},
		},
		{
			name: "into the Conv after, grouped, and the Gemm after",
			model: stats + `
				input x f32[N,4,3,3]
				input z f32[N,4]
				w = init f32[6,2,3,3] random(1)
				u = init f32[4,5] random(2)
				c = init f32[5] random(3)
				a = BatchNormalization(x, g, b, m, v)
				y = Conv(a, w) {group=2}
				d = BatchNormalization(z, g, b, m, v)
				e = Gemm(d, u, c)
				output y f32[N,6,1,1]
				output e f32[N,5]`,
			want:  "y = Conv(x, w, w_bias) {group=2}\ne = Gemm(z, u, c)",
			kinds: map[string]int{after: 2},
		},
		{
			name: "an affine map where folding is not exact or not possible",
			model: stats + `
				input x f32[N,4,3,3]
				input z f32[N,4]
				w = init f32[4,4,3,3] random(1)
				a = BatchNormalization(x, g, b, m, v)
				c = Conv(a, w) {pads=[1,1,1,1]}
				d = BatchNormalization(c, g, b, m, v)
				y = Add(c, d)
				e = BatchNormalization(z, g, b, m, v)
				output y f32[N,4,3,3]
				output e f32[N,4]`,
			want: `
				a_scaled = Mul(x, g_scale)
				a = Add(a_scaled, b_shift)
				c = Conv(a, w) {pads=[1,1,1,1]}
				d_scaled = Mul(c, g_scale_2)
				d = Add(d_scaled, b_shift_2)
				y = Add(c, d)
				e_scaled = Mul(z, g_scale_3)
				e = Add(e_scaled, b_shift_3)`,
			kinds: map[string]int{affine: 3},
		},
		{
			name: "computed parameters stay",
			model: stats + `
				input x f32[N,4]
				input p f32[4]
				y = BatchNormalization(x, p, b, m, v)
				output y f32[N,4]`,
		},
	})
}

func TestBatchNormInTrainingIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"opset 17": "y, mean, var = BatchNormalization(x, g, b, m, v) {training_mode=1} @bn",
		"opset 13": "opset 13\ny, mean, var, a, c = BatchNormalization(x, g, b, m, v) @bn",
		"opset 6":  "opset 6\ny = BatchNormalization(x, g, b, m, v) @bn",
	} {
		t.Run(name, func(t *testing.T) {
			m := onnxtest.Build(t, stats+"\ninput x f32[N,4]\noutput y f32[N,4]\n"+text)
			_, _, err := Canonicalize(m)
			if e := fault.As(err); e.Kind != fault.Unsupported || e.Code != "training_mode" || e.Node != "bn" || e.Hint == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOverflowLeavesBatchNorm: a half cannot hold every scale.
func TestOverflowLeavesBatchNorm(t *testing.T) {
	m := onnxtest.Build(t, strings.ReplaceAll(convBN, "f32", "f16"))
	for _, p := range m.Graph().Initializer {
		if p.GetName() == "v" {
			p.RawData = onnx.FromFloat64(onnx.Float16, []float64{0, 0, 0, 0}, 4).Raw
		}
	}
	onnx.SetAttr(m.Graph().Node[1], onnx.FloatAttr("epsilon", 1e-12))
	if after, r := runPass(t, "batchnorm", m); r.Changes != 0 || !onnx.Equal(after.Proto, m.Proto) {
		t.Errorf("changes: %v", r.Kinds)
	}
}

// TestFoldingRoundsOnce: powers of two are exact.
func TestFoldingRoundsOnce(t *testing.T) {
	m := onnxtest.Build(t, `
		input x f32[N,1,1]
		w = init f32[2,1,1] {3, 5}
		g = init f32[2] {2, 0.5}
		b = init f32[2] {1, -1}
		m = init f32[2] {0.25, 4}
		v = init f32[2] {0, 0}
		a = Conv(x, w)
		y = BatchNormalization(a, g, b, m, v) {epsilon=0.0625}
		output y f32[N,2,1]`)
	after, _ := runPass(t, "batchnorm", m)
	e, err := edit(after)
	if err != nil {
		t.Fatal(err)
	}
	_, w, _ := e.floats("w")
	_, c, _ := e.floats("w_bias")
	if w[0] != 24 || w[1] != 10 || c[0] != -1 || c[1] != -9 {
		t.Errorf("weights %v, bias %v", w, c)
	}
}
