package rewrite

import "testing"

// Queries, keys and values in one matrix of 12 features: 2 heads of 2 features each.
const packedInput = "opset 18\ninput x f32[N,3,5]\nw = init f32[5,12] random(1)\nb = init f32[12] random(2)\n" +
	"parts = init i64[5] {0, 0, 3, 2, 2}\nalternating = init i64[5] {0, 0, 2, 3, 2}\nlast = init i64[5] {0, 0, 2, 2, 3}\n" +
	"i0 = init i64[] {0}\ni1 = init i64[] {1}\ni2 = init i64[] {-1}\nv0 = init i64[1] {0}\nv1 = init i64[1] {1}\nv2 = init i64[1] {2}\nv3 = init i64[1] {3}\n" +
	"ones = init i64[3] {1, 1, 1}\nsizes = init i64[2] {1, 2}\nend = init i64[1] {9223372036854775807}\nback = init i64[1] {-1}\n" +
	"m = MatMul(x, w)\na = Add(m, b)\n"

const packedOutput = "\ny = Neg(q)\nz = Abs(k)\nu = Relu(v)\noutput y\noutput z\noutput u"

// dividedForm is what the forms below become where each part is [N, heads, positions, features].
const dividedForm = `
	m = MatMul(x, w)
	a = Add(m, b)
	r_part = Slice(a, r_bound, r_bound_2, r_bound_3)
	r_heads = Reshape(r_part, r_shape)
	q = Transpose(r_heads) {perm=[0,2,1,3]}
	r_part_2 = Slice(a, r_bound_4, r_bound_5, r_bound_6)
	r_heads_2 = Reshape(r_part_2, r_shape_2)
	k = Transpose(r_heads_2) {perm=[0,2,1,3]}
	r_part_3 = Slice(a, r_bound_7, r_bound_8, r_bound_9)
	r_heads_3 = Reshape(r_part_3, r_shape_3)
	v = Transpose(r_heads_3) {perm=[0,2,1,3]}
	y = Neg(q)
	z = Abs(k)
	u = Relu(v)`

func TestPacked(t *testing.T) {
	once := map[string]int{"packed projection divided": 1}
	sizes := map[string]int64{"N": 2}
	form := func(name, nodes string) passTest {
		return passTest{name: name, model: packedInput + nodes + packedOutput, want: dividedForm, kinds: once, sizes: sizes}
	}
	const parts = "r = Reshape(a, parts)\n"
	checkPass(t, "packed", []passTest{
		form("picked by Gather", parts+"t = Transpose(r) {perm=[2,0,3,1,4]}\nq = Gather(t, i0) {axis=0}\nk = Gather(t, i1) {axis=0}\nv = Gather(t, i2) {axis=0}"),
		form("by Split and Squeeze", parts+"t = Transpose(r) {perm=[2,0,3,1,4]}\nq1, k1, v1s = Split(t, ones) {axis=0}\n"+
			"q = Squeeze(q1, v0)\nk = Squeeze(k1, v0)\nv = Squeeze(v1s, v0)"),
		form("by Slice and Squeeze", parts+"t = Transpose(r) {perm=[2,0,3,1,4]}\nq1 = Slice(t, v0, v1, v0)\nk1 = Slice(t, v1, v2, v0)\nv1s = Slice(t, back, end, v0)\n"+
			"q = Squeeze(q1, v0)\nk = Squeeze(k1, v0)\nv = Squeeze(v1s, v0)"),
		form("each ordered for itself", parts+"t = Transpose(r) {perm=[0,3,1,2,4]}\nq = Gather(t, i0) {axis=3}\nk = Gather(t, i1) {axis=3}\n"+
			"s = Transpose(r) {perm=[2,0,3,1,4]}\nv = Gather(s, i2) {axis=0}"),
		form("an axis added and dropped", parts+"n = Unsqueeze(r, v0)\nt = Transpose(n) {perm=[3,1,4,2,0,5]}\ns = Squeeze(t, n4)\n"+
			"q = Gather(s, i0) {axis=0}\nk = Gather(s, i1) {axis=0}\nv = Gather(s, i2) {axis=0}\nn4 = init i64[1] {-2}"),
		{name: "of several", model: packedInput + parts + "q, k = Split(r, sizes) {axis=2}\ny = Neg(q)\nz = Abs(k)\noutput y\noutput z", sizes: sizes, kinds: once,
			want: "m = MatMul(x, w)\na = Add(m, b)\nr_part = Slice(a, r_bound, r_bound_2, r_bound_3)\nq = Reshape(r_part, r_shape)\n" +
				"r_part_2 = Slice(a, r_bound_4, r_bound_5, r_bound_6)\nk = Reshape(r_part_2, r_shape_2)\ny = Neg(q)\nz = Abs(k)"},
		{name: "read whole too", model: packedInput + parts + "q = Gather(r, i0) {axis=2}\ny = Neg(q)\nz = Abs(r)\noutput y\noutput z", sizes: sizes},
		{name: "of two axes", model: packedInput + parts + "q = Gather(r, i0) {axis=2}\nk = Gather(r, i0) {axis=3}\ny = Neg(q)\nz = Abs(k)\noutput y\noutput z", sizes: sizes},
		{name: "positions", model: packedInput + "d = init i64[4] {0, 3, 6, 2}\nr = Reshape(a, d)\nq = Gather(r, i0) {axis=1}\ny = Neg(q)\noutput y", sizes: sizes},
		{name: "not in a row", model: packedInput + parts + "l = init i64[2] {0, 2}\nq = Gather(r, l) {axis=2}\ny = Neg(q)\noutput y", sizes: sizes},
	})
}

