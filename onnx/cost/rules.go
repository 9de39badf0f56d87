package cost

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// rule counts the FLOPs of a node.
type rule func(c *call) int64

// rules is the one table of operators of the default domain.
var rules = map[string]rule{
	// contractions
	"Conv": conv(1), "ConvInteger": conv(1), "QLinearConv": conv(3), "ConvTranspose": convTranspose,
	"MatMul": matMul, "MatMulInteger": matMul, "QLinearMatMul": matMul, "Gemm": gemm, "Einsum": einsum,
	"LSTM": recurrent, "GRU": recurrent, "RNN": recurrent,

	// one operation for each element of the output
	"Abs": perOutput(1), "Acos": perOutput(1), "Acosh": perOutput(1), "Add": perOutput(1), "And": perOutput(1),
	"Asin": perOutput(1), "Asinh": perOutput(1), "Atan": perOutput(1), "Atanh": perOutput(1),
	"BitShift": perOutput(1), "BitwiseAnd": perOutput(1), "BitwiseNot": perOutput(1), "BitwiseOr": perOutput(1),
	"BitwiseXor": perOutput(1), "Ceil": perOutput(1), "Cos": perOutput(1), "Cosh": perOutput(1),
	"CumProd": perOutput(1), "CumSum": perOutput(1), "Div": perOutput(1), "Equal": perOutput(1),
	"Erf": perOutput(1), "Exp": perOutput(1), "Floor": perOutput(1), "Greater": perOutput(1),
	"GreaterOrEqual": perOutput(1), "IsInf": perOutput(1), "IsNaN": perOutput(1), "Less": perOutput(1),
	"LessOrEqual": perOutput(1), "Log": perOutput(1), "Mod": perOutput(1), "Mul": perOutput(1),
	"Neg": perOutput(1), "Not": perOutput(1), "Or": perOutput(1), "Pow": perOutput(1),
	"Reciprocal": perOutput(1), "Relu": perOutput(1), "Round": perOutput(1), "Sign": perOutput(1),
	"Sin": perOutput(1), "Sinh": perOutput(1), "Sqrt": perOutput(1), "Sub": perOutput(1), "Tan": perOutput(1),
	"Tanh": perOutput(1), "Where": perOutput(1), "Xor": perOutput(1),

	// composite functions: as many as the formula has
	"Celu": perOutput(4), "Clip": perOutput(2), "Elu": perOutput(3), "Gelu": perOutput(5),
	"HardSigmoid": perOutput(4), "HardSwish": perOutput(5), "LeakyRelu": perOutput(2), "Mish": perOutput(5),
	"PRelu": perOutput(2), "Selu": perOutput(4), "Shrink": perOutput(2), "Sigmoid": perOutput(4),
	"Softplus": perOutput(3), "Softsign": perOutput(3), "Swish": perOutput(5), "ThresholdedRelu": perOutput(1),
	"QuantizeLinear": perOutput(3), "DequantizeLinear": perOutput(2), "DynamicQuantizeLinear": perOutput(5),
	"Max": perOperand(0), "Min": perOperand(0), "Sum": perOperand(0), "Mean": perOperand(1),

	// normalisations: BatchNormalization is the affine map that it is in inference
	"BatchNormalization": perOutput(2), "InstanceNormalization": perOutput(7), "GroupNormalization": perOutput(7),
	"LayerNormalization": perOutput(7), "RMSNormalization": perOutput(4), "MeanVarianceNormalization": perOutput(5),
	"LpNormalization": perOutput(3), "LRN": lrn,
	"Softmax": perOutput(5), "LogSoftmax": perOutput(5), "Hardmax": perOutput(2), "RotaryEmbedding": perOutput(3),

	// pools and reductions
	"AveragePool": pool(1), "MaxPool": pool(1), "LpPool": pool(2),
	"GlobalAveragePool": perInput(1), "GlobalMaxPool": perInput(1), "GlobalLpPool": perInput(2),
	"ReduceL1": perInput(2), "ReduceL2": perInput(2), "ReduceLogSum": perInput(1), "ReduceLogSumExp": perInput(2),
	"ReduceMax": perInput(1), "ReduceMean": perInput(1), "ReduceMin": perInput(1), "ReduceProd": perInput(1),
	"ReduceSum": perInput(1), "ReduceSumSquare": perInput(2), "ArgMax": perInput(1), "ArgMin": perInput(1),

	// interpolation
	"Resize": interpolation("nearest"), "Upsample": interpolation("nearest"), "GridSample": interpolation("linear"),

	// moving data
	"Bernoulli": free, "Cast": free, "CastLike": free, "Concat": free, "Constant": free, "ConstantOfShape": free,
	"DepthToSpace": free, "Dropout": free, "Expand": free, "EyeLike": free, "Flatten": free, "Gather": free,
	"GatherElements": free, "GatherND": free, "Identity": free, "NonZero": free, "OneHot": free, "Pad": free,
	"RandomNormal": free, "RandomNormalLike": free, "RandomUniform": free, "RandomUniformLike": free, "Range": free,
	"Reshape": free, "ReverseSequence": free, "Scatter": free, "ScatterElements": free, "ScatterND": free,
	"Shape": free, "Size": free, "Slice": free, "SpaceToDepth": free, "Split": free, "Squeeze": free,
	"TensorScatter": free, "Tile": free, "Transpose": free, "Trilu": free, "Unsqueeze": free,
}

