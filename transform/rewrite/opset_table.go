package rewrite

import (
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// change is a version in which an operator's form or meaning changed, and how to write the same in the new
// one. convert changes the node in place and returns why that is not possible, "" where it was.
type change struct {
	since   int64
	convert func(r *raiser, n *onnx.Node) string
}

// changes lists the operators whose form or meaning changed between the opsets 9 and 23. Versions that
// added types, negative axes, or attributes and inputs whose default is what was before are left out.
var changes = map[string][]change{
	"AveragePool":        {{19, refuseCeilWithPad}},
	"BatchNormalization": {{14, batchNormOutputs}},
	"Clip":               {{11, clipBounds}},
	"Dropout":            {{10, dropoutMask}, {12, dropoutRatio}},
	"DFT":                {{20, never("its axis became an input")}},
	"GridSample":         {{20, gridSampleModes}},
	"GroupNormalization": {{21, groupNormPerChannel}},
	"Hardmax":            {{13, flattenedSoftmax}},
	"LogSoftmax":         {{13, flattenedSoftmax}},
	"Pad":                {{11, padInputs}},
	"ReduceL1":           {{18, reduceAxes}},
	"ReduceL2":           {{18, reduceAxes}},
	"ReduceLogSum":       {{18, reduceAxes}},
	"ReduceLogSumExp":    {{18, reduceAxes}},
	"ReduceMax":          {{18, reduceAxes}},
	"ReduceMean":         {{18, reduceAxes}},
	"ReduceMin":          {{18, reduceAxes}},
	"ReduceProd":         {{18, reduceAxes}},
	"ReduceSum":          {{13, reduceAxes}},
	"ReduceSumSquare":    {{18, reduceAxes}},
	"Resize":             {{11, resizeCoordinates}, {13, resizeAbsent}},
	"RoiAlign":           {{16, roiAlignCoordinates}},
	"Scatter":            {{11, rename("ScatterElements")}},
	"Slice":              {{10, sliceInputs}},
	"Softmax":            {{13, flattenedSoftmax}},
	"Split":              {{13, splitSizes}, {18, splitCount}},
	"Squeeze":            {{13, reduceAxes}},
	"TopK":               {{10, topKInput}},
	"Unsqueeze":          {{13, reduceAxes}},
	"Upsample":           {{10, rename("Resize")}},
}

// sameMeaning lists the operators that mean the same wherever an opset from 9 to 23 has them: at most their
// types grew, or what has a default that is the old meaning was added (allowzero of Reshape, layout of LSTM).
// Operators of quantised models and of training are not here, nor those that make random numbers.
var sameMeaning = set(`
	Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention BitShift BitwiseAnd BitwiseNot
	BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Col2Im Compress Concat ConcatFromSequence
	Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace Det Div Einsum Elu Equal Erf Exp
	Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
	Greater GreaterOrEqual HammingWindow HannWindow HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN
	LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log Loop LpNormalization LpPool MatMul Max MaxPool MaxRoiPool
	MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot
	Or PRelu Pow RMSNormalization RNN Range Reciprocal Relu Reshape ReverseSequence RotaryEmbedding Round STFT Scan
	ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
	SequenceLength Shape Shrink Sigmoid Sign Sin Sinh Size Softplus Softsign SpaceToDepth Sqrt Sub Sum Tan Tanh
	ThresholdedRelu Tile Transpose Trilu Unique Where Xor`)

func set(words string) map[string]bool {
	s := map[string]bool{}
	for _, w := range strings.Fields(words) {
		s[w] = true
	}
	return s
}
