package rewrite

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

func TestSpelling(t *testing.T) {
	checkPass(t, "spelling", []passTest{
		{name: "allowzero without zeros", model: "input x f32[2,6]\ns = init i64[2] {3, 4}\ny = Reshape(x, s) {allowzero=1}\noutput y",
			want: "y = Reshape(x, s) {allowzero=0}", kinds: map[string]int{"Reshape spelt": 1}},
		{name: "target", model: "input x f32[N,3,4]\ns = init i64[4] {-1, 3, 2, 2}\ny = Reshape(x, s) {allowzero=0}\noutput y",
			want: "y = Reshape(x, s) {allowzero=0}", kinds: map[string]int{"Reshape spelt": 1}, sizes: map[string]int64{"N": 2}},
		{name: "pads that are none", model: "input x f32[1,2,4,4]\ny = AveragePool(x) {count_include_pad=1, kernel_shape=[2,2], pads=[0,0,0,0]}\noutput y",
			want: "y = AveragePool(x) {count_include_pad=0, kernel_shape=[2,2], pads=[0,0,0,0]}", kinds: map[string]int{"AveragePool spelt": 1}},
		{name: "pads that count", model: "input x f32[1,2,4,4]\ny = AveragePool(x) {count_include_pad=1, kernel_shape=[2,2], pads=[1,1,0,0]}\noutput y"},
		{name: "what linear does not read", model: "opset 18\ninput x f32[1,2,4,4]\ns = init f32[4] {1, 1, 2, 2}\n" +
			"y = Resize(x, _, s) {mode=\"linear\", nearest_mode=\"floor\", cubic_coeff_a=-0.5, extrapolation_value=0.0}\noutput y",
			want:  "y = Resize(x, _, s) {cubic_coeff_a=-0.75, mode=\"linear\", nearest_mode=\"round_prefer_floor\"}",
			kinds: map[string]int{"Resize spelt": 1}},
		{name: "parts of equal size", model: "opset 18\ninput x f32[2,6]\ny, z = Split(x) {axis=1, num_outputs=2}\noutput y\noutput z",
			want: "y, z = Split(x, y_sizes) {axis=1}", kinds: map[string]int{"Split spelt": 1}},
		{name: "uneven parts", model: "opset 18\ninput x f32[2,5]\ny, z = Split(x) {axis=1, num_outputs=2}\noutput y\noutput z"},
		{name: "bounds", model: "input x f32[2,6]\na = init i64[1] {-3}\nb = init i64[1] {9223372036854775807}\nc = init i64[1] {-1}\nd = init i64[1] {1}\n" +
			"y = Slice(x, a, b, c, d)\noutput y",
			want: "y = Slice(x, a, b, c)", kinds: map[string]int{"Slice spelt": 1}},
		{name: "bounds of an open axis", model: "input x f32[N,6]\na = init i32[1] {-2}\nb = init i32[1] {9}\ny = Slice(x, a, b)\noutput y",
			want: "y = Slice(x, a, b, bound)", kinds: map[string]int{"Slice spelt": 1}, sizes: map[string]int64{"N": 4}},
		{name: "every other", model: "input x f32[2,6]\na = init i64[1] {0}\nb = init i64[1] {6}\nc = init i64[1] {-1}\nd = init i64[1] {2}\ny = Slice(x, a, b, c, d)\noutput y"},
		{name: "limits of Shape", model: "input x f32[2,6]\ns = Shape(x) {start=0, end=2}\ny = Reshape(x, s)\noutput y",
			want: "s = Shape(x)\ny = Reshape(x, s)", kinds: map[string]int{"Shape spelt": 1}},
		{name: "norm without a shift", model: "opset 17\ninput x f32[2,3]\nw = init f32[3] random(1)\ny = LayerNormalization(x, w)\noutput y",
			want: "y = LayerNormalization(x, w, y_shift)", kinds: map[string]int{"LayerNormalization spelt": 1}},
		{name: "leading ones", model: "input x f32[1,3,2,2]\nw = init f32[1,3,1,1] random(1)\ny = Mul(x, w)\noutput y",
			want: "y = Mul(x, w)", kinds: map[string]int{"Mul spelt": 1}},
		{name: "leading ones that make an axis", model: "input x f32[3]\nw = init f32[1,3] random(1)\ny = Mul(x, w)\noutput y"},
		{name: "one feature", model: "input x f32[2,1,2,2]\nw = init f32[1,1,1] random(1)\ny = Mul(x, w)\noutput y"},
		{name: "slope", model: "input x f32[2,3]\nw = init f32[1,3] random(1)\ny = PRelu(x, w)\noutput y",
			want: "y = PRelu(x, w)", kinds: map[string]int{"PRelu spelt": 1}},
		{name: "joined in two steps", model: "input x f32[2,3]\ninput z f32[2,3]\nn = Neg(x)\na = Concat(x, n) {axis=1}\ny = Concat(a, z) {axis=1}\noutput y",
			want: "n = Neg(x)\ny = Concat(x, n, z) {axis=1}", kinds: map[string]int{"Concat spelt": 1}},
		{name: "states of zero", model: "opset 14\ninput x f32[T,N,4]\nw = init f32[1,12,4] random(1)\nr = init f32[1,12,3] random(2)\nz = init f32[2,1,3] {0,0,0,0,0,0}\n" +
			"xs = Shape(x)\na = init i64[1] {1}\nb = init i64[1] {2}\nc = init i64[1] {0}\nd = init i64[1] {3}\nn = Slice(xs, a, b, c)\ns = Concat(a, n, d) {axis=0}\n" +
			"h = ConstantOfShape(s)\nq = Slice(z, c, a, c)\ng = Concat(a, n, d) {axis=0}\nq2 = Expand(q, g)\ny = LSTM(x, w, r, _, _, h, q2) {hidden_size=3}\noutput y",
			want: "xs = Shape(x)\nn = Slice(xs, a, b, c)\ns = Concat(a, n, d) {axis=0}\nh = ConstantOfShape(s)\nq = Slice(z, c, a, c)\n" +
				"g = Concat(a, n, d) {axis=0}\nq2 = Expand(q, g)\ny = LSTM(x, w, r) {hidden_size=3}", kinds: map[string]int{"LSTM spelt": 1}, sizes: map[string]int64{"T": 3, "N": 2}},
		{name: "states that are not zero", model: "opset 14\ninput x f32[T,1,4]\nw = init f32[1,9,4] random(1)\nr = init f32[1,9,3] random(2)\nh = init f32[1,1,3] {0,0,0.1}\n" +
			"y = GRU(x, w, r, _, _, h) {hidden_size=3}\noutput y", sizes: map[string]int64{"T": 3}},
		{name: "a state that is an input", model: "opset 14\ninput x f32[T,1,4]\ninput h f32[1,1,3]\nw = init f32[1,3,4] random(1)\nr = init f32[1,3,3] random(2)\n" +
			"y = RNN(x, w, r, _, _, h) {hidden_size=3}\noutput y", sizes: map[string]int64{"T": 3}},
		{name: "joined along two axes", model: "input x f32[2,2]\na = Concat(x, x) {axis=1}\ny = Concat(a, a) {axis=0}\noutput y"},
	})
}

