package rewrite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// shuffled is a graph whose value v, [N,6,4,4], is x shuffled in 2 groups.
const shuffled = `
	opset 18
	input x f32[N,6,4,4]
	apart = init i64[5] {0, 2, 3, 4, 4}
	back = init i64[4] {0, 6, 4, 4}
	u = Reshape(x, apart)
	t = Transpose(u) {perm=[0,2,1,3,4]}
	v = Reshape(t, back)
	w = init f32[5,6,1,1] random(1)
	dw = init f32[12,1,3,3] random(2)
	db = init f32[12] random(3)
	w12 = init f32[5,12,1,1] random(9)
	gain = init f32[6,1,1] random(4)
	slope = init f32[6,1,1] random(5)
	matrix = init f32[96,3] random(6)
	two = init i64[1] {2}
	one = init i64[1] {1}
	zero = init i64[1] {0}
	three = init i64[1] {3}
	six = init i64[1] {6}
	w3 = init f32[5,3,1,1] random(7)
	grouped = init f32[6,3,1,1] random(8)
`

func left(shuffles int) map[string]int { return map[string]int{"channel shuffle left out": shuffles} }

func TestShuffles(t *testing.T) {
	n := map[string]int64{"N": 2}
	checkPass(t, "shuffles", []passTest{
		{name: "filters take the order", sizes: n, kinds: left(1),
			model: shuffled + "y = Conv(v, w)\noutput y",
			want:  "y = Conv(x, w)"},
		{name: "through what treats each channel by itself", sizes: n, kinds: left(1),
			model: shuffled + "a = Mul(v, gain)\nb = PRelu(a, slope)\nc = Conv(b, dw, db) {group=6}\nd = Add(c, c)\ne = Softmax(d) {axis=1}\ny = Conv(e, w12)\noutput y",
			want: "a_unshuffled = Mul(x, gain)\nb_unshuffled = PRelu(a_unshuffled, slope)\nc_unshuffled = Conv(b_unshuffled, dw, db) {group=6}\n" +
				"d_unshuffled = Add(c_unshuffled, c_unshuffled)\ne_unshuffled = Softmax(d_unshuffled) {axis=1}\ny = Conv(e_unshuffled, w12)"},
		{name: "flattened", sizes: n, kinds: left(1),
			model: shuffled + "a = Flatten(v) {axis=1}\ny = MatMul(a, matrix)\noutput y",
			want:  "a_unshuffled = Flatten(x) {axis=1}\ny = MatMul(a_unshuffled, matrix)"},
		{name: "pooled, resized, turned", sizes: n, kinds: left(1),
			model: shuffled + "s = init f32[4] {1, 1, 2, 2}\nm6 = init f32[6,3] random(1)\n" +
				"a = MaxPool(v) {kernel_shape=[2,2]}\nb = Resize(a, _, s) {mode=\"nearest\"}\n" +
				"c = Transpose(b) {perm=[0,2,3,1]}\nd = ReduceMean(c, one) {keepdims=0}\ne = MatMul(d, m6)\noutput e",
			want: "a_unshuffled = MaxPool(x) {kernel_shape=[2,2]}\nb_unshuffled = Resize(a_unshuffled, _, s) {mode=\"nearest\"}\n" +
				"c_unshuffled = Transpose(b_unshuffled) {perm=[0,2,3,1]}\nd_unshuffled = ReduceMean(c_unshuffled, one) {keepdims=0}\ne = MatMul(d_unshuffled, m6)"},
		{name: "reduced along the channels, and along others", sizes: n, kinds: left(1),
			model: shuffled + "m6 = init f32[6,3] random(1)\nm = ReduceMean(v, one)\na = Sub(v, m)\nhw = init i64[2] {2, 3}\n" +
				"b = ReduceMax(a, hw) {keepdims=0}\ny = Gemm(b, m6)\noutput y",
			want: "m = ReduceMean(x, one)\na_unshuffled = Sub(x, m)\nb_unshuffled = ReduceMax(a_unshuffled, hw) {keepdims=0}\ny = Gemm(b_unshuffled, m6)"},
		{name: "halves: the first halves of what was shuffled, then the second ones", sizes: n, kinds: left(1),
			model: shuffled + "a = Slice(v, zero, three, one)\nb = Slice(v, three, six, one)\ny = Conv(a, w3)\nz = Conv(b, w3)\noutput y\noutput z",
			want: "a_unshuffled = Gather(x, a_bound) {axis=1}\nb_unshuffled = Gather(x, b_bound) {axis=1}\n" +
				"y = Conv(a_unshuffled, w3_reordered)\nz = Conv(b_unshuffled, w3)"},
		{name: "a slice of other axes", sizes: n, kinds: left(1),
			model: shuffled + "a = Slice(v, zero, three, two)\ny = Conv(a, w)\noutput y",
			want:  "a_unshuffled = Slice(x, zero, three, two)\ny = Conv(a_unshuffled, w)"},
		{name: "picked, neighbours by a Slice", sizes: n, kinds: left(1),
			model: shuffled + "p = init i64[3] {0, -2, 2}\na = Gather(v, p) {axis=1}\ny = Conv(a, w3)\noutput y",
			want:  "a_unshuffled = Slice(x, a_bound, a_bound_2, a_bound_3)\ny = Conv(a_unshuffled, w3)"},
		{name: "appended to others", sizes: n, kinds: left(1),
			model: shuffled + "r = Relu(x)\na = Concat(r, v) {axis=1}\ny = Conv(a, w12)\noutput y",
			want:  "r = Relu(x)\na_unshuffled = Concat(r, x) {axis=1}\ny = Conv(a_unshuffled, w12)"},
		{name: "appended along another axis", sizes: n, kinds: left(1),
			model: shuffled + "r = Relu(v)\na = Concat(r, v) {axis=2}\ny = Conv(a, w)\noutput y",
			want:  "r_unshuffled = Relu(x)\na_unshuffled = Concat(r_unshuffled, x) {axis=2}\ny = Conv(a_unshuffled, w)"},
		{name: "an output keeps its order", sizes: n, kinds: left(1),
			model: shuffled + "r = Relu(v)\ny = Conv(r, w)\noutput r\noutput y",
			want:  "r_unshuffled = Relu(x)\ny = Conv(r_unshuffled, w)\nr = Gather(r_unshuffled, r_order) {axis=1}"},
		{name: "twice", sizes: n, kinds: left(2),
			model: shuffled + "r = Relu(v)\nu2 = Reshape(r, apart)\nt2 = Transpose(u2) {perm=[0,2,1,3,4]}\nv2 = Reshape(t2, back)\ny = Conv(v2, w)\noutput y",
			want:  "r_unshuffled = Relu(x)\ny = Conv(r_unshuffled, w)"},
	})
}

