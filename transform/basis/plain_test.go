package basis_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/basis"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// normed is a norm with gains and shifts, and what reads it.
const normed = `
input x f32[N,4,6]
w0 = init f32[6,6] random(1)
h = MatMul(x, w0)
g = init f32[6] random(2)
b = init f32[6] random(3)
n = LayerNormalization(h, g, b)
w1 = init f32[6,3] random(4)
c1 = init f32[3] random(5)
s = init f32[6] random(6)
READERS
output y
`

// TestWhatTakesGains: which readers a norm's gains and shifts move into, and what stands there instead.
func TestWhatTakesGains(t *testing.T) {
	for _, c := range []struct {
		name, readers string
		moved         int
		ops           []string
	}{
		{"a product", "y = MatMul(n, w1)", 1, []string{"MatMul", "LayerNormalization", "MatMul", "Add"}},
		{"a product with a bias", "m = MatMul(n, w1)\ny = Add(m, c1)", 1, []string{"MatMul", "LayerNormalization", "MatMul", "Add"}},
		{"tokens moved and averaged", "t = Transpose(n) {perm=[1,0,2]}\nr = ReduceMean(t) {axes=[0], keepdims=0}\ny = Gemm(r, w1, c1)", 1,
			[]string{"MatMul", "LayerNormalization", "Transpose", "ReduceMean", "Gemm"}},
		{"two readers", "m = MatMul(n, w1)\nw2 = init f32[6,3] random(7)\nk = MatMul(n, w2)\ny = Add(m, k)", 1,
			[]string{"MatMul", "LayerNormalization", "MatMul", "Add", "MatMul", "Add", "Add"}},
		{"tied weights", "m = MatMul(n, w1)\nk = MatMul(h, w1)\ny = Add(m, k)", 0, nil},
		{"a sum", "a = Add(n, h)\ny = MatMul(a, w1)", 0, nil},
		{"an activation", "a = Tanh(n)\ny = MatMul(a, w1)", 0, nil},
		{"an output", "m = MatMul(n, w1)\ny = Add(m, c1)\noutput n", 0, nil},
		{"the gain of a branch", "a = Tanh(n)\nw2 = init f32[6,6] random(7)\nc2 = init f32[6] random(8)\nm = MatMul(a, w2)\nd = Add(m, c2)\ne = Mul(d, s)\nf = Add(e, h)\ny = MatMul(f, w1)", 1,
			[]string{"MatMul", "LayerNormalization", "Tanh", "MatMul", "Add", "Add", "MatMul"}},
	} {
		m := onnxtest.Build(t, "opset 17\n"+strings.Replace(normed, "READERS", c.readers, 1))
		ix, err := onnx.NewIndex(m.Graph())
		if err != nil {
			t.Fatal(err)
		}
		shapes, err := shape.Infer(m, shape.Options{})
		if err != nil {
			t.Fatal(err)
		}
		a := space.Analyze([]space.Input{{Index: ix, Shapes: shapes, Opset: 17}}, nil, space.Options{})
		before := onnxtest.Dump(m)
		n, err := basis.PlainNorms(m, func(v string) []space.Layout { return a.Layouts(0, v) })
		if err != nil || n != c.moved {
			t.Errorf("%s: %d gains are moved, want %d: %v", c.name, n, c.moved, err)
		}
		if n == 0 {
			if after := onnxtest.Dump(m); after != before && c.moved == 0 {
				t.Errorf("%s: the model changed:\n%s", c.name, after)
			}
			continue
		}
		var ops []string
		for _, n := range m.Graph().GetNode() {
			ops = append(ops, n.GetOpType())
		}
		if !slices.Equal(ops, c.ops) {
			t.Errorf("%s: %v, want %v", c.name, ops, c.ops)
		}
		if _, err := onnx.NewIndex(m.Graph()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, n := range m.Graph().GetNode() {
			for _, v := range n.GetInput() {
				if v == "g" && c.name != "the gain of a branch" || v == "s" {
					t.Errorf("%s: %q is still read", c.name, v)
				}
			}
		}
	}
}