const geluConstants = "input x f32[2,6]\nq = init f32[] {1.4142135}\np = init f32[] {0.70710677}\no = init f32[] {1}\nh = init f32[] {0.5}\n"

func TestCompose(t *testing.T) {
	one := map[string]int{"Gelu composed": 1}
	form := "y_Div = Div(x, y_Div_by)\ny_Erf = Erf(y_Div)\ny_Add = Add(y_Erf, y_Add_by)\ny_Mul = Mul(y_Add, x)\ny = Mul(y_Mul, y_Mul_by)"
	checkPass(t, "compose", []passTest{
		{name: "gelu as it is", model: geluConstants + "d = Div(x, q)\ne = Erf(d)\na = Add(e, o)\nm = Mul(x, a)\ny = Mul(m, h)\noutput y"},
		{name: "half first", model: geluConstants + "d = Div(x, q)\ne = Erf(d)\na = Add(e, o)\nm = Mul(a, h)\ny = Mul(x, m)\noutput y",
			want: "d = Div(x, q)\n" + form, kinds: one},
		{name: "half of x", model: geluConstants + "d = Mul(x, p)\ne = Erf(d)\na = Add(e, o)\ng = Mul(x, h)\ny = Mul(g, a)\noutput y",
			want: "d = Mul(x, p)\ng = Mul(x, h)\n" + form, kinds: one},
		{name: "gelu as an operator", model: "opset 20\n" + geluConstants + "d = Div(x, q)\ne = Erf(d)\na = Add(e, o)\nm = Mul(x, a)\ny = Mul(m, h)\noutput y",
			want: "d = Div(x, q)\ny = Gelu(x) {approximate=\"none\"}", kinds: one},
		{name: "no gelu", model: geluConstants + "d = Div(x, q)\ne = Erf(d)\na = Add(e, o)\nm = Mul(a, q)\ny = Mul(x, m)\noutput y"},
		{name: "erf is read elsewhere", model: geluConstants + "d = Div(x, q)\ne = Erf(d)\na = Add(e, o)\nm = Mul(a, h)\ny = Mul(x, m)\nz = Neg(a)\noutput y\noutput z"},
		{name: "hard swish", model: "input x f32[2,6]\ns = HardSigmoid(x) {alpha=0.16666667, beta=0.5}\ny = Mul(x, s)\noutput y",
			want: "y = HardSwish(x)", kinds: map[string]int{"HardSwish composed": 1}},
		{name: "hard swish of old", model: "opset 13\ninput x f32[2,6]\ns = HardSigmoid(x) {alpha=0.16666667, beta=0.5}\ny = Mul(x, s)\noutput y"},
		{name: "another slope", model: "input x f32[2,6]\ns = HardSigmoid(x) {alpha=0.2, beta=0.5}\ny = Mul(x, s)\noutput y"},
		{name: "layer normalization", model: layerNorm("Pow(c, t)"), kinds: map[string]int{"LayerNormalization composed": 1},
			want: "m = ReduceMean(x) {axes=[-1]}\nc = Sub(x, m)\ns = Pow(c, t)\nv = ReduceMean(s) {axes=[-1]}\na = Add(v, e)\n" +
				"y = LayerNormalization(x, g, b) {axis=2, epsilon=1e-05, stash_type=1}"},
		{name: "squared by itself", model: layerNorm("Mul(c, c)"), kinds: map[string]int{"LayerNormalization composed": 1},
			want: "m = ReduceMean(x) {axes=[-1]}\nc = Sub(x, m)\ns = Mul(c, c)\nv = ReduceMean(s) {axes=[-1]}\na = Add(v, e)\n" +
				"y = LayerNormalization(x, g, b) {axis=2, epsilon=1e-05, stash_type=1}"},
		{name: "before there was one", model: "opset 13\n" + layerNorm("Pow(c, t)")},
	})
}

