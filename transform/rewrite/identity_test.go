package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestIdentity(t *testing.T) {
	checkPass(t, "identity", []passTest{
		{
			name: "all that pass their input on",
			model: `
				input x f32[N,2,3]
				ratio = init f32[] {0.5}
				no = init bool[] {0}
				pads = init i64[6] {0, 0, 0, 0, 0, 0}
				same = init i64[3] {0, 2, -1}
				a = Identity(x)
				b = Dropout(a, ratio, no)
				c = Cast(b) {to=1}
				d = Transpose(c) {perm=[0,1,2]}
				e = Reshape(d, same)
				f = Pad(e, pads)
				g = Concat(f) {axis=1}
				h = Sum(g)
				i = Mean(h)
				j = Max(i)
				k = Min(j)
				y = Relu(k)
				output y f32[N,2,3]`,
			want: "y = Relu(x)",
			kinds: map[string]int{"Identity dropped": 1, "Dropout dropped": 1, "Cast dropped": 1, "Transpose dropped": 1,
				"Reshape dropped": 1, "Pad dropped": 1, "Concat dropped": 1, "Sum dropped": 1, "Mean dropped": 1,
				"Max dropped": 1, "Min dropped": 1},
		},
		{
			name: "whole slices, sums with zero, products with one",
			model: `
				input x f32[N,2,3]
				from = init i64[2] {0, 0}
				to = init i64[2] {3, 9223372036854775807}
				axes = init i64[2] {-1, 0}
				zero = init f32[] {0}
				ones = init f32[1,1] {1}
				a = Slice(x, from, to, axes)
				b = Add(a, zero)
				c = Mul(b, ones)
				d = Sub(c, zero)
				e = Div(d, ones)
				y = Relu(e)
				output y f32[N,2,3]`,
			want:  "y = Relu(x)",
			kinds: map[string]int{"Slice dropped": 1, "Add dropped": 1, "Mul dropped": 1, "Sub dropped": 1, "Div dropped": 1},
		},
		{
			name: "slices that leave something out, and a one that adds an axis, stay",
			model: `
				input x f32[N,2,3]
				from = init i64[1] {0}
				two = init i64[1] {2}
				last = init i64[1] {2}
				ones = init f32[1,1,1,1] {1}
				a = Slice(x, from, two, last)
				b = Slice(a, from, two, from)
				c = Mul(b, ones)
				output c f32[1,M,2,2]`,
		},
		{
			name: "a matrix flattened",
			model: `
				input x f32[N,6]
				a = Flatten(x) {axis=-1}
				y = Relu(a)
				output y f32[N,6]`,
			want:  "y = Relu(x)",
			kinds: map[string]int{"Flatten dropped": 1},
		},
		{
			name: "what does something stays",
			model: `
				input x f32[N,2,2]
				pads = init i64[6] {0, 0, 0, 0, 0, 1}
				other = init i64[3] {0, -1, 1}
				a = Transpose(x) {perm=[0,2,1]}
				b = Reshape(a, other)
				c = Pad(b, pads)
				d = Cast(c) {to=11}
				e = Concat(d, d) {axis=1}
				output e f64[N,8,2]`,
		},
		{
			name: "a mask that is read",
			model: `
				input x f32[N,2]
				a, mask = Dropout(x)
				b = Cast(mask) {to=1}
				y = Add(a, b)
				output y f32[N,2]`,
		},
		{
			name: "an output keeps its name, and its maker makes it",
			model: `
				input x f32[N,2]
				a = Relu(x)
				b = Shape(a)
				y = Identity(a)
				output y f32[N,2]
				output b i64[2]`,
			want:  "y = Relu(x)\nb = Shape(y)",
			kinds: map[string]int{"Identity dropped": 1},
		},
		{
			name: "an Identity that hands out what is read on stays",
			model: `
				input x f32[N,2]
				a = Relu(x)
				b = Neg(a)
				y = Identity(a)
				output y f32[N,2]
				output b f32[N,2]`,
		},
		{
			name: "an output that is an input, and one twice",
			model: `
				input x f32[N,2]
				y = Identity(x)
				a = Relu(x)
				b = Identity(a)
				output y f32[N,2]
				output a f32[N,2]
				output b f32[N,2]`,
		},
	})
}

// TestTrainingDropoutStays: nothing here knows what it computes.
func TestTrainingDropoutStays(t *testing.T) {
	m := onnxtest.Build(t, `
		input x f32[N,2]
		ratio = init f32[] {0.5}
		yes = init bool[] {1}
		a = Dropout(x, ratio, yes)
		y = Relu(a)
		output y f32[N,2]`)
	if _, r := runPass(t, "identity", m); r.Changes != 0 {
		t.Errorf("changes: %v", r.Kinds)
	}
	old := onnxtest.Build(t, "opset 6\ninput x f32[N,2]\na = Dropout(x)\ny = Relu(a)\noutput y f32[N,2]")
	if _, r := runPass(t, "identity", old); r.Changes != 0 {
		t.Errorf("opset 6: changes: %v", r.Kinds)
	}
	onnx.SetAttr(old.Graph().Node[0], onnx.Int("is_test", 1))
	if _, r := runPass(t, "identity", old); r.Changes != 1 {
		t.Errorf("opset 6, is_test: changes: %v", r.Kinds)
	}
}

// TestCapturedValueKeepsItsName: a subgraph reads by name.
func TestCapturedValueKeepsItsName(t *testing.T) {
	m := onnxtest.Build(t, `
		input c bool[]
		input x f32[2]
		a = Relu(x)
		b = Identity(a)
		y = If(c)
		output y f32[2]`)
	branch := func(op string) *onnx.Graph { return onnxtest.Build(t, "z = "+op+"(b)\noutput z f32[2]").Graph() }
	m.Graph().Node[2].Attribute = []*onnx.Attribute{graphAttr("then_branch", branch("Neg")), graphAttr("else_branch", branch("Abs"))}
	after, _ := runPass(t, "identity", m)
	if after.Graph().Node[0].Output[0] != "b" || len(after.Graph().Node) != 2 {
		t.Errorf("nodes:\n%s", nodeLines(after))
	}
	t.Run("outputs", func(t *testing.T) { sameOutputs(t, m, after, onnxtest.Feeds(m, 1, nil)) })
}
