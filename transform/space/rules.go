package space

// rule ties the axes of one node's inputs, parameters and outputs.
type rule func(c *call)

// rules is the table: what each operator of the default domain does to axes. Operators that are not
// here pin. docs/operators.md explains the notation and how to add a row; testdata/rules.txt holds a
// case for each row, and TestRulesHaveCases fails for a row without one.
//
// In the einsum-like rows a letter is an axis, the same letter the same features. "*" stands for the
// axes that a window slides over (they must hold no features), "." for leading axes passed through,
// "1" for an axis of size one. Terms left of the arrow are inputs: what is computed gives letters their
// features, a parameter's axis is averaged by a merge where its letter is in the result (role Out) and
// added over where it is not (role In). A letter in parameters and result alone makes new features.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"BatchNormalization":    einsum("nc*,c,c,c,c->nc*"),
		"InstanceNormalization": instanceNorm,
		"GroupNormalization":    groupNorm,
		"Conv":                  conv,
		"ConvTranspose":         convTranspose,
		"Gemm":                  gemm,
		"MatMul":                matMul,
		"Einsum":                einsumOperator,

		"MaxPool":           einsum("nc*->nc*"),
		"AveragePool":       einsum("nc*->nc*"),
		"LpPool":            einsum("nc*->nc*"),
		"GlobalAveragePool": einsum("nc*->nc*"),
		"GlobalMaxPool":     einsum("nc*->nc*"),
		"GlobalLpPool":      einsum("nc*->nc*"),
		"Resize":            resize,
		"Upsample":          resize,
		"DepthToSpace":      depthToSpace,
		"SpaceToDepth":      spaceToDepth,

		"Attention":          attention,
		"RotaryEmbedding":    rotary,
		"LayerNormalization": layerNorm,
		"RMSNormalization":   layerNorm,
		"Softmax":            softmax,
		"LogSoftmax":         softmax,
		"Hardmax":            softmax,
		"LpNormalization":    lpNorm,

		"Flatten":   reshapeRule,
		"Reshape":   reshapeRule,
		"Squeeze":   reshapeRule,
		"Unsqueeze": reshapeRule,
		"Transpose": transpose,
		"Concat":    concat,
		"Split":     split,
		"Slice":     slice,
		"Gather":    gather,
		"Pad":       pad,
		"Expand":    expand,
		"Tile":      tile,

		"Shape": shapeOnly, "Size": shapeOnly, "ConstantOfShape": shapeOnly, "Range": shapeOnly,
	}
	for op, n := range gates {
		rules[op] = recurrent(n)
	}
	for _, op := range []string{
		"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Sigmoid", "HardSigmoid", "HardSwish",
		"Mish", "Tanh", "Softplus", "Softsign", "Erf", "Gelu", "Swish", "Clip", "Exp", "Log", "Sqrt", "Abs", "Neg",
		"Reciprocal", "Sign", "Floor", "Ceil", "Round", "Sin", "Cos", "Not", "IsNaN", "IsInf",
		"Cast", "Identity", "Dropout",
	} {
		rules[op], onlyOneInput[op] = unary, true
	}
	for _, op := range []string{
		"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "Where", "PRelu",
		"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor",
	} {
		rules[op] = broadcast
	}
	for _, op := range []string{
		"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
		"ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
	} {
		rules[op] = reduce
	}
}

// Operators lists the operators of the table.
func Operators() []string {
	var out []string
	for op := range rules {
		out = append(out, op)
	}
	return out
}

// unary passes every axis of the first input through; further inputs are bounds and ratios.
func unary(c *call) { c.setOut(0, c.in(0)) }

// shapeOnly makes values that depend on shapes alone: the same in every model of one width. A value
// that carries a width follows it, because it is computed from the merged value's own shape.
func shapeOnly(c *call) { c.setOut(0, c.a.alignedAxes(c.model, c.n.GetOutput()[0])) }
