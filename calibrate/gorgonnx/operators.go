package gorgonnx

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// operator is how an operator of the default domain is run.
type operator struct {
	// inputs is the number of inputs that must be present; further ones are optional.
	inputs int
	// attrs lists the attributes whose meaning run obeys. Nodes with others are refused.
	attrs []string
	// refuse says what of a node's attributes is not supported, "" if all is; nil: all is.
	refuse func(*onnx.Node) string
	// run makes the first output. It must refuse shapes that it cannot handle.
	run func(*call) (*onnx.Tensor, error)
}

// operators is everything that this engine runs. The package comment has the same list for people.
var operators = map[string]operator{
	"Conv":              {2, append(window, "group"), nil, conv},
	"MaxPool":           {1, append(window, "ceil_mode", "storage_order"), refusePool, maxPool},
	"AveragePool":       {1, append(window, "ceil_mode", "count_include_pad"), refusePool, averagePool},
	"GlobalAveragePool": {1, nil, nil, globalAveragePool},

	"Gemm":               {2, []string{"alpha", "beta", "transA", "transB"}, nil, gemm},
	"MatMul":             {2, nil, nil, matMul},
	"BatchNormalization": {5, []string{"epsilon", "momentum", "training_mode", "spatial"}, refuseTraining, batchNorm},
	"Softmax":            {1, []string{"axis"}, nil, softmax},

	"Add": {2, nil, nil, binary}, "Sub": {2, nil, nil, binary}, "Mul": {2, nil, nil, binary}, "Div": {2, nil, nil, binary},
	"Max": {1, nil, nil, binary}, "Min": {1, nil, nil, binary}, "Sum": {1, nil, nil, sum},
	"Clip": {1, []string{"min", "max"}, nil, clip},

	"Relu": {1, nil, nil, unary}, "LeakyRelu": {1, []string{"alpha"}, nil, unary},
	"Sigmoid": {1, nil, nil, unary}, "Tanh": {1, nil, nil, unary}, "Softplus": {1, nil, nil, unary},
	"Exp": {1, nil, nil, unary}, "Log": {1, nil, nil, unary}, "Sqrt": {1, nil, nil, unary},
	"Abs": {1, nil, nil, unary}, "Neg": {1, nil, nil, unary},

	"Identity": {1, nil, nil, identity}, "Dropout": {1, []string{"ratio", "seed"}, nil, dropout},
	"Constant": {0, []string{"value"}, nil, constant}, "Shape": {1, nil, nil, shape},
	"Reshape": {2, []string{"allowzero"}, nil, reshape}, "Flatten": {1, []string{"axis"}, nil, flatten},
	"Squeeze": {1, []string{"axes"}, nil, squeeze}, "Unsqueeze": {1, []string{"axes"}, nil, unsqueeze},
	"Transpose": {1, []string{"perm"}, nil, transposeNode}, "Concat": {1, []string{"axis"}, nil, concatNode},
	"Gather": {2, []string{"axis"}, nil, gather}, "Slice": {1, []string{"starts", "ends", "axes"}, nil, slice},
}

// call is one execution of a node.
type call struct {
	node  *onnx.Node
	opset int64
	in    []*onnx.Tensor // nil where an optional input is absent
}

// input returns an optional input, nil where it is absent.
func (c *call) input(i int) *onnx.Tensor {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// axis returns the attribute axis, counted from the front. An axis in [0, rank] passes where end is set,
// else in [0, rank).
func (c *call) axis(def int64, rank int, end bool) (int, error) {
	return fromFront(onnx.AttrInt(c.node, "axis", def), rank, end)
}

func fromFront(axis int64, rank int, end bool) (int, error) {
	front, limit := axis, int64(rank)
	if axis < 0 {
		front += limit
	}
	if front < 0 || front > limit || front == limit && !end {
		return 0, fmt.Errorf("axis %d of a tensor of rank %d", axis, rank)
	}
	return int(front), nil
}

// parameter returns integers that are an attribute in old opsets and an input in new ones, nil if absent.
func (c *call) parameter(attr string, input int) ([]int64, error) {
	if t := c.input(input); t != nil {
		return t.Int64s()
	}
	return onnx.AttrInts(c.node, attr), nil
}
