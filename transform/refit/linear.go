package refit

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Linear is a node of the merged network whose weights least squares may change.
type Linear struct {
	Name   string // for reports
	Node   string // the value that the node makes: names it in the graph
	Input  string // the value that it contracts
	Weight string
	Bias   string // its bias, "" where it has none
	// At is the value that is compared with the sources: the node's own output, or, for the last node of a
	// residual branch, the sum that it enters, so that it makes up for what the merged skip has lost.
	At     string
	Axis   int // the axis of At, and of the node's output, that counts channels
	Target []Member
	Head   string // the head it belongs to, "" in the trunk
}

// kernel is how a linear node reads its input.
type kernel struct {
	op                       string
	window                   []int64 // kernel sizes, strides, dilations and pads of a convolution
	strides, dilations, pads []int64
	groups                   int64
	transA, transB           bool
}

// kernelOf describes n; ok is false for nodes that least squares leaves alone.
func kernelOf(ix *onnx.Index, n *onnx.Node) (k kernel, ok bool) {
	w := func(slot int) *onnx.TensorProto {
		if slot < len(n.GetInput()) {
			return ix.Initializer(n.GetInput()[slot])
		}
		return nil
	}
	if w(1) == nil {
		return k, false
	}
	k.op = n.GetOpType()
	dims := w(1).GetDims()
	switch k.op {
	case "Gemm":
		k.transA, k.transB = onnx.AttrInt(n, "transA", 0) != 0, onnx.AttrInt(n, "transB", 0) != 0
		return k, !k.transA && onnx.AttrFloat(n, "alpha", 1) == 1 && onnx.AttrFloat(n, "beta", 1) == 1
	case "MatMul":
		return k, len(dims) == 2 && w(0) == nil
	case "Conv":
		return convKernel(n, dims, k)
	}
	return k, false
}

// convKernel reads the attributes of a convolution over one axis, which counts as a width, or two.
func convKernel(n *onnx.Node, dims []int64, k kernel) (kernel, bool) {
	k.groups = onnx.AttrInt(n, "group", 1)
	auto := onnx.AttrString(n, "auto_pad", "NOTSET")
	if len(dims) != 3 && len(dims) != 4 || auto != "NOTSET" && auto != "VALID" {
		return k, false
	}
	or := func(name string, def int64, count int) []int64 {
		if v := onnx.AttrInts(n, name); len(v) == count {
			return v
		}
		return slices.Repeat([]int64{def}, count)
	}
	axes := len(dims) - 2
	k.window = dims[2:]
	k.strides, k.dilations, k.pads = or("strides", 1, axes), or("dilations", 1, axes), or("pads", 0, 2*axes)
	if axes == 1 {
		k.window, k.strides, k.dilations = []int64{1, k.window[0]}, []int64{1, k.strides[0]}, []int64{1, k.dilations[0]}
		k.pads = []int64{0, k.pads[0], 0, k.pads[1]}
	}
	return k, dims[0]%k.groups == 0
}

// inputs is the number of weights behind each output: d without the bias.
func (k kernel) inputs(dims []int64) int {
	if k.inputsFirst() {
		return int(dims[0])
	}
	d := 1
	for _, x := range dims[1:] {
		d *= int(x)
	}
	return d
}

// outputs is the number of channels that the node makes.
func (k kernel) outputs(dims []int64) int {
	if k.inputsFirst() {
		return int(dims[1])
	}
	return int(dims[0])
}

// inputsFirst is true where weights are [d, O], not [O, d].
func (k kernel) inputsFirst() bool { return k.op == "MatMul" || k.op == "Gemm" && !k.transB }
