package transform_test

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// packedBlock is a transformer block of 3 heads of 2 features, with queries, keys and values in one matrix. PARTS
// takes p, [N, 5, 18], apart into q, k and v, [N, 3, 5, 2].
const packedBlock = `
	opset 18
	input x f32[N,5,6]
	we = init f32[6,8] random(1)
	h = MatMul(x, we)
	g = init f32[8] random(2, 0.5, 1.5)
	b = init f32[8] random(3)
	n = LayerNormalization(h, g, b)
	w = init f32[8,18] random(4)
	c = init f32[18] random(5)
	m = MatMul(n, w)
	p = Add(m, c)
	PARTS
	kt = Transpose(k) {perm=[0,1,3,2]}
	e = MatMul(q, kt)
	s = Softmax(e)
	a = MatMul(s, v)
	t = Transpose(a) {perm=[0,2,1,3]}
	join = init i64[3] {0, 0, 6}
	j = Reshape(t, join)
	wo = init f32[6,8] random(6)
	o = MatMul(j, wo)
	r = Add(h, o)
	i = Tanh(r)
	wy = init f32[8,3] random(7)
	y = MatMul(i, wy)
	output y
`

// packedMap is the attention of a detector: 1×1 convolutions, and parts of several sizes inside the heads.
const packedMap = `
	input x f32[N,3,4,4]
	we = init f32[8,3,2,2] random(1)
	h0 = Conv(x, we)
	h = Relu(h0)
	w = init f32[24,8,1,1] random(2)
	c = init f32[24] random(3)
	p = Conv(h, w, c)
	heads = init i64[4] {0, 2, 12, 9}
	parts = init i64[3] {2, 2, 8}
	f = Reshape(p, heads)
	q, k, v = Split(f, parts) {axis=2}
	qt = Transpose(q) {perm=[0,1,3,2]}
	e = MatMul(qt, k)
	s = Softmax(e)
	st = Transpose(s) {perm=[0,1,3,2]}
	a = MatMul(v, st)
	back = init i64[4] {0, 16, 3, 3}
	j = Reshape(a, back)
	wo = init f32[8,16,1,1] random(6)
	o = Conv(j, wo)
	r0 = Add(h, o)
	r = Relu(r0)
	wy = init f32[3,8,3,3] random(7)
	y = Conv(r, wy)
	output y
`

// However exporters take packed projections apart, nothing is pinned but the output, and the four properties hold.
func TestPackedProjections(t *testing.T) {
	const scalars = "i0 = init i64[] {0}\ni1 = init i64[] {1}\ni2 = init i64[] {2}\n"
	const heads = "q0 = Gather(f, i0) {axis=AXIS}\nk0 = Gather(f, i1) {axis=AXIS}\nv0 = Gather(f, i2) {axis=AXIS}\n" +
		"q = Transpose(q0) {perm=[0,2,1,3]}\nk = Transpose(k0) {perm=[0,2,1,3]}\nv = Transpose(v0) {perm=[0,2,1,3]}"
	between := scalars + "d = init i64[5] {0, 0, DIMS}\nf = Reshape(p, d)\n" + heads
	for _, c := range []struct{ name, model, parts string }{
		{"before the heads", packedBlock, strings.NewReplacer("DIMS", "3, 3, 2", "AXIS", "2").Replace(between)},
		{"inside the heads", packedBlock, strings.NewReplacer("DIMS", "3, 3, 2", "AXIS", "3").Replace(between)},
		{"innermost", packedBlock, strings.NewReplacer("DIMS", "3, 2, 3", "AXIS", "4").Replace(between)},
		{"sliced behind a Transpose", packedBlock, "d = init i64[5] {0, 0, 3, 3, 2}\nf = Reshape(p, d)\nt5 = Transpose(f) {perm=[2,0,3,1,4]}\n" +
			"z0 = init i64[1] {0}\nz1 = init i64[1] {1}\nz2 = init i64[1] {2}\nz3 = init i64[1] {3}\n" +
			"q0 = Slice(t5, z0, z1, z0)\nk0 = Slice(t5, z1, z2, z0)\nv0 = Slice(t5, z2, z3, z0)\nq = Squeeze(q0, z0)\nk = Squeeze(k0, z0)\nv = Squeeze(v0, z0)"},
		{"heads of all parts on one axis", packedBlock, "d = init i64[4] {0, 0, 9, 2}\nf = Reshape(p, d)\nt4 = Transpose(f) {perm=[0,2,1,3]}\n" +
			"l = init i64[3] {3, 3, 3}\nq, k, v = Split(t4, l) {axis=1}"},
		{"of a map", "opset 18\n" + packedMap, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			proveFree(t, onnxtest.Build(t, strings.ReplaceAll(c.model, "PARTS", c.parts)), "y")
		})
	}
}

