package rewrite

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// quantized lists the operators that compute with quantised numbers, of the default domain and of ONNX
// Runtime's.
var quantized = map[string]bool{
	"QuantizeLinear": true, "DequantizeLinear": true, "DynamicQuantizeLinear": true,
	"QLinearConv": true, "QLinearMatMul": true, "ConvInteger": true, "MatMulInteger": true,
	"ConvTransposeInteger": true, "DynamicQuantizeMatMul": true, "DynamicQuantizeLSTM": true, "MatMulIntegerToFloat": true,
	"MatMulNBits": true, "MatMulBnb4": true, "MatMulFpQ4": true, "GatherBlockQuantized": true, "QMoE": true,
	"QAttention": true, "QGemm": true, "QEmbedLayerNormalization": true, "QOrderedMatMul": true, "QOrderedAttention": true,
}

// optimizedDomains are those of the operators that only optimisers of runtimes write.
var optimizedDomains = []string{"com.microsoft", "com.ms.", "trt", "com.nvidia", "tensorrt"}

// Refuse returns an error of kind fault.Unsupported for a model that was quantised or optimised for a
// runtime; it names the first node that shows it. Such a file holds no weights that could be merged, or
// hides them from us.
func Refuse(m *onnx.Model) error {
	if err := refuseNodes(m.Graph().GetNode()); err != nil {
		return err.InFile(m.File)
	}
	for _, f := range m.Proto.GetFunctions() {
		if err := refuseNodes(f.GetNode()); err != nil {
			return err.InFile(m.File)
		}
	}
	return nil
}

func refuseNodes(nodes []*onnx.Node) *fault.Error {
	for _, n := range nodes {
		if err := refuseNode(n); err != nil {
			return err
		}
		var inner *fault.Error
		eachSubgraph(n, func(g *onnx.Graph) {
			if inner == nil {
				inner = refuseNodes(g.GetNode())
			}
		})
		if inner != nil {
			return inner
		}
	}
	return nil
}

func refuseNode(n *onnx.Node) *fault.Error {
	op, domain := n.GetOpType(), n.GetDomain()
	if quantized[op] || strings.HasPrefix(op, "QLinear") {
		return fault.New(fault.Unsupported, "quantized_model", "%s: the model is quantised", op).AtNode(onnx.NodeName(n)).
			WithHint("merge the float model before quantising")
	}
	optimized := strings.HasPrefix(op, "TRT_") || op == "EPContext"
	for _, prefix := range optimizedDomains {
		optimized = optimized || strings.HasPrefix(domain, prefix)
	}
	if optimized {
		return fault.New(fault.Unsupported, "optimized_model", "%s of %q: this file was optimised for a runtime", op, domain).
			AtNode(onnx.NodeName(n)).WithHint("merge the original export")
	}
	return nil
}
