package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// Key names a node's operator as Operators does.
func Key(n *onnx.Node) string { return n.GetDomain() + "::" + n.GetOpType() }

// Operators lists the operators that have rules.
func Operators() []string {
	var out []string
	for op := range rules {
		out = append(out, "::"+op)
	}
	for op := range contrib {
		out = append(out, "com.microsoft::"+op)
	}
	return out
}
