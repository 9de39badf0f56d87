package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestHandOut(t *testing.T) {
	checkPass(t, "outputs", []passTest{
		{
			name: "a latent code that is decoded too",
			model: `
				input x f32[N,4]
				w = init f32[2,4] random(1)
				v = init f32[4,2] random(2)
				code = Gemm(x, w) {transB=1}
				h = Relu(code)
				y = Gemm(h, v) {transB=1}
				output y f32[N,4]
				output code f32[N,2]`,
			want: `code_inner = Gemm(x, w) {transB=1}
				code = Identity(code_inner)
				h = Relu(code_inner)
				y = Gemm(h, v) {transB=1}`,
			kinds: map[string]int{"outputs handed out": 1},
		},
		{
			name: "hidden states, each read by the next",
			model: `
				input x f32[N,4]
				a = Relu(x)
				b = Add(a, x)
				c = Add(b, a)
				output a f32[N,4]
				output b f32[N,4]
				output c f32[N,4]`,
			want: `a_inner = Relu(x)
				a = Identity(a_inner)
				b_inner = Add(a_inner, x)
				b = Identity(b_inner)
				c = Add(b_inner, a_inner)`,
			kinds: map[string]int{"outputs handed out": 2},
		},
		{
			name: "two outputs of one node, one of them read on",
			model: `
				input x f32[N,4]
				two = init i64[2] {2, 2}
				a, b = Split(x, two) {axis=1}
				y = Neg(b)
				output a f32[N,2]
				output b f32[N,2]
				output y f32[N,2]`,
			want: `a, b_inner = Split(x, two) {axis=1}
				b = Identity(b_inner)
				y = Neg(b_inner)`,
			kinds: map[string]int{"outputs handed out": 1},
		},
		{
			name: "what is an input, is counted, or is an output twice stays",
			model: `
				input x f32[N,4]
				a = Relu(x)
				n = Shape(a)
				twice = Identity(a)
				output x f32[N,4]
				output a f32[N,4]
				output n i64[2]
				output twice f32[N,4]`,
		},
	})
}

func TestHandOutLeavesWhatASubgraphCaptures(t *testing.T) {
	m := onnxtest.Build(t, `
		input c bool[]
		input x f32[2]
		a = Relu(x)
		b = Neg(a)
		y = If(c)
		output a f32[2]
		output b f32[2]
		output y f32[2]`)
	branch := func(op string) *onnx.Graph { return onnxtest.Build(t, "z = "+op+"(a)\noutput z f32[2]").Graph() }
	m.Graph().Node[2].Attribute = []*onnx.Attribute{graphAttr("then_branch", branch("Neg")), graphAttr("else_branch", branch("Abs"))}
	if _, r := runPass(t, "outputs", m); r.Changes != 0 {
		t.Errorf("%d changes: %v", r.Changes, r.Kinds)
	}
}
