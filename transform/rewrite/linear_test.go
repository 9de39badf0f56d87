package rewrite

import "testing"

func TestLinear(t *testing.T) {
	const gemm = "{alpha=1.0, beta=1.0, transA=0, transB=1}"
	checkPass(t, "linear", []passTest{
		{
			name: "alpha and beta folded, weights laid [out, in], a bias of one row",
			model: `
				input x f32[4,N]
				w = init f32[4,3] random(1)
				c = init f32[1,3] random(2)
				y = Gemm(x, w, c) {alpha=0.3, beta=1.7, transA=1, transB=0}
				output y f32[N,3]`,
			want:  "y = Gemm(x, w, c) {alpha=1.0, beta=1.0, transA=1, transB=1}",
			kinds: map[string]int{"alpha folded": 1, "beta folded": 1, "weights transposed": 1, "biases broadcast": 1},
		},
		{
			name: "a bias without effect, one number as bias, no bias",
			model: `
				input x f32[N,4]
				w = init f32[4,4] random(1)
				c = init f32[4] random(2)
				d = init f32[] {0.5}
				a = Gemm(x, w, c) {alpha=1.0, beta=0.0, transA=0, transB=1}
				b = Gemm(a, w, d) {alpha=1.0, beta=1.0, transA=0, transB=1}
				y = Gemm(b, w) {alpha=1.0, beta=0.5, transA=0, transB=1}
				output y f32[N,4]`,
			want:  "a = Gemm(x, w) " + gemm + "\nb = Gemm(a, w, d) " + gemm + "\ny = Gemm(b, w) " + gemm,
			kinds: map[string]int{"beta folded": 2, "biases broadcast": 1},
		},
		{
			name: "what others read is copied",
			model: `
				input x f32[N,4]
				w = init f32[4,4] random(1)
				a = Gemm(x, w) {alpha=2.0, transB=1}
				b = Gemm(a, w) {alpha=1.0, beta=1.0, transA=0, transB=1}
				output b f32[N,4]`,
			want:  "a = Gemm(x, w_alpha) {alpha=1.0, transB=1}\nb = Gemm(a, w) " + gemm,
			kinds: map[string]int{"alpha folded": 1},
		},
		{
			name: "MatMul and Add of a matrix",
			model: `
				input x f32[N,4]
				w = init f32[4,3] random(1)
				c = init f32[3] random(2)
				v = init f32[3,2] random(3)
				a = MatMul(x, w)
				b = Add(a, c)
				d = Relu(b)
				y = MatMul(d, v)
				output y f32[N,2]`,
			want:  "b = Gemm(x, w, w_bias) " + gemm + "\nd = Relu(b)\ny = Gemm(d, v) " + gemm,
			kinds: map[string]int{"MatMul made Gemm": 2},
		},
		{
			name: "a product that others read keeps its Add",
			model: `
				input x f32[N,4]
				w = init f32[4,3] random(1)
				c = init f32[3] random(2)
				a = MatMul(x, w)
				b = Add(a, c)
				y = Mul(a, b)
				output y f32[N,3]`,
			want:  "a = Gemm(x, w) " + gemm + "\nb = Add(a, c)\ny = Mul(a, b)",
			kinds: map[string]int{"MatMul made Gemm": 1},
		},
		{
			name: "an old Gemm needs a bias",
			model: `
				opset 9
				ir 4
				input x f32[N,4]
				w = init f32[4,3] random(1)
				y = MatMul(x, w)
				output y f32[N,3]`,
			want:  "y = Gemm(x, w, w_bias) " + gemm,
			kinds: map[string]int{"MatMul made Gemm": 1},
		},
		{
			name: "higher ranks, computed weights and tied ones stay",
			model: `
				input x f32[N,2,4]
				input m f32[N,4]
				input ids i64[N]
				w = init f32[4,3] random(1)
				c = init f32[3] random(2)
				table = init f32[4,4] random(3)
				a = MatMul(x, w)
				b = Add(a, c)
				d = Transpose(m)
				e = MatMul(m, d)
				f = Gather(table, ids)
				g = MatMul(f, table)
				h = Gemm(f, table) {alpha=2.0}
				output b f32[N,2,3]
				output e f32[N,N]
				output g f32[N,4]
				output h f32[N,4]`,
		},
	})
}