// What needs the order of the shuffled features leaves the shuffle where it is.
func TestShufflesThatStay(t *testing.T) {
	n := map[string]int64{"N": 2}
	checkPass(t, "shuffles", []passTest{
		{name: "a grouped convolution", sizes: n, model: shuffled + "y = Conv(v, grouped) {group=2}\noutput y"},
		{name: "one of two readers", sizes: n, model: shuffled + "y = Conv(v, w)\nz = CumSum(v, three_)\nthree_ = init i64[] {1}\noutput y\noutput z"},
		{name: "added to others in another order", sizes: n, model: shuffled + "r = Relu(x)\na = Add(v, r)\ny = Conv(a, w)\noutput y"},
		{name: "filters that are computed", sizes: n, model: shuffled + "input k f32[5,6,1,1]\ny = Conv(v, k)\noutput y"},
		{name: "positions picked twice", sizes: n, model: shuffled + "p = init i64[3] {0, 0, 2}\na = Gather(v, p) {axis=1}\ny = Conv(a, w3)\noutput y"},
		{name: "mixed with pixels", sizes: n, model: "input x f32[N,6,4]\na = init i64[4] {0, 2, 3, 4}\nb = init i64[3] {0, 6, 4}\n" +
			"u = Reshape(x, a)\nt = Transpose(u) {perm=[0,2,3,1]}\nv = Reshape(t, b)\nw = init f32[5,6,1] random(1)\ny = Conv(v, w)\noutput y"},
		{name: "what lies between is read too", sizes: n, model: "input x f32[N,6,4]\na = init i64[4] {0, 2, 3, 4}\nb = init i64[3] {0, 6, 4}\n" +
			"u = Reshape(x, a)\nt = Transpose(u) {perm=[0,2,1,3]}\nv = Reshape(t, b)\nw = init f32[5,6,1] random(1)\ny = Conv(v, w)\nz = Neg(t)\noutput y\noutput z"},
	})
}

