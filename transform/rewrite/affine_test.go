package rewrite

import "testing"

func TestAffine(t *testing.T) {
	checkPass(t, "affine", []passTest{
		{
			name: "scales and shifts after a Conv",
			model: `
				input x f32[N,2,4,4]
				w = init f32[3,2,3,3] random(1)
				s = init f32[3,1,1] random(2, 0.5, 2)
				h = init f32[1,3,1,1] random(3)
				one = init f32[] {1.5}
				a = Conv(x, w)
				b = Mul(a, s)
				c = Add(b, h)
				d = Sub(c, s)
				e = Div(d, one)
				y = Relu(e)
				output y f32[N,3,2,2]`,
			want:  "e = Conv(x, w, w_bias)\ny = Relu(e)",
			kinds: map[string]int{"Mul folded": 1, "Add folded": 1, "Sub folded": 1, "Div folded": 1},
		},
		{
			name: "a scale adds no bias",
			model: `
				input x f32[N,2]
				w = init f32[3,2] random(1)
				s = init f32[3] random(2)
				a = Gemm(x, w) {transB=1}
				y = Mul(a, s)
				output y f32[N,3]`,
			want:  "y = Gemm(x, w) {transB=1}",
			kinds: map[string]int{"Mul folded": 1},
		},
		{
			name: "a vector along the last axis is no channel's",
			model: `
				input x f32[N,2,3,3]
				w = init f32[3,2,1,1] random(1)
				s = init f32[3] random(2)
				a = Conv(x, w)
				y = Mul(a, s)
				output y f32[N,3,3,3]`,
		},
		{
			name: "other readers, another rank, the constant divided, zero",
			model: `
				input x f32[N,2]
				w = init f32[2,2] random(1)
				s = init f32[2] random(2, 0.5, 1)
				r = init f32[1,1,2] random(3)
				a = Gemm(x, w)
				b = Add(a, s)
				c = Mul(a, b)
				d = Gemm(c, w)
				e = Add(d, r)
				f = Gemm(c, w)
				g = Div(s, f)
				output e f32[1,N,2]
				output g f32[N,2]`,
		},
	})
}