// contrib is ONNX Runtime's own domain, as far as exporters write it.
var contrib = map[string]rule{
	"BiasGelu": perOutput(6), "FastGelu": perOutput(8), "Gelu": perOutput(5), "QuickGelu": perOutput(5),
	"SimplifiedLayerNormalization": perOutput(4), "SkipLayerNormalization": perOutput(8),
	"SkipSimplifiedLayerNormalization": perOutput(5), "RotaryEmbedding": perOutput(3),
}

// ruleOf is n's rule, nil for an operator without one.
func ruleOf(n *onnx.Node) rule {
	switch n.GetDomain() {
	case "", "ai.onnx":
		return rules[n.GetOpType()]
	case "com.microsoft":
		return contrib[n.GetOpType()]
	}
	return nil
}

// flops counts n, or says why it cannot.
func flops(n *onnx.Node, s shape.Shapes) (count int64, why string) {
	r := ruleOf(n)
	if r == nil {
		return 0, "there is no rule for this operator"
	}
	c := &call{node: n, shapes: s}
	if count = r(c); c.why != "" {
		return 0, c.why
	}
	return count, ""
}

// call is what a rule sees of a node. A rule that asks for something unknown goes on with zeros; why says
// afterwards that its count is worth nothing.
type call struct {
	node   *onnx.Node
	shapes shape.Shapes
	why    string
}

func (c *call) fail(format string, args ...any) {
	if c.why == "" {
		c.why = fmt.Sprintf(format, args...)
	}
}

// sizes are the dims of a value, nil where they are not known.
func (c *call) sizes(value string) []int64 {
	dims, ok := c.shapes[value].Static()
	if !ok {
		c.fail("the shape of %q is not known", value)
	}
	return dims
}

// in are the dims of the input at slot, which must have at least that rank.
func (c *call) in(slot, rank int) []int64 {
	if slot >= len(c.node.Input) || c.node.Input[slot] == "" {
		c.fail("input %d is missing", slot)
		return make([]int64, rank)
	}
	dims := c.sizes(c.node.Input[slot])
	if len(dims) < rank {
		c.fail("the rank of %q is below %d", c.node.Input[slot], rank)
		return make([]int64, rank)
	}
	return dims
}

// out is the number of elements of the first output.
func (c *call) out() int64 {
	if len(c.node.Output) == 0 {
		c.fail("there is no output")
		return 0
	}
	return times(c.sizes(c.node.Output[0])...)
}
