package calibrate

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// sequenceMakers are the operators whose results are no tensors.
var sequenceMakers = []string{
	"SequenceEmpty", "SequenceConstruct", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence",
	"Optional", "ZipMap",
}

// tensorValues lists the tensors that the nodes of the main graph make, in topological order.
func tensorValues(ix *onnx.Index) []string {
	other := map[string]bool{} // values known to be no tensors
	for _, declared := range [][]*onnx.ValueInfo{ix.Graph.GetValueInfo(), ix.Graph.GetInput(), ix.Graph.GetOutput()} {
		for _, v := range declared {
			other[v.GetName()] = isOther(v)
		}
	}
	var values []string
	for _, n := range ix.Order {
		makesOther := slices.Contains(sequenceMakers, n.GetOpType()) || branchMakesOther(n) ||
			n.GetOpType() == "Identity" && other[input(n, 0)]
		for _, v := range n.GetOutput() {
			if makesOther {
				other[v] = true
			}
			if v != "" && !other[v] {
				values = append(values, v)
			}
		}
	}
	return values
}

// isOther reports whether v is declared as something that is no tensor.
func isOther(v *onnx.ValueInfo) bool {
	_, _, tensor := onnx.TensorType(v)
	return v.GetType() != nil && !tensor
}

// branchMakesOther reports whether a subgraph of n (If, Loop, Scan) returns something that is no tensor.
func branchMakesOther(n *onnx.Node) bool {
	for _, a := range n.GetAttribute() {
		for _, g := range append(slices.Clone(a.GetGraphs()), a.GetG()) {
			if slices.ContainsFunc(g.GetOutput(), isOther) {
				return true
			}
		}
	}
	return false
}

// sameType are operators whose first output has the element type of their input 0.
var sameType = []string{
	"Abs", "Add", "Ceil", "Clip", "Concat", "CumSum", "Div", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND",
	"Identity", "Max", "Min", "Mod", "Mul", "Neg", "Pad", "Pow", "Range", "ReduceMax", "ReduceMin", "ReduceProd",
	"ReduceSum", "Reshape", "Round", "ScatterElements", "ScatterND", "Sign", "Slice", "Split", "Sqrt", "Squeeze", "Sub",
	"Sum", "Tile", "Transpose", "Unsqueeze",
}

// staticTypes gives the element types of the values that follow from shapes and constants alone, as far as
// the operators on the way are known.
func staticTypes(ix *onnx.Index) map[string]onnx.DType {
	types := map[string]onnx.DType{}
	for _, t := range ix.Graph.GetInitializer() {
		types[t.GetName()] = onnx.DType(t.GetDataType())
	}
	for _, n := range ix.Order {
		if d := staticType(n, types); d != onnx.Undefined {
			for _, v := range n.GetOutput() {
				types[v] = d
			}
		}
	}
	delete(types, "") // the name of absent outputs
	return types
}

// input is the name of an input, "" where it is absent.
func input(n *onnx.Node, i int) string {
	if in := n.GetInput(); i < len(in) {
		return in[i]
	}
	return ""
}

// staticType is the element type of n's outputs, Undefined where it is unknown or they depend on data.
func staticType(n *onnx.Node, types map[string]onnx.DType) onnx.DType {
	if n.GetDomain() != "" && n.GetDomain() != "ai.onnx" {
		return onnx.Undefined
	}
	switch n.GetOpType() {
	case "Shape", "Size": // of anything
		return onnx.Int64
	case "Constant":
		return constantType(n)
	}
	for _, in := range n.GetInput() {
		if in != "" && types[in] == onnx.Undefined {
			return onnx.Undefined
		}
	}
	switch op := n.GetOpType(); {
	case slices.Contains(sameType, op):
		return types[input(n, 0)]
	case op == "Where":
		return types[input(n, 1)]
	case op == "Cast":
		return onnx.DType(onnx.AttrInt(n, "to", 0))
	case op == "ConstantOfShape":
		if t := onnx.AttrTensor(n, "value"); t != nil {
			return onnx.DType(t.GetDataType())
		}
		return onnx.Float
	case op == "NonZero", op == "ArgMax", op == "ArgMin":
		return onnx.Int64
	case op == "Equal", op == "Less", op == "Greater", op == "LessOrEqual", op == "GreaterOrEqual",
		op == "Not", op == "And", op == "Or":
		return onnx.Bool
	}
	return onnx.Undefined
}

// constantType is the element type of a Constant node.
func constantType(n *onnx.Node) onnx.DType {
	switch {
	case onnx.AttrTensor(n, "value") != nil:
		return onnx.DType(onnx.AttrTensor(n, "value").GetDataType())
	case onnx.Attr(n, "value_int") != nil, onnx.Attr(n, "value_ints") != nil:
		return onnx.Int64
	case onnx.Attr(n, "value_float") != nil, onnx.Attr(n, "value_floats") != nil:
		return onnx.Float
	}
	return onnx.Undefined
}
