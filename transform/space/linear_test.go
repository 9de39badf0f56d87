package space

import (
	"slices"
	"strings"
	"testing"
)

// around puts an operator between two products: what it reads is h, 8 features on the last axis, what it makes z.
const around = `
input x f32[N,4,8]
wa = init f32[8,8] random(1)
h = MatMul(x, wa)
ones = init f32[8] {1, 1, 1, 1, 1, 1, 1, 1}
zeros = init f32[8] {0, 0, 0, 0, 0, 0, 0, 0}
gains = init f32[8] random(3)
two = init f32[] {2}
three = init f32[] {3}
tokens = init f32[1,4,1] random(4)
rows = init f32[1,4,8] random(5)
NODES
wb = init f32[8,3] random(2)
y = MatMul(z, wb)
output y
`

// TestLinearSpaces: which operators see features one by one, by the space before them.
func TestLinearSpaces(t *testing.T) {
	for _, c := range []struct {
		name, nodes     string
		linear, centred bool
	}{
		{"nothing", "z = Identity(h)", true, false},
		{"a table for every token", "z = Add(h, rows)", true, false},
		{"a bias", "z = Add(h, gains)", true, false},
		{"a number for all features", "z = Mul(h, two)", true, false},
		{"a number for every token", "z = Mul(h, tokens)", true, false},
		{"a divisor", "z = Div(h, two)", true, false},
		{"a shift of every token", "z = Add(h, tokens)", false, false},
		{"a number over the features", "z = Div(two, h)", false, false},
		{"gains", "z = Mul(h, gains)", false, false},
		{"an activation", "z = Relu(h)", false, false},
		{"a product with itself", "z = Mul(h, h)", false, false},
		{"a norm", "z = LayerNormalization(h, ones, zeros)", true, true},
		{"a norm without shifts", "z = LayerNormalization(h, ones)", true, true},
		{"a norm with gains", "z = LayerNormalization(h, gains, zeros)", false, true},
		{"a norm with shifts", "z = LayerNormalization(h, ones, gains)", false, true},
		{"a norm over tokens too", "g = init f32[4,8] random(7)\nz = LayerNormalization(h, g) {axis=1}", false, true},
		{"a root mean square", "q = Pow(h, two)\nm = ReduceMean(q) {axes=[-1]}\ns = Sqrt(m)\nz = Div(h, s)", true, false},
		{"the same by a product", "q = Mul(h, h)\nm = ReduceMean(q) {axes=[-1]}\ns = Sqrt(m)\nz = Div(h, s)", true, false},
		{"cubes", "q = Pow(h, three)\nm = ReduceMean(q) {axes=[-1]}\nz = Div(h, m)", false, false},
		{"squares that are read", "q = Pow(h, two)\nm = ReduceMean(q) {axes=[-1]}\nd = Div(h, m)\nz = Add(d, q)", false, false},
		{"a mean taken away", "m = ReduceMean(h) {axes=[-1]}\nz = Sub(h, m)", true, true},
		{"a mean of something else", "i = MatMul(x, wa)\nj = Identity(i)\nm = ReduceMean(j) {axes=[-1]}\nz = Sub(h, m)", false, false},
		{"a mean that gates", "m = ReduceMean(h) {axes=[-1]}\ns = Sigmoid(m)\nz = Mul(h, s)", false, false},
		{"tokens averaged", "z = ReduceMean(h) {axes=[1]}", true, false},
		{"tokens in another order", "i = init i64[4] {3, 1, 2, 0}\nz = Gather(h, i) {axis=1}", true, false},
		{"a token before them", "k = init f32[1,1,8] random(8)\nz = Concat(k, h) {axis=1}", true, false},
		{"features beside features", "j = Concat(h, h) {axis=2}\nwj = init f32[16,8] random(9)\nz = MatMul(j, wj)", false, false},
		{"part of the features", "a = init i64[1] {0}\nb = init i64[1] {4}\nd = init i64[1] {2}\ns = Slice(h, a, b, d)\nws = init f32[4,8] random(9)\nz = MatMul(s, ws)", false, false},
		{"softmax", "z = Softmax(h)", false, false},
	} {
		in := build(t, strings.Replace(around, "NODES", c.nodes, 1))
		a := Analyze([]Input{in}, nil, Options{})
		at := slices.IndexFunc(a.Spaces, func(s *Space) bool { return s.Name == "h" })
		if at < 0 {
			t.Fatalf("%s: no space", c.name)
		}
		if s := a.Spaces[at]; s.Linear != c.linear || c.linear && s.Centred != c.centred {
			t.Errorf("%s: linear %t, centred %t", c.name, s.Linear, s.Centred)
		}
	}
}
