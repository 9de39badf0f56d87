package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// dilationsSince lists the operators with sliding windows and the opset that gave them dilations.
var dilationsSince = map[string]int64{"Conv": 1, "ConvTranspose": 1, "MaxPool": 10, "AveragePool": 19, "LpPool": 18}

func isWindowed(n *onnx.Node) bool { return dilationsSince[n.GetOpType()] > 0 }

// windowAttributes completes the attributes of a node with sliding windows.
func (e *editor) windowAttributes(n *onnx.Node) {
	op := n.GetOpType()
	convolution := op == "Conv" || op == "ConvTranspose"
	if kernel, ok := e.sizes(input(n, 1), 2); convolution && ok {
		setDefault(n, onnx.Ints("kernel_shape", kernel...))
	}
	spatial := len(onnx.AttrInts(n, "kernel_shape"))
	if spatial == 0 {
		return
	}
	setDefault(n, onnx.Ints("strides", repeat(1, spatial)...))
	if e.opset() >= dilationsSince[op] {
		setDefault(n, onnx.Ints("dilations", repeat(1, spatial)...))
	}
	if convolution {
		setDefault(n, onnx.Int("group", 1))
	} else if e.opset() >= 10 && op != "LpPool" || e.opset() >= 18 {
		setDefault(n, onnx.Int("ceil_mode", 0))
	}
	if op == "MaxPool" && e.opset() >= 8 {
		setDefault(n, onnx.Int("storage_order", 0))
	}
	if onnx.Attr(n, "output_shape") != nil {
		return // ConvTranspose computes its pads from that
	}
	e.resolveAutoPad(n, spatial)
	if op == "ConvTranspose" {
		setDefault(n, onnx.Ints("output_padding", repeat(0, spatial)...))
	}
}

func setDefault(n *onnx.Node, a *onnx.Attribute) {
	if onnx.Attr(n, a.GetName()) == nil {
		onnx.SetAttr(n, a)
	}
}

// resolveAutoPad makes pads explicit. SAME pads of maps whose sizes are open stay as they are.
func (e *editor) resolveAutoPad(n *onnx.Node, spatial int) {
	switch onnx.AttrString(n, "auto_pad", "NOTSET") {
	case "NOTSET":
		setDefault(n, onnx.Ints("pads", repeat(0, 2*spatial)...))
	case "VALID":
		onnx.SetAttr(n, onnx.Ints("pads", repeat(0, 2*spatial)...))
	case "SAME_UPPER":
		if !e.samePads(n, spatial, 0) {
			return
		}
	case "SAME_LOWER":
		if !e.samePads(n, spatial, 1) {
			return
		}
	default:
		return
	}
	onnx.DeleteAttr(n, "auto_pad")
}

// samePads computes the pads with which the output has ⌈input/stride⌉ positions. Where their number is odd,
// extra says how many of the last one go to the front.
func (e *editor) samePads(n *onnx.Node, spatial int, extra int64) bool {
	in, ok := e.sizes(input(n, 0), 2)
	kernel, strides, dilations := onnx.AttrInts(n, "kernel_shape"), onnx.AttrInts(n, "strides"), onnx.AttrInts(n, "dilations")
	if dilations == nil {
		dilations = repeat(1, spatial)
	}
	if !ok || n.GetOpType() == "ConvTranspose" || len(in) != spatial || len(strides) != spatial || len(dilations) != spatial {
		return false
	}
	pads := make([]int64, 2*spatial)
	for i, size := range in {
		if strides[i] < 1 {
			return false
		}
		out := (size + strides[i] - 1) / strides[i]
		total := max((out-1)*strides[i]+(kernel[i]-1)*dilations[i]+1-size, 0)
		pads[i] = (total + extra) / 2
		pads[spatial+i] = total - pads[i]
	}
	onnx.SetAttr(n, onnx.Ints("pads", pads...))
	if onnx.Attr(n, "ceil_mode") != nil {
		onnx.SetAttr(n, onnx.Int("ceil_mode", 0)) // the pads make the division come out even
	}
	return true
}
