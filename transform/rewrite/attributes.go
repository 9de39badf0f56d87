package rewrite

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// normalizeAttributes writes out attributes that have a default, resolves auto_pad, counts axes from the
// front, sorts attributes by name, and cuts trailing inputs and outputs that are absent or unread.
func normalizeAttributes(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if !isStandard(n) {
			continue
		}
		before := onnx.Clone(n)
		e.trim(n)
		if isWindowed(n) {
			e.windowAttributes(n)
		}
		for _, d := range defaults[n.GetOpType()] {
			d.fill(e, n)
		}
		e.positiveAxis(n)
		slices.SortStableFunc(n.Attribute, func(a, b *onnx.Attribute) int { return strings.Compare(a.GetName(), b.GetName()) })
		if !onnx.Equal(before, n) {
			r.did(n.GetOpType() + " completed")
		}
	}
	return nil
}

// attrDefault is the default of an attribute since an opset. The value is an int, a float64, a string, or
// a function that computes the attribute, nil for not now. Where a default changed the newest comes first.
type attrDefault struct {
	name  string
	value any
	since int64
}

func (d attrDefault) fill(e *editor, n *onnx.Node) {
	if onnx.Attr(n, d.name) != nil || e.opset() < d.since {
		return
	}
	switch v := d.value.(type) {
	case int:
		onnx.SetAttr(n, onnx.Int(d.name, int64(v)))
	case float64:
		onnx.SetAttr(n, onnx.FloatAttr(d.name, float32(v)))
	case string:
		onnx.SetAttr(n, onnx.StringAttr(d.name, v))
	case func(e *editor, n *onnx.Node) *onnx.Attribute:
		if a := v(e, n); a != nil {
			onnx.SetAttr(n, a)
		}
	}
}

// defaults are the attributes' defaults as the operators' specifications give them. Operators that have
// sliding windows have more in window.go; those whose defaults no exporter leaves out are missing.
var defaults = map[string][]attrDefault{
	"AveragePool":           {{"count_include_pad", 0, 7}},
	"BatchNormalization":    {{"epsilon", 1e-5, 1}},
	"Cast":                  {{"saturate", 1, 19}},
	"Celu":                  {{"alpha", 1.0, 12}},
	"DepthToSpace":          {{"mode", "DCR", 11}},
	"Elu":                   {{"alpha", 1.0, 1}},
	"Flatten":               {{"axis", 1, 1}},
	"Gather":                {{"axis", 0, 1}},
	"GatherElements":        {{"axis", 0, 11}},
	"Gelu":                  {{"approximate", "none", 20}},
	"GRU":                   {{"direction", "forward", 1}, {"layout", 0, 14}, {"linear_before_reset", 0, 3}},
	"Gemm":                  {{"alpha", 1.0, 1}, {"beta", 1.0, 1}, {"transA", 0, 1}, {"transB", 0, 1}},
	"GroupNormalization":    {{"epsilon", 1e-5, 18}},
	"HardSigmoid":           {{"alpha", 0.2, 1}, {"beta", 0.5, 1}},
	"InstanceNormalization": {{"epsilon", 1e-5, 1}},
	"LRN":                   {{"alpha", 1e-4, 1}, {"beta", 0.75, 1}, {"bias", 1.0, 1}},
	"LSTM":                  {{"direction", "forward", 1}, {"input_forget", 0, 1}, {"layout", 0, 14}},
	"LayerNormalization":    {{"axis", -1, 17}, {"epsilon", 1e-5, 17}, {"stash_type", 1, 17}},
	"LeakyRelu":             {{"alpha", 0.01, 1}},
	"LogSoftmax":            {{"axis", -1, 13}, {"axis", 1, 1}},
	"LpNormalization":       {{"axis", -1, 1}, {"p", 2, 1}},
	"Pad":                   {{"mode", "constant", 1}},
	"RNN":                   {{"direction", "forward", 1}, {"layout", 0, 14}},
	"ReduceL2":              {{"keepdims", 1, 1}, {"noop_with_empty_axes", 0, 18}},
	"ReduceMax":             {{"keepdims", 1, 1}, {"noop_with_empty_axes", 0, 18}},
	"ReduceMean":            {{"keepdims", 1, 1}, {"noop_with_empty_axes", 0, 18}},
	"ReduceMin":             {{"keepdims", 1, 1}, {"noop_with_empty_axes", 0, 18}},
	"ReduceSum":             {{"keepdims", 1, 1}, {"noop_with_empty_axes", 0, 13}},
	"Reshape":               {{"allowzero", 0, 14}},
	"Resize": {{"mode", "nearest", 11}, {"coordinate_transformation_mode", "half_pixel", 11},
		{"nearest_mode", "round_prefer_floor", 11}, {"cubic_coeff_a", -0.75, 11}, {"exclude_outside", 0, 11},
		{"antialias", 0, 18}, {"keep_aspect_ratio_policy", "stretch", 18}},
	"Selu":      {{"alpha", 1.67326319217681884765625, 6}, {"gamma", 1.05070102214813232421875, 6}},
	"Softmax":   {{"axis", -1, 13}, {"axis", 1, 1}},
	"Split":     {{"axis", 0, 1}},
	"Transpose": {{"perm", reversed, 1}},
}

// reversed is Transpose's default: all axes in reverse.
func reversed(e *editor, n *onnx.Node) *onnx.Attribute {
	rank := e.rank(input(n, 0))
	if rank < 1 {
		return nil
	}
	perm := sequence(0, int64(rank))
	slices.Reverse(perm)
	return onnx.Ints("perm", perm...)
}

// withAxis lists the operators whose axis attribute counts axes of the first input.
var withAxis = map[string]bool{
	"ArgMax": true, "ArgMin": true, "Concat": true, "Flatten": true, "Gather": true, "GatherElements": true,
	"Hardmax": true, "LayerNormalization": true, "LogSoftmax": true, "LpNormalization": true, "ScatterElements": true,
	"Softmax": true, "Split": true, "TopK": true,
}

// positiveAxis counts an axis attribute from the front.
func (e *editor) positiveAxis(n *onnx.Node) {
	axis := onnx.AttrInt(n, "axis", 0)
	rank := e.rank(input(n, 0))
	if withAxis[n.GetOpType()] && axis < 0 && axis+int64(rank) >= 0 && rank > 0 {
		onnx.SetAttr(n, onnx.Int("axis", axis+int64(rank)))
	}
}

// optionalOutputs lists the operators whose outputs after the first are left out where nothing reads them.
var optionalOutputs = map[string]bool{"Dropout": true, "MaxPool": true, "LayerNormalization": true, "LSTM": true, "GRU": true, "RNN": true}

// trim cuts trailing inputs that are absent and trailing outputs that nobody reads.
func (e *editor) trim(n *onnx.Node) {
	for len(n.Input) > 0 && n.Input[len(n.Input)-1] == "" {
		n.Input = n.Input[:len(n.Input)-1]
	}
	for last := len(n.Output) - 1; last > 0 && e.unread(n.Output[last]); last-- {
		if n.Output[last] != "" && !optionalOutputs[n.GetOpType()] {
			break
		}
		delete(e.producer, n.Output[last])
		n.Output = n.Output[:last]
	}
}