func layerNorm(square string) string {
	return "input x f32[2,3,6]\ng = init f32[6] random(1)\nb = init f32[6] random(2)\nt = init f32[] {2}\ne = init f32[] {1e-5}\n" +
		"m = ReduceMean(x) {axes=[-1]}\nc = Sub(x, m)\ns = " + square + "\nv = ReduceMean(s) {axes=[-1]}\na = Add(v, e)\nr = Sqrt(a)\n" +
		"d = Div(c, r)\nw = Mul(d, g)\ny = Add(w, b)\noutput y"
}

func TestSizes(t *testing.T) {
	n := map[string]int64{"N": 3}
	checkPass(t, "sizes", []passTest{
		{name: "from a value on the way", sizes: n, kinds: map[string]int{"sizes of Expand taken from the inputs": 1},
			model: "input x f32[N,4]\nz = Neg(x)\ns = Shape(z)\ni = init i64[] {0}\na = Gather(s, i)\nu = init i64[1] {0}\nb = Unsqueeze(a, u)\n" +
				"k = init i64[1] {4}\nd = Concat(b, k) {axis=0}\nc = init f32[1,4] random(1)\ne = Expand(c, d)\ny = Add(z, e)\noutput y",
			want: "z = Neg(x)\ns = Shape(z)\na = Gather(s, i)\nb = Unsqueeze(a, u)\nd = Concat(b, k) {axis=0}\ne_shape = Shape(x)\n" +
				"e_open = Gather(e_shape, e_size) {axis=0}\ne_sizes = Concat(e_open, e_size_2) {axis=0}\ne = Expand(c, e_sizes)\ny = Add(z, e)"},
		{name: "of no input", sizes: n, model: "input x f32[N,4]\nz = Concat(x, x) {axis=0}\ns = Shape(z)\nc = init f32[1,4] random(1)\ny = Expand(c, s)\noutput y"},
		{name: "resize between known sizes", sizes: n, kinds: map[string]int{"Resize to sizes scales": 1},
			model: "input x f32[N,2,4,4]\ns = Shape(x) {end=2}\nk = init i64[2] {8, 6}\nd = Concat(s, k) {axis=0}\n" +
				"y = Resize(x, _, _, d) {mode=\"linear\"}\noutput y",
			want: "s = Shape(x) {end=2}\nd = Concat(s, k) {axis=0}\ny = Resize(x, _, y_scales) {mode=\"linear\"}"},
		{name: "resize to an open size", sizes: map[string]int64{"H": 4}, model: "input x f32[1,2,H,4]\nd = init i64[4] {1, 2, 8, 8}\ny = Resize(x, _, _, d) {mode=\"nearest\"}\noutput y"},
	})
}

