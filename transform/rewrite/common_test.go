package rewrite

import "testing"

func TestCommon(t *testing.T) {
	checkPass(t, "common", []passTest{
		{
			name: "a pool written twice, behind it what reads it",
			model: `
				input x f32[N,2,4,4]
				a = MaxPool(x) {kernel_shape=[2,2]}
				b = MaxPool(x) {kernel_shape=[2,2]}
				c = Relu(a)
				d = Relu(b)
				y = Add(c, d)
				output y f32[N,2,3,3]`,
			want:  "a = MaxPool(x) {kernel_shape=[2,2]}\nc = Relu(a)\ny = Add(c, c)",
			kinds: map[string]int{"MaxPool computed once": 1, "Relu computed once": 1},
		},
		{
			name: "shapes and single numbers go by their contents",
			model: `
				input x f32[N,6]
				s = init i64[3] {0, 2, 3}
				t = init i64[3] {0, 2, 3}
				p = init f32[] {2}
				q = init f32[] {2}
				a = Reshape(x, s)
				b = Reshape(x, t)
				c = Pow(a, p)
				d = Pow(b, q)
				y = Add(c, d)
				output y f32[N,2,3]`,
			want:  "a = Reshape(x, s)\nc = Pow(a, p)\ny = Add(c, c)",
			kinds: map[string]int{"Reshape computed once": 1, "Pow computed once": 1},
		},
		{
			name: "equal weights, other attributes, outputs of the graph and chance stay",
			model: `
				input x f32[N,2]
				v = init f32[2] {1, 1}
				w = init f32[2] {1, 1}
				a = Mul(x, v)
				b = Mul(x, w)
				c = LeakyRelu(a) {alpha=0.1}
				d = LeakyRelu(a) {alpha=0.2}
				e = Neg(b)
				f = Neg(b)
				g = Add(c, d)
				output e f32[N,2]
				output f f32[N,2]
				output g f32[N,2]`,
		},
	})
}
