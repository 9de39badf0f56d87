package space

import (
	"slices"
	"strings"
	"testing"
)

// attending is an attention of 3 heads; SCORES makes probabilities s of the scores e, and values VALUES.
const attending = `
input x f32[2,4,6]
wq = init f32[6,6] random(1)
wk = init f32[6,6] random(2)
wv = init f32[6,VALUES] random(3)
q0 = MatMul(x, wq)
k0 = MatMul(x, wk)
v0 = MatMul(x, wv)
heads = init i64[4] {2, 4, 3, 2}
q1 = Reshape(q0, heads)
k1 = Reshape(k0, heads)
q = Transpose(q1) {perm=[0,2,1,3]}
k = Transpose(k1) {perm=[0,2,3,1]}
e = MatMul(q, k)
SCORES
a = MatMul(s, v)
t = Transpose(a) {perm=[0,2,1,3]}
joined = init i64[3] {2, 4, 6}
j = Reshape(t, joined)
wo = init f32[6,5] random(4)
y = MatMul(j, wo)
output y
`

// TestAnyHeads: of which attentions a merge may keep any number of heads.
func TestAnyHeads(t *testing.T) {
	const own = "v1 = Reshape(v0, heads)\nv = Transpose(v1) {perm=[0,2,1,3]}\n"
	for _, c := range []struct {
		name, values, scores string
		any                  bool
	}{
		{"as it is", "6", own + "s = Softmax(e)", true},
		{"with a mask for all heads", "6", own + "m = init f32[1,1,4,4] random(7)\nf = Add(e, m)\ns = Softmax(f)", true},
		{"with a number for each head", "6", own + "m = init f32[1,3,1,1] random(7)\nf = Mul(e, m)\ns = Softmax(f)", true},
		{"with values that all heads share", "2", "one = init i64[4] {2, 1, 4, 2}\nv1 = Reshape(v0, one)\nthree = init i64[4] {2, 3, 4, 2}\nv = Expand(v1, three)\ns = Softmax(e)", false},
		{"with a mask that is spread over heads", "6", own + "m = init f32[1,1,4,4] random(7)\nn = init i64[4] {2, 3, 4, 4}\nb = Expand(m, n)\nf = Add(e, b)\ns = Softmax(f)", false},
	} {
		in := build(t, strings.NewReplacer("VALUES", c.values, "SCORES", c.scores).Replace(attending))
		a := Analyze([]Input{in}, nil, Options{})
		if i := slices.IndexFunc(a.Spaces, func(s *Space) bool { return s.Heads > 0 }); i < 0 {
			t.Errorf("%s: no heads", c.name)
		}
		for _, s := range a.Spaces {
			if s.Heads > 0 && s.AnyHeads != c.any {
				t.Errorf("%s: any number of heads of %q: %t", c.name, s.Name, s.AnyHeads)
			}
		}
	}
}
