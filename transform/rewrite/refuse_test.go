package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestRefuse(t *testing.T) {
	for line, code := range map[string]string{
		"y = Relu(x)":                            "",
		"y = Gelu(x) @n":                         "",
		"y = QuantizeLinear(x, s) @n":            "quantized_model",
		"y = com.microsoft::QLinearAdd(x, x) @n": "quantized_model",
		"y = com.microsoft::QAttention(x, x) @n": "quantized_model",
		"y = com.microsoft::FusedConv(x, x) @n":  "optimized_model",
		"y = com.microsoft.nchwc::Conv(x, x) @n": "optimized_model",
		"y = trt.plugins::TRT_EngineOp(x) @n":    "optimized_model",
		"y = TRT_EngineOp(x) @n":                 "optimized_model",
		"y = my.domain::Relu(x) @n":              "",
	} {
		m := onnxtest.Build(t, "input x f32[4]\ns = init f32[] {1}\n"+line+"\noutput y f32[4]")
		m.File = "a.onnx"
		err := Refuse(m)
		if code == "" {
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		e := fault.As(err)
		if e == nil || e.Kind != fault.Unsupported || e.Code != code || e.Node != "n" || e.File != "a.onnx" || e.Hint == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestRefuseLooksInside: into functions and branches.
func TestRefuseLooksInside(t *testing.T) {
	const quantize = "s = init f32[] {1}\nz = QuantizeLinear(x, s)\noutput z"
	m := withFunctions(t, "input x f32[4]\ny = Relu(x)\noutput y f32[4]", function(t, "F", "input x\n"+quantize))
	if err := Refuse(m); fault.As(err) == nil {
		t.Error("a function is not looked into")
	}
	m = onnxtest.Build(t, "input x f32[4]\ninput c bool[]\ny = If(c)\noutput y f32[4]")
	m.Graph().Node[0].Attribute = []*onnx.Attribute{graphAttr("then_branch", onnxtest.Build(t, quantize).Graph())}
	if err := Refuse(m); fault.As(err) == nil {
		t.Error("a branch is not looked into")
	}
}
