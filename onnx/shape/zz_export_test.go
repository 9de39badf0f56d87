package shape
import "github.com/onnx-zip/onnx-zip/onnx"
func HasRule(n *onnx.Node) bool { return ruleOf(n)!=nil }
