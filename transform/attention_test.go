package transform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// oneBlock is a transformer block as opset 23 writes it, around ATTENTION: from q, k and v, [4, 5, features], to a.
const oneBlock = `
	opset 23
	input x f32[4,5,6]
	we = init f32[6,8] random(1)
	h = MatMul(x, we)
	s = init f32[8] random(2, 0.5, 1.5)
	n = RMSNormalization(h, s)
	wq = init f32[8,QUERIES] random(3)
	wk = init f32[8,KEYS] random(4)
	wv = init f32[8,VALUES] random(5)
	q = MatMul(n, wq)
	k = MatMul(n, wk)
	v = MatMul(n, wv)
	ATTENTION
	wo = init f32[OUT,8] random(6)
	o = MatMul(a, wo)
	r = Add(h, o)
	wy = init f32[8,3] random(7)
	t = Tanh(r)
	y = MatMul(t, wy)
	output y f32[4,5,3]
`

const (
	headsApart = `
	four = init i64[4]{0,0,HEADS,4}
	two = init i64[4]{0,0,SHARED,4}
	join = init i64[3]{0,0,OUT}
	q4 = Reshape(q, four)
	k4 = Reshape(k, two)
	v4 = Reshape(v, two)
	qt = Transpose(q4) {perm=[0,2,1,3]}
	kt = Transpose(k4) {perm=[0,2,1,3]}
	vt = Transpose(v4) {perm=[0,2,1,3]}
	at = Attention(qt, kt, vt) {is_causal=1}
	ar = Transpose(at) {perm=[0,2,1,3]}
	a = Reshape(ar, join)`
	rotated = `
	cosine = init f32[4,5,2] random(8)
	sine = init f32[4,5,2] random(9)
	qr = RotaryEmbedding(q, cosine, sine) {num_heads=HEADS}
	kr = RotaryEmbedding(k, cosine, sine) {num_heads=SHARED}
	mask = init f32[1,HEADS,5,5] random(10)
	a = Attention(qr, kr, v, mask) {q_num_heads=HEADS, kv_num_heads=SHARED, softcap=3.0}`
	plainAttention = `
	a, present, _, scores = Attention(q, k, v) {q_num_heads=HEADS, kv_num_heads=SHARED}`
)

// Attention as one operator: four properties hold, and nothing is pinned but the output.
func TestAttentionOperator(t *testing.T) {
	for _, c := range []struct{ name, attention, heads, shared, queries, keys, values, out string }{
		{"as many keys as queries", plainAttention, "2", "2", "6", "6", "8", "8"},
		{"shared keys", plainAttention, "4", "2", "12", "6", "8", "16"},
		{"one head of keys", plainAttention, "4", "1", "12", "3", "4", "16"},
		{"rotated, with a mask for each head", rotated, "4", "4", "16", "16", "12", "12"},
		{"rotated, shared keys", strings.ReplaceAll(rotated, "[1,HEADS", "[1,1"), "4", "2", "16", "8", "6", "12"},
		{"heads on an axis of their own", headsApart, "4", "2", "16", "8", "8", "16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.NewReplacer("ATTENTION", c.attention).Replace(oneBlock)
			text = strings.NewReplacer("HEADS", c.heads, "SHARED", c.shared, "QUERIES", c.queries, "KEYS", c.keys, "VALUES", c.values, "OUT", c.out).Replace(text)
			proveFree(t, onnxtest.Build(t, text), "y")
		})
	}
}

// Models that share their keys alone keep their heads in place; what is inside the heads of the values is matched.
func TestSharedKeysLeaveTheValuesToMatch(t *testing.T) {
	text := strings.NewReplacer("ATTENTION", headsApart).Replace(oneBlock)
	text = strings.NewReplacer("HEADS", "4", "SHARED", "2", "QUERIES", "16", "KEYS", "8", "VALUES", "8", "OUT", "16").Replace(text)
	w := newTwinsIn(t, onnxtest.Build(t, text), func(trunk *merge.Trunk) map[*space.Space][]int {
		orders := map[*space.Space][]int{}
		for _, s := range trunk.Analysis.Spaces {
			for f := range s.Dim {
				orders[s] = append(orders[s], f)
			}
			if s.Name == "v" {
				orders[s] = []int{2, 0, 1, 3, 7, 5, 6, 4}
			}
		}
		return orders
	})
	for _, s := range w.trunk.Analysis.Spaces {
		if w.trunk.Identical[s] != (s.Name == "k") {
			t.Errorf("space %q: identical is %v", s.Name, w.trunk.Identical[s])
		}
	}
	src := randomSamples(64, "x", 5, 6)
	if !w.checkZip(t, engine(t), src, 4, false, tolerance) {
		t.Error("the features are not distinct")
	}
}

// proveFree checks that nothing of a model is pinned but the space of its output, and that the four properties hold.
func proveFree(t *testing.T, m *onnx.Model, output string) {
	t.Helper()
	for _, s := range prepare(t, m).Sources.Full.Spaces {
		if s.Mode == space.Pinned && s.Name != output {
			t.Errorf("space %q is pinned: %s", s.Name, s.Reasons())
		}
	}
	proofs, err := transform.Prove(context.Background(), engine(t), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(proofs) != 4 {
		t.Errorf("%d properties could be tried", len(proofs))
	}
	for _, p := range proofs {
		if !p.Passed {
			t.Errorf("%s: output %q deviates by %.2g (space %q)", p.Name, p.Output, p.Deviation, p.Space)
		}
	}
}