func TestSplitsAndPads(t *testing.T) {
	checkPass(t, "splits", []passTest{
		{name: "split", model: "opset 13\ninput x f32[2,5]\ns = init i64[2] {2, 3}\na, b = Split(x, s) {axis=1}\ny = Neg(a)\nz = Relu(b)\noutput y\noutput z",
			want:  "a = Slice(x, a_bound, a_bound_2, a_bound_3)\nb = Slice(x, a_bound_4, a_bound_5, a_bound_6)\ny = Neg(a)\nz = Relu(b)",
			kinds: map[string]int{"Split made Slices": 1}},
		{name: "a part that is not read", model: "opset 13\ninput x f32[2,5]\ns = init i64[2] {2, 3}\na, b = Split(x, s) {axis=1}\nz = Relu(b)\noutput z",
			want: "b = Slice(x, a_bound, a_bound_2, a_bound_3)\nz = Relu(b)", kinds: map[string]int{"Split made Slices": 1}},
		{name: "unknown sizes", model: "opset 13\ninput x f32[2,6]\na, b = Split(x) {axis=1}\ny = Neg(a)\nz = Neg(b)\noutput y\noutput z"},
	})
	pool := "{ceil_mode=0, count_include_pad=0, kernel_shape=[3,3], pads=[0,0,0,0]}"
	one := map[string]int{"Pad folded": 1}
	pads := "input x f32[1,2,4,4]\np = init i64[8] {0, 0, 1, 1, 0, 0, 0, 2}\nw = init f32[3,2,2,2] random(1)\n"
	checkPass(t, "pads", []passTest{
		{name: "conv", model: pads + "a = Pad(x, p) {mode=\"constant\"}\ny = Conv(a, w) {pads=[1,0,0,0]}\noutput y",
			want: "y = Conv(x, w) {pads=[2,1,0,2]}", kinds: one},
		{name: "average", model: pads + "a = Pad(x, p) {mode=\"constant\"}\ny = AveragePool(a) " + pool + "\noutput y",
			want: "y = AveragePool(x) {ceil_mode=0, count_include_pad=1, kernel_shape=[3,3], pads=[1,1,0,2]}", kinds: one},
		{name: "not zero", model: pads + "v = init f32[] {0.5}\na = Pad(x, p, v) {mode=\"constant\"}\ny = Conv(a, w) {pads=[0,0,0,0]}\noutput y"},
		{name: "reflected", model: pads + "a = Pad(x, p) {mode=\"reflect\"}\ny = Conv(a, w) {pads=[0,0,0,0]}\noutput y"},
		{name: "read twice", model: pads + "a = Pad(x, p) {mode=\"constant\"}\ny = Conv(a, w) {pads=[0,0,0,0]}\nz = Neg(a)\noutput y\noutput z"},
		{name: "of channels", model: "input x f32[1,2,4,4]\np = init i64[8] {0, 1, 0, 0, 0, 0, 0, 0}\nw = init f32[3,3,2,2] random(1)\n" +
			"a = Pad(x, p) {mode=\"constant\"}\ny = Conv(a, w) {pads=[0,0,0,0]}\noutput y"},
	})
}

