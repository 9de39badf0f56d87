package shape_test

import "fmt"

// ruleCase is a graph and what must be inferred of it. The same graphs are run by the engine, where it can.
type ruleCase struct {
	name string
	text string // onnxtest notation; the symbols' sizes for the engine are those of sizes
	want string // "value type[dims]", with "=[contents]" behind where they are tracked; one line each
	only bool   // the engine has no kernel for it
}

// sizes binds the symbols of the cases for the engine.
var sizes = map[string]int64{"N": 2, "H": 9, "W": 12, "S": 5}

// keepers are the elementwise operators of floating tensors and the operators that keep a shape.
var keepers = []string{
	"Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu",
	"Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Round",
	"Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh",
	"ThresholdedRelu", "Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "Identity", "Dropout",
	"RandomNormalLike", "RandomUniformLike", "Bernoulli",
}

// allCases is the table and the cases made from lists.
func allCases() []ruleCase {
	cases := ruleTable
	for _, op := range keepers {
		cases = append(cases, ruleCase{
			name: op, text: "input x f32[N,3]\ny = " + op + "(x)\noutput y", want: "y float32[N,3]",
		})
	}
	for _, op := range []string{"And", "Or", "Xor"} {
		cases = append(cases, ruleCase{
			name: op, text: "input x bool[N,3]\ninput z bool[3]\ny = " + op + "(x, z)\noutput y", want: "y bool[N,3]",
		})
	}
	for _, op := range []string{"Sum", "Mean", "Max", "Min"} {
		cases = append(cases, ruleCase{
			name: op + " of three", want: "y float32[N,4,3]",
			text: "input a f32[N,1,3]\ninput b f32[4,1]\ninput c f32[]\ny = " + op + "(a, b, c)\noutput y",
		})
	}
	for _, op := range []string{"Less", "LessOrEqual", "Greater", "GreaterOrEqual"} {
		cases = append(cases, ruleCase{
			name: op, want: "y bool[N,4]",
			text: "input a f32[N,1]\ninput b f32[4]\ny = " + op + "(a, b)\noutput y",
		})
	}
	for _, op := range []string{
		"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
		"ReduceProd", "ReduceSumSquare",
	} {
		cases = append(cases, reduceCases(op)...)
	}
	return cases
}

// reduceCases is an operator whose axes became an input in opset 18.
func reduceCases(op string) []ruleCase {
	return []ruleCase{{
		name: op + " attribute", want: "y float32[N,1,H]\nz float32[]",
		text: fmt.Sprintf("input x f32[N,3,H]\ny = %s(x) {axes=[-2]}\nz = %s(x) {keepdims=0}\noutput y\noutput z", op, op),
	}, {
		name: op + " input", want: "y float32[N,H]",
		text: fmt.Sprintf("opset 18\ninput x f32[N,3,H]\na = init i64[1]{1}\ny = %s(x, a) {keepdims=0}\noutput y", op),
	}}
}
