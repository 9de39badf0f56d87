package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/proto"
)

func TestConstants(t *testing.T) {
	const lifted = "constant nodes made initializers"
	checkPass(t, "constants", []passTest{
		{
			name: "every kind of number",
			model: `
				input x f32[2]
				a = Constant() {value=f32[2]{1, 2}}
				b = Constant() {value_float=0.5}
				c = Constant() {value_floats=[3.0, 4.0]}
				d = Constant() {value_int=1}
				e = Constant() {value_ints=[1]}
				p = Add(x, a)
				q = Mul(p, b)
				r = Add(q, c)
				s = Unsqueeze(r, e)
				u = Gather(s, d)
				output u f32[1]`,
			want: `
				p = Add(x, a)
				q = Mul(p, b)
				r = Add(q, c)
				s = Unsqueeze(r, e)
				u = Gather(s, d)`,
			kinds: map[string]int{lifted: 5},
		},
		{
			name: "a graph output keeps its node",
			model: `
				input x f32[2]
				y = Relu(x)
				a = Constant() {value=f32[2]{1, 2}}
				output y f32[2]
				output a f32[2]`,
		},
	})
}

func TestDefaultedInputsGo(t *testing.T) {
	m := onnxtest.Build(t, `
		ir 3
		input x f32[2]
		input w f32[2]
		w = init f32[2] {1, 2}
		y = Mul(x, w)
		output y f32[2]`)
	after, r := runPass(t, "constants", m)
	if r.Kinds["initializers no longer inputs"] != 1 || len(after.Graph().Input) != 1 {
		t.Errorf("changes %v, %d inputs", r.Kinds, len(after.Graph().Input))
	}
	if after.Proto.GetIrVersion() != 4 {
		t.Errorf("IR version %d has initializers that are no inputs", after.Proto.GetIrVersion())
	}
}

func TestOtherConstantsStay(t *testing.T) {
	n := onnx.NewNode("Constant", "c", nil, []string{"c"}, onnx.StringAttr("value_string", "x"))
	if constantOf(n) != nil {
		t.Error("a string was made a tensor")
	}
	n.Attribute[0] = onnx.FloatAttr("value_float", 0)
	if n.Attribute[0].RefAttrName = proto.String("a"); constantOf(n) != nil {
		t.Error("a reference was made a tensor")
	}
}
