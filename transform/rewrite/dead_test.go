package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

const withDead = `
	input x f32[N,2]
	input unread f32[3]
	w = init f32[2] random(1)
	v = init f32[2] random(2)
	a = Relu(x)
	b = Add(a, v)
	c = Neg(b)
	d, e = Split(a) {axis=1}
	y = Mul(a, w)
	value a f32[N,2]
	value b f32[N,2]
	value gone f32[N,2]
	value w f32[2]
	output y f32[N,2]
	output d f32[N,1]`

func TestDead(t *testing.T) {
	checkPass(t, "dead", []passTest{{
		name: "what no output needs", model: withDead,
		want:  "a = Relu(x)\nd, e = Split(a) {axis=1}\ny = Mul(a, w)",
		kinds: map[string]int{"nodes dropped": 2, "initializers dropped": 1, "declarations dropped": 3},
	}})
}

func TestDeadKeepsInputs(t *testing.T) {
	after, _ := runPass(t, "dead", onnxtest.Build(t, withDead))
	g := after.Graph()
	if len(g.Input) != 2 || len(g.ValueInfo) != 1 || g.ValueInfo[0].GetName() != "a" {
		t.Errorf("%s", onnxtest.Dump(after))
	}
}
