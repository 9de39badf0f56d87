package rewrite

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestTransposes(t *testing.T) {
	sizes := map[string]int64{"N": 2}
	checkPass(t, "transposes", []passTest{
		{name: "two in a row", sizes: sizes, kinds: map[string]int{"Transposes made one": 1},
			model: "input x f32[N,2,3,4]\na = Transpose(x) {perm=[0,2,1,3]}\ny = Transpose(a) {perm=[0,1,3,2]}\noutput y",
			want:  "y = Transpose(x) {perm=[0,2,3,1]}"},
		{name: "the first is read elsewhere", sizes: sizes,
			model: "input x f32[N,2,3,4]\na = Transpose(x) {perm=[0,2,1,3]}\ny = Transpose(a) {perm=[0,1,3,2]}\nz = Neg(a)\noutput y\noutput z"},
		{name: "heads joined with the batch", sizes: sizes, kinds: map[string]int{"Reshapes around a Transpose dropped": 1},
			model: "input x f32[N,2,3,4]\nd = init i64[3] {-1, 3, 4}\nb = init i64[4] {-1, 2, 4, 3}\na = Reshape(x, d)\nt = Transpose(a) {perm=[0,2,1]}\ny = Reshape(t, b)\noutput y",
			want:  "y = Transpose(x) {perm=[0,1,3,2]}"},
		{name: "divided otherwise", sizes: sizes,
			model: "input x f32[N,2,3,4]\nd = init i64[3] {-1, 3, 4}\nb = init i64[4] {2, -1, 4, 3}\na = Reshape(x, d)\nt = Transpose(a) {perm=[0,2,1]}\ny = Reshape(t, b)\noutput y"},
		{name: "the joined axis moves", sizes: sizes,
			model: "input x f32[N,2,3,4]\nd = init i64[3] {-1, 3, 4}\nb = init i64[4] {3, -1, 2, 4}\na = Reshape(x, d)\nt = Transpose(a) {perm=[1,0,2]}\ny = Reshape(t, b)\noutput y"},
	})
}

func TestScales(t *testing.T) {
	const in = "input q f32[N,3,4]\ninput k f32[N,4,3]\nc = init f32[] {0.5}\nd = init f32[1] {2}\n"
	const want = "y_scaled = Mul(q, y_scale)\ny = MatMul(y_scaled, k)"
	once, sizes := map[string]int{"scale placed": 1}, map[string]int64{"N": 2}
	checkPass(t, "scales", []passTest{
		{name: "in its place", model: in + "s = Mul(q, c)\ny = MatMul(s, k)\noutput y", sizes: sizes},
		{name: "divisor", model: in + "s = Div(q, d)\ny = MatMul(s, k)\noutput y", sizes: sizes, kinds: once, want: want},
		{name: "on the other side", model: in + "s = Mul(k, c)\ny = MatMul(q, s)\noutput y", sizes: sizes, kinds: once, want: want},
		{name: "on both", model: in + "r = init f32[] {0.70710678}\ns = Mul(q, r)\nt = Mul(k, r)\ny = MatMul(s, t)\noutput y", sizes: sizes, kinds: once, want: want},
		{name: "behind", model: in + "s = MatMul(q, k)\ny = Div(s, d)\noutput y", sizes: sizes, kinds: once,
			want: "s_scaled = Mul(q, s_scale)\ny = MatMul(s_scaled, k)"},
		{name: "before heads are divided", sizes: sizes, kinds: once,
			model: in + "h = init i64[4] {0, 3, 2, 2}\nl = init i64[4] {0, 2, 2, 3}\ns = Mul(q, c)\nr = Reshape(s, h)\nt = Transpose(r) {perm=[0,2,1,3]}\nu = Reshape(k, l)\n" +
				"y = MatMul(t, u)\noutput y",
			want: "r_unscaled = Reshape(q, h)\nt_unscaled = Transpose(r_unscaled) {perm=[0,2,1,3]}\nu = Reshape(k, l)\ny_scaled = Mul(t_unscaled, y_scale)\ny = MatMul(y_scaled, u)"},
		{name: "a factor that varies", model: in + "e = init f32[4] random(1)\ns = Mul(q, e)\ny = MatMul(s, k)\noutput y", sizes: sizes},
		{name: "read elsewhere", model: in + "s = Mul(q, d)\ny = MatMul(s, k)\nz = Neg(s)\noutput y\noutput z", sizes: sizes},
		{name: "a linear map", model: in + "w = init f32[4,2] random(1)\ns = Mul(q, d)\ny = MatMul(s, w)\noutput y", sizes: sizes},
	})
}

// Rounded, inverted or as a root on both sides, 1/√8 is one number.
func TestScaleOfWidthIsExact(t *testing.T) {
	var first []byte
	for _, text := range []string{
		"c = init f32[] {0.35355338}\ns = Mul(q, c)\ny = MatMul(s, k)\n", "c = init f32[] {2.828427}\ns = Div(q, c)\ny = MatMul(s, k)\n",
		"c = init f32[] {0.59460354}\ns = Mul(q, c)\nt = Mul(k, c)\ny = MatMul(s, t)\n", "c = init f32[] {0.3535535}\ns = MatMul(q, k)\ny = Mul(s, c)\n",
	} {
		m, _ := runPass(t, "scales", onnxtest.Build(t, "input q f32[N,3,8]\ninput k f32[N,8,3]\n"+text+"output y"))
		e, err := edit(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range e.nodes {
			if number, ok := e.constant(input(n, 1)); isOp(n, "Mul") && ok {
				if first == nil {
					first = number.Raw
				}
				if !slices.Equal(number.Raw, first) {
					t.Errorf("%sscales by %x, want %x", text, number.Raw, first)
				}
			}
		}
	}
}
