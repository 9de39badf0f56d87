package rewrite

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// expandTests are models of fused operators; ONNX Runtime itself says what they compute.
var expandTests = []struct{ name, model, want string }{
	{"conv and relu", fusedConv(`FusedConv(x, w, b) {activation="Relu", pads=[1,1,1,1]}`), "y_plain = Conv(x, w, b) {pads=[1,1,1,1]}\ny = Relu(y_plain)"},
	{"conv alone", fusedConv(`FusedConv(x, w)`), "y = Conv(x, w)"},
	{"conv, sum and clip", fusedConv(`FusedConv(x, w, b, z) {activation="Clip", activation_params=[0.0,0.3], pads=[1,1,1,1]}`),
		"y_plain = Conv(x, w, b) {pads=[1,1,1,1]}\ny_Add = Add(y_plain, z)\ny = Clip(y_Add, y_bound, y_bound_2)"},
	{"conv and leaky relu", fusedConv(`FusedConv(x, w, b) {activation="LeakyRelu", activation_params=[0.3]}`), "y = LeakyRelu(y_plain) {alpha=0.3}"},
	{"conv and hard sigmoid", fusedConv(`FusedConv(x, w, b) {activation="HardSigmoid", activation_params=[0.3,0.4]}`), "HardSigmoid(y_plain) {alpha=0.3, beta=0.4}"},
	{"gemm", fused(13, "input x f32[2,3]\nw = init f32[3,4] random(1)\nb = init f32[4] random(2)\n", `FusedGemm(x, w, b) {activation="LeakyRelu", activation_alpha=0.2}`),
		"y_plain = Gemm(x, w, b)\ny = LeakyRelu(y_plain) {alpha=0.2}"},
	{"matmul", fused(13, "input x f32[2,3,4]\ninput w f32[2,5,4]\n", `FusedMatMul(x, w) {alpha=0.5, transB=1}`),
		"y_B = Transpose(w) {perm=[0,2,1]}\ny_MatMul = MatMul(x, y_B)\ny = Mul(y_MatMul, y_Mul_by)"},
	{"matmul with the batch inside", fused(13, "input x f32[3,2,4]\ninput w f32[5,2,4]\n", `FusedMatMul(x, w) {transBatchA=1, transBatchB=1, transB=1}`),
		"y_A = Transpose(x) {perm=[1,0,2]}\ny_B = Transpose(w) {perm=[1,2,0]}\ny = MatMul(y_A, y_B)"},
	{"matmul turned", fused(13, "input x f32[4,3]\ninput w f32[4,5]\n", `FusedMatMul(x, w) {transA=1}`), "y_A = Transpose(x) {perm=[1,0]}"},
	{"gelu", fused(13, "input x f32[2,6]\n", "Gelu(x)"), "y = Mul("},
	{"gelu as an operator", fused(20, "input x f32[2,6]\n", "Gelu(x)"), `y = Gelu(x) {approximate="none"}`},
	{"gelu with bias", fused(13, "input x f32[2,6]\nb = init f32[6] random(1)\n", "BiasGelu(x, b)"), "y_Add = Add(x, b)\ny_Div = Div(y_Add"},
	{"fast gelu", fused(13, "input x f32[2,6]\nb = init f32[6] random(1)\n", "FastGelu(x, b)"), "Tanh("},
	{"fast gelu as an operator", fused(20, "input x f32[2,6]\n", "FastGelu(x)"), `y = Gelu(x) {approximate="tanh"}`},
	{"quick gelu", fused(13, "input x f32[2,6]\n", "QuickGelu(x) {alpha=1.702}"), "y_Sigmoid = Sigmoid(y_Mul)\ny = Mul(y_Sigmoid, x)"},
	{"skip and normalise", fused(13, skipInputs, "SkipLayerNormalization(x, s, g, b, c) {epsilon=1e-5}"), "y_Add_2 = Add(y_Add, c)\ny_ReduceMean = ReduceMean(y_Add_2) {axes=[-1]}"},
	{"skip and normalise by an operator", fused(17, skipInputs, "SkipLayerNormalization(x, s, g, b) {epsilon=1e-5}"), "y = LayerNormalization(y_Add, g, b) {axis=-1, epsilon=1e-05}"},
	{"the sum is read", "opset 17\nopset com.microsoft 1\n" + skipInputs +
		"y, _, _, t = com.microsoft::SkipLayerNormalization(x, s, g, b) {epsilon=1e-5}\nz = Neg(t)\noutput y f32\noutput z f32", "t = Add(x, s)"},
}

const skipInputs = "input x f32[2,3,6]\ninput s f32[2,3,6]\ng = init f32[6] random(1)\nb = init f32[6] random(2)\nc = init f32[6] random(3)\n"

func fused(opset int, inputs, node string) string {
	return "opset " + map[int]string{13: "13", 17: "17", 20: "20"}[opset] + "\nopset com.microsoft 1\n" + inputs + "y = com.microsoft::" + node + "\noutput y f32"
}

func fusedConv(node string) string {
	return fused(13, "input x f32[1,2,4,4]\ninput z f32[1,3,4,4]\nw = init f32[3,2,3,3] random(1)\nb = init f32[3] random(2)\n", node)
}

func TestExpandKeepsOutputs(t *testing.T) {
	for _, c := range expandTests {
		t.Run(c.name, func(t *testing.T) {
			before := onnxtest.Build(t, c.model)
			after, err := Expand(before)
			if err != nil {
				t.Fatal(err)
			}
			if got := nodeLines(after); !strings.Contains(got, c.want) {
				t.Errorf("nodes:\n%s\nwant among them:\n%s", got, c.want)
			}
			if err := Refuse(after); err != nil {
				t.Error(err)
			}
			if after.Opset(microsoft) != 0 {
				t.Error("the domain is still imported")
			}
			sameOutputs(t, before, after, onnxtest.Feeds(before, 7, nil))
		})
	}
}

func TestExpandLeavesTheRest(t *testing.T) {
	for _, model := range []string{
		fusedConv(`FusedConv(x, w, b) {activation="Mish"}`),
		fused(13, "input x f32\ninput w f32\n", `FusedMatMul(x, w) {transB=1}`),
		fused(13, "input x f32[2,3]\n", "Attention(x)"),
	} {
		before := onnxtest.Build(t, model)
		after, err := Expand(before)
		if err != nil {
			t.Fatal(err)
		}
		if err := Refuse(after); err == nil {
			t.Errorf("not refused:\n%s", nodeLines(after))
		}
	}
	m := onnxtest.Build(t, convBN)
	if same, err := Expand(m); same != m || err != nil {
		t.Error("a model without fused operators is copied")
	}
}

// The optimised files of the zoo are the originals again.
func TestExpandZoo(t *testing.T) {
	for _, name := range []string{"resnet18-t13", "mobilenet_v2-t13", "vit-t17", "bert-t14", "gpt2-t13"} {
		m, err := onnx.Load(onnxtest.Root(t) + "/testdata/zoo/" + name + "-fused-a.onnx")
		if err != nil {
			t.Fatal(err)
		}
		after, err := Expand(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := Refuse(after); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		feeds := onnxtest.Feeds(m, 7, map[string]int64{"batch": 2, "sequence": 5})
		if mask := feeds["attention_mask"]; mask != nil { // a mask that leaves nothing makes NaN
			feeds["attention_mask"] = onnx.FromInt64(repeat(1, mask.Len()), mask.Dims...)
		}
		t.Run(name, func(t *testing.T) { sameOutputs(t, m, after, feeds) })
	}
}