// relativePositions adds a learned number for each head and distance to the scores, as T5 and MPNet do.
const relativePositions = `
	i0 = init i64[] {0}
	i1 = init i64[] {1}
	i2 = init i64[] {2}
	d = init i64[5] {0, 0, 3, 3, 2}
	f = Reshape(p, d)
	t5 = Transpose(f) {perm=[2,0,3,1,4]}
	q0 = Gather(t5, i0) {axis=0}
	k = Gather(t5, i1) {axis=0}
	v = Gather(t5, i2) {axis=0}
	table = init f32[9,3] random(8)
	from = init i64[1,5] {0, 1, 2, 3, 4}
	to = init i64[5,1] {4, 5, 6, 7, 8}
	distance = Sub(to, from)
	bias = Gather(table, distance)
	heads = Transpose(bias) {perm=[2,0,1]}
	q = Tanh(q0)
`

// multiplied is two stages of a network whose depthwise convolutions make two channels of each (FastViT): the residual
// stream spreads, and meets what dense convolutions make.
const multiplied = `
	input x f32[N,3,8,8]
	ws = init f32[6,3,3,3] random(1)
	s = Conv(x, ws) {pads=[1,1,1,1]}
	h = Tanh(s)
	wd = init f32[12,1,3,3] random(2)
	cd = init f32[12] random(3)
	d = Conv(h, wd, cd) {group=6, pads=[1,1,1,1], strides=[2,2]}
	wm = init f32[12,1,3,3] random(4)
	m = Conv(d, wm) {group=12, pads=[1,1,1,1]}
	e = Add(d, m)
	w1 = init f32[16,12,1,1] random(5)
	f1 = Conv(e, w1)
	g1 = Tanh(f1)
	w2 = init f32[12,16,1,1] random(6)
	f2 = Conv(g1, w2)
	gamma = init f32[12,1,1] random(7, 0.5, 1.5)
	f3 = Mul(f2, gamma)
	r = Add(e, f3)
	wl = init f32[24,1,3,3] random(8)
	l = Conv(r, wl) {group=12, pads=[1,1,1,1]}
	a = GlobalAveragePool(l)
	wr = init f32[4,24,1,1] random(9)
	a1 = Conv(a, wr)
	a2 = Relu(a1)
	we = init f32[24,4,1,1] random(10)
	a3 = Conv(a2, we)
	a4 = Sigmoid(a3)
	o = Mul(l, a4)
	t = Tanh(o)
	wy = init f32[3,24,4,4] random(11)
	y = Conv(t, wy)
	output y
`

// selective weighs two branches of a map against each other, channel by channel (SKNet).
const selective = `
	input x f32[N,3,6,6]
	ws = init f32[6,3,1,1] random(1)
	s = Conv(x, ws)
	h = Tanh(s)
	wa = init f32[8,6,3,3] random(2)
	a0 = Conv(h, wa) {pads=[1,1,1,1]}
	a = Relu(a0)
	wb = init f32[8,6,3,3] random(3)
	b0 = Conv(h, wb) {pads=[2,2,2,2], dilations=[2,2]}
	b = Relu(b0)
	one = init i64[1] {1}
	a1 = Unsqueeze(a, one)
	b1 = Unsqueeze(b, one)
	ab = Concat(a1, b1) {axis=1}
	sum = ReduceSum(ab, one) {keepdims=0}
	g = GlobalAveragePool(sum)
	wr = init f32[4,8,1,1] random(4)
	r0 = Conv(g, wr)
	r = Relu(r0)
	we = init f32[16,4,1,1] random(5)
	e = Conv(r, we)
	d = init i64[5] {0, 2, 8, 1, 1}
	ed = Reshape(e, d)
	p = Softmax(ed) {axis=1}
	w = Mul(ab, p)
	o = ReduceSum(w, one) {keepdims=0}
	wy = init f32[3,8,6,6] random(6)
	y = Conv(o, wy)
	output y
`

// What is tied to features by their number only: one for each head, several for each channel.
func TestFeaturesOfHeadsAndSpreadChannels(t *testing.T) {
	relative := strings.ReplaceAll(packedBlock, "PARTS", relativePositions)
	relative = strings.ReplaceAll(relative, "s = Softmax(e)", "eb = Add(e, heads)\n\ts = Softmax(eb)")
	t.Run("relative positions", func(t *testing.T) { proveFree(t, onnxtest.Build(t, relative), "y") })
	t.Run("channel multiplier", func(t *testing.T) { proveFree(t, onnxtest.Build(t, "opset 18\n"+multiplied), "y") })
	t.Run("split attention", func(t *testing.T) {
		m := onnxtest.Build(t, "opset 18\n"+selective)
		for _, s := range prepare(t, m).Sources.Full.Spaces {
			if s.Heads > 0 {
				t.Errorf("space %q is divided into heads: %s", s.Name, s.Reasons())
			}
		}
		proveFree(t, m, "y")
	})
}