// A later shuffle that stays keeps those before it whose order it needs, and no others.
func TestShuffleThatStaysKeepsWhatItNeeds(t *testing.T) {
	m := onnxtest.Build(t, shuffled+`
		wide = init f32[6,6,1,1] random(7)
		c = Conv(v, wide)
		u2 = Reshape(c, apart)
		t2 = Transpose(u2) {perm=[0,2,1,3,4]}
		v2 = Reshape(t2, back)
		r = Relu(v2)
		u3 = Reshape(r, apart)
		t3 = Transpose(u3) {perm=[0,2,1,3,4]}
		v3 = Reshape(t3, back)
		y = Conv(v3, grouped) {group=2}
		output y`)
	after, r := runPass(t, "shuffles", m)
	if r.Changes != 1 {
		t.Errorf("%d shuffles left out, want the first alone:\n%s", r.Changes, nodeLines(after))
	}
	sameOutputs(t, m, after, onnxtest.Feeds(m, 7, map[string]int64{"N": 2}))
}

// units is a stage of a ShuffleNetV2: n channels on either side, cut in halves again and again.
func units(n, count int, opset string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
		%s
		input x f32[N,3,6,6]
		w0 = init f32[%d,3,1,1] random(1)
		v0 = Conv(x, w0)
		half = init i64[1] {%d}
		all = init i64[1] {%d}
		zero = init i64[1] {0}
		axis = init i64[1] {1}
		apart = init i64[5] {0, 2, %[3]d, 6, 6}
		back = init i64[4] {0, %[4]d, 6, 6}
`, opset, 2*n, n, 2*n)
	for k := range count {
		fmt.Fprintf(&b, `
			a%[1]d = Slice(v%[1]d, zero, half, axis)
			b%[1]d = Slice(v%[1]d, half, all, axis)
			wa%[1]d = init f32[%[2]d,%[2]d,1,1] random(%[3]d)
			wd%[1]d = init f32[%[2]d,1,3,3] random(%[4]d)
			c%[1]d = Conv(b%[1]d, wa%[1]d)
			r%[1]d = Relu(c%[1]d)
			d%[1]d = Conv(r%[1]d, wd%[1]d) {group=%[2]d, pads=[1,1,1,1]}
			e%[1]d = Concat(a%[1]d, d%[1]d) {axis=1}
			u%[1]d = Reshape(e%[1]d, apart)
			t%[1]d = Transpose(u%[1]d) {perm=[0,2,1,3,4]}
			v%[5]d = Reshape(t%[1]d, back)
`, k, n, 2*k+2, 2*k+3, k+1)
	}
	fmt.Fprintf(&b, "wy = init f32[4,%d,1,1] random(99)\ny = Conv(v%d, wy)\noutput y\noutput v1\n", 2*n, count)
	return b.String()
}

// Halves of halves: widths that halve, and odd ones as the published networks have (58, 29, 14 and 15, …).
func TestShuffledUnits(t *testing.T) {
	for _, n := range []int{2, 7, 58} {
		m := onnxtest.Build(t, units(n, 5, "opset 13"))
		after, r := runPass(t, "shuffles", m)
		if r.Changes != 5 {
			t.Errorf("%d channels: %d of 5 shuffles left out", n, r.Changes)
		}
		if _, again := runPass(t, "shuffles", after); again.Changes != 0 {
			t.Errorf("%d channels: %d changes in the second run", n, again.Changes)
		}
		sameOutputs(t, m, after, onnxtest.Feeds(m, 7, map[string]int64{"N": 2}))
	}
}

// Slices of old opsets have no inputs.
func TestShufflesOfOldOpsets(t *testing.T) {
	m := onnxtest.Build(t, strings.Replace(shuffled, "opset 18", "opset 9", 1)+"y = Conv(v, w)\noutput y")
	if _, r := runPass(t, "shuffles", m); r.Changes != 0 {
		t.Errorf("%v", r.Kinds)
	}
}

// As FuzzDamaged: whatever is wrong with the graph, the pass neither panics nor blames itself, and comes to an end.
func TestDamagedShuffles(t *testing.T) {
	whole := onnxtest.Build(t, units(4, 3, "opset 13"))
	left := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := whole.Clone()
		for range 1 + r.IntN(3) {
			damage(m.Graph(), r)
		}
		c, log, err := Canonicalize(m)
		if err != nil {
			if fault.As(err).Kind == fault.Internal {
				t.Errorf("seed %d: %v", seed, err)
			}
			continue
		}
		left += log.Changes("shuffles")
		if _, log, err := Canonicalize(c); err != nil || log.Total() != 0 {
			t.Errorf("seed %d, second run: %v\n%s", seed, err, log)
		}
	}
	if left < 100 {
		t.Errorf("only %d shuffles left out: the damage is too great to test anything", left)
	}
}