// An AveragePool must not have pads as wide as its window (ONNX Runtime forgets that when it folds a Pad itself,
// so that such a model cannot even be run as it is).
func TestPadsAsWideAsTheWindow(t *testing.T) {
	m := onnxtest.Build(t, "input x f32[1,2,4,4]\np = init i64[8] {0, 0, 2, 0, 0, 0, 0, 0}\na = Pad(x, p)\n"+
		"y = AveragePool(a) {kernel_shape=[2,2], pads=[0,0,0,0]}\noutput y")
	if _, r := runPass(t, "pads", m); r.Changes != 0 {
		t.Errorf("folded: %v", r.Kinds)
	}
}

func TestFoldRepeatsOneNumber(t *testing.T) {
	checkPass(t, "fold", []passTest{
		{name: "expand", model: "input x f32[2,3]\nc = init f32[1] {0.5}\ns = init i64[1] {3}\nb = Expand(c, s)\ny = Add(x, b)\noutput y",
			want: "y = Add(x, b)", kinds: map[string]int{"Expand folded": 1}},
		{name: "expand of several", model: "input x f32[2,3]\nc = init f32[1,3] random(1)\ns = init i64[2] {2, 3}\nb = Expand(c, s)\ny = Add(x, b)\noutput y"},
		{name: "cast like", model: "opset 18\ninput x f32[2,3]\nc = init f64[3] {1, 2, 3}\nb = CastLike(c, x)\ny = Add(x, b)\noutput y",
			want: "y = Add(x, b)", kinds: map[string]int{"CastLike folded": 1}},
	})
}

// Only leading sizes are copied: behind an axis that changes, an equal size is another axis.
func TestReshapeTargets(t *testing.T) {
	n := shape.Dim{Sym: "N"}
	num := func(sizes ...int64) (dims []shape.Dim) {
		for _, s := range sizes {
			dims = append(dims, shape.Dim{Size: s})
		}
		return dims
	}
	for _, c := range []struct {
		in, out []shape.Dim
		want    []int64
		open    int
	}{
		{num(2, 6, 4), num(2, 6, 2, 2), []int64{0, 0, 2, 2}, 0},
		{num(2, 6, 4), num(3, 4, 4), []int64{3, 4, 4}, 0},
		{append([]shape.Dim{n}, num(6, 4)...), append([]shape.Dim{n}, num(24)...), []int64{0, 24}, 0},
		{append([]shape.Dim{n}, num(6, 4)...), append(num(6), n, shape.Dim{Size: 4}), []int64{6, -1, 4}, 1},
		{num(2, 6), num(-1, 3), []int64{-1, 3}, 1},
	} {
		if got, open := targetOf(c.out, c.in); !slices.Equal(got, c.want) || open != c.open {
			t.Errorf("%v to %v: %v, %d open, want %v, %d", c.in, c.out, got, open, c.want, c.open)
		}
	}
}
