package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// rules is the one table of operators of the default domain. An operator is added by a row here and a case in
// the test's table; a row is in order if the function holds for every opset.
var rules = map[string]rule{
	// elementwise
	"Abs": passThrough, "Acos": passThrough, "Acosh": passThrough, "Asin": passThrough, "Asinh": passThrough,
	"Atan": passThrough, "Atanh": passThrough, "BitwiseNot": passThrough, "Ceil": passThrough, "Celu": passThrough,
	"Clip": passThrough, "Cos": passThrough, "Cosh": passThrough, "Elu": passThrough, "Erf": passThrough,
	"Exp": passThrough, "Floor": passThrough, "Gelu": passThrough, "HardSigmoid": passThrough,
	"HardSwish": passThrough, "LeakyRelu": passThrough, "Log": passThrough, "Mish": passThrough,
	"Neg": negate, "Reciprocal": passThrough, "Relu": passThrough, "Round": passThrough, "Selu": passThrough,
	"Shrink": passThrough, "Sigmoid": passThrough, "Sign": passThrough, "Sin": passThrough, "Sinh": passThrough,
	"Softplus": passThrough, "Softsign": passThrough, "Sqrt": passThrough, "Swish": passThrough,
	"Tan": passThrough, "Tanh": passThrough, "ThresholdedRelu": passThrough,
	"IsInf": predicate, "IsNaN": predicate, "Not": not,
	"Identity": identity, "Dropout": dropout, "Cast": cast, "CastLike": castLike,

	// several tensors, broadcast
	"Add": withInts(binary, add), "Sub": withInts(binary, sub),
	"Mul": withInts(binary, mul), "Div": withInts(binary, quotient),
	"Mod": withInts(binary, modulo), "Pow": binary, "BitShift": binary,
	"BitwiseAnd": binary, "BitwiseOr": binary, "BitwiseXor": binary,
	"And": binaryBool, "Or": binaryBool, "Xor": binaryBool,
	"Equal":          withInts(binaryBool, equal),
	"Greater":        withInts(binaryBool, test(func(a, b int64) bool { return a > b })),
	"GreaterOrEqual": withInts(binaryBool, test(func(a, b int64) bool { return a >= b })),
	"Less":           withInts(binaryBool, test(func(a, b int64) bool { return a < b })),
	"LessOrEqual":    withInts(binaryBool, test(func(a, b int64) bool { return a <= b })),
	"Max":            withInts(broadcast, onNumbers(func(a, b int64) int64 { return max(a, b) })),
	"Min":            withInts(broadcast, onNumbers(func(a, b int64) int64 { return min(a, b) })),
	"Mean":           broadcast, "Sum": broadcast, "PRelu": oneWay, "Where": where,

	// contractions
	"Conv": conv, "ConvInteger": convInteger, "QLinearConv": qlinearConv, "ConvTranspose": convTranspose,
	"Gemm": gemm, "MatMul": matMul, "MatMulInteger": matMulInteger, "QLinearMatMul": qlinearMatMul,
	"Einsum": einsum, "LSTM": recurrent, "GRU": recurrent, "RNN": recurrent, "Attention": attention,

	// pools
	"AveragePool": pool, "MaxPool": pool, "LpPool": pool,
	"GlobalAveragePool": globalPool, "GlobalMaxPool": globalPool, "GlobalLpPool": globalPool,
	"GridSample": gridSample,

	// normalisations and what else acts along an axis and keeps it
	"BatchNormalization": batchNorm, "InstanceNormalization": instanceNorm, "GroupNormalization": groupNorm,
	"LayerNormalization": layerNorm, "RMSNormalization": layerNorm, "LRN": passThrough,
	"LpNormalization": passThrough, "MeanVarianceNormalization": passThrough,
	"Softmax": passThrough, "LogSoftmax": passThrough, "Hardmax": passThrough, "CumSum": passThrough,
	"CumProd": passThrough, "RotaryEmbedding": passThrough, "ReverseSequence": passThrough, "Trilu": passThrough,

	// reductions
	"ReduceL1": reduceSince(18), "ReduceL2": reduceSince(18), "ReduceLogSum": reduceSince(18),
	"ReduceLogSumExp": reduceSince(18), "ReduceMax": reduceSince(18), "ReduceMean": reduceSince(18),
	"ReduceMin": reduceSince(18), "ReduceProd": reduceSince(18), "ReduceSum": reduceSince(13),
	"ReduceSumSquare": reduceSince(18), "ArgMax": argReduce, "ArgMin": argReduce, "TopK": topK,

	// shapes
	"Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Transpose": transpose,
	"Expand": expand, "Tile": tile, "DepthToSpace": depthToSpace, "SpaceToDepth": spaceToDepth,
	"Resize": resize, "Upsample": upsample, "Pad": pad,

	// parts
	"Concat": concat, "Split": split, "Slice": slice,
	"Gather": gather, "GatherElements": likeIndices, "GatherND": gatherND,
	"Scatter": passThrough, "ScatterElements": passThrough, "ScatterND": passThrough, "TensorScatter": passThrough,
	"OneHot": oneHot, "NonZero": nonZero, "NonMaxSuppression": nonMaxSuppression,

	// constants
	"Constant": constant, "ConstantOfShape": constantOfShape, "Shape": shapeOf, "Size": sizeOf, "Range": rangeOf,
	"RandomNormal": randomOf, "RandomUniform": randomOf, "RandomNormalLike": likeInput,
	"RandomUniformLike": likeInput, "Bernoulli": likeInput, "EyeLike": likeInput,

	// quantisation
	"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear,
	"DynamicQuantizeLinear": dynamicQuantizeLinear,
}

// contrib is ONNX Runtime's own domain, as far as its exporters' fused operators keep a shape.
var contrib = map[string]rule{
	"BiasGelu": passThrough, "FastGelu": passThrough, "Gelu": passThrough, "QuickGelu": passThrough,
	"SkipLayerNormalization": passThrough, "SimplifiedLayerNormalization": passThrough,
	"SkipSimplifiedLayerNormalization": passThrough, "RotaryEmbedding": passThrough,
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