// alternating is what parts inside the heads become.
const alternating = `
	m_ordered = MatMul(x, w)
	a_ordered = Add(m_ordered, b)
	r_part = Slice(a_ordered, r_bound, r_bound_2, r_bound_3)
	q = Reshape(r_part, r_shape)
	r_part_2 = Slice(a_ordered, r_bound_4, r_bound_5, r_bound_6)
	k = Reshape(r_part_2, r_shape_2)
	r_part_3 = Slice(a_ordered, r_bound_7, r_bound_8, r_bound_9)
	v = Reshape(r_part_3, r_shape_3)
	y = Neg(q)
	z = Abs(k)
	u = Relu(v)`

func TestPackedInsideHeads(t *testing.T) {
	kinds := map[string]int{"packed projection divided": 1, "packed projection ordered by parts": 1}
	sizes := map[string]int64{"N": 2}
	gathered := func(axis string) string {
		return "q = Gather(r, i0) {axis=" + axis + "}\nk = Gather(r, i1) {axis=" + axis + "}\nv = Gather(r, i2) {axis=" + axis + "}"
	}
	checkPass(t, "packed", []passTest{
		{name: "between", model: packedInput + "r = Reshape(a, alternating)\n" + gathered("3") + packedOutput, want: alternating, kinds: kinds, sizes: sizes},
		{name: "innermost", model: packedInput + "r = Reshape(a, last)\n" + gathered("4") + packedOutput, want: alternating, kinds: kinds, sizes: sizes},
		{name: "of two sizes", model: packedInput + "d = init i64[4] {0, 0, 2, 6}\nc = init i64[3] {1, 2, 3}\nr = Reshape(a, d)\nq, k, v = Split(r, c) {axis=3}" + packedOutput,
			want: alternating, kinds: kinds, sizes: sizes},
		{name: "one that is not read", kinds: kinds, sizes: sizes,
			model: packedInput + "r = Reshape(a, alternating)\nq = Gather(r, i1) {axis=3}\ny = Neg(q)\noutput y",
			want:  "m_ordered = MatMul(x, w)\na_ordered = Add(m_ordered, b)\nr_part = Slice(a_ordered, r_bound, r_bound_2, r_bound_3)\nq = Reshape(r_part, r_shape)\ny = Neg(q)"},
		{name: "of a convolution", kinds: kinds, sizes: sizes,
			model: "input x f32[N,3,2,2]\nw = init f32[12,3,1,1] random(1)\nb = init f32[12] random(2)\nd = init i64[5] {0, 2, 3, 2, 4}\ni = init i64[] {2}\nj = init i64[] {0}\n" +
				"m = Conv(x, w, b)\nr = Reshape(m, d)\nq = Gather(r, i) {axis=2}\nk = Gather(r, j) {axis=2}\ny = Neg(q)\nz = Abs(k)\noutput y\noutput z",
			want: "m_ordered = Conv(x, w, b)\nr_part = Slice(m_ordered, r_bound, r_bound_2, r_bound_3)\nk = Reshape(r_part, r_shape)\n" +
				"r_part_2 = Slice(m_ordered, r_bound_4, r_bound_5, r_bound_6)\nq = Reshape(r_part_2, r_shape_2)\ny = Neg(q)\nz = Abs(k)"},
		{name: "of a Gemm", kinds: kinds,
			model: "input x f32[3,5]\nw = init f32[12,5] random(1)\nb = init f32[12] random(2)\nd = init i64[4] {0, 2, 3, 2}\ni = init i64[] {2}\n" +
				"m = Gemm(x, w, b) {transB=1}\nr = Reshape(m, d)\nq = Gather(r, i) {axis=2}\ny = Neg(q)\noutput y",
			want: "m_ordered = Gemm(x, w, b) {transB=1}\nr_part = Slice(m_ordered, r_bound, r_bound_2, r_bound_3)\nq = Reshape(r_part, r_shape)\ny = Neg(q)"},
		{name: "halves of heads", sizes: sizes, // a rotary embedding of a part of each head
			model: packedInput + "d = init i64[4] {0, 0, 2, 6}\nc = init i64[2] {2, 4}\nr = Reshape(a, d)\nq, k = Split(r, c) {axis=3}\ny = Neg(q)\nz = Abs(k)\noutput y\noutput z"},
		{name: "read elsewhere", sizes: sizes,
			model: packedInput + "r = Reshape(a, alternating)\n" + gathered("3") + packedOutput + "\no = Neg(a)\noutput o"},
		{name: "parts that overlap", sizes: sizes,
			model: packedInput + "r = Reshape(a, alternating)\nq = Slice(r, v0, v2, v3)\nk = Slice(r, v1, v3, v3)\ny = Neg(q)\nz = Abs(k)\noutput y\noutput z"},
		{name: "made by no weights", sizes: map[string]int64{"N": 2},
			model: "input x f32[N,3,12]\nd = init i64[5] {0, 0, 2, 3, 2}\ni = init i64[] {2}\nr = Reshape(x, d)\nq = Gather(r, i) {axis=3}\ny = Neg(q)\noutput y"},
	})
}
