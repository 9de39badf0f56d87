package gorgonnx

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// allFloat refuses tensors that are not float32.
func allFloat(in ...*onnx.Tensor) error {
	for _, t := range in {
		if t.DType != onnx.Float {
			return unsupported("this engine computes with float32, not with %v", t.DType)
		}
	}
	return nil
}

// elementwise runs an operator on tensors of one shape, as vectors of at least two elements: Gorgonia
// takes a single element for a scalar, which some operators refuse.
func elementwise(operator string, attrs []*onnx.Attribute, in ...*onnx.Tensor) (*onnx.Tensor, error) {
	n := int64(in[0].Len())
	if n == 0 {
		return in[0], nil
	}
	vectors := make([]*onnx.Tensor, len(in))
	for i, t := range in {
		if vectors[i] = withDims(t, n); n == 1 {
			vectors[i] = take(vectors[i], 0, []int64{0, 0})
		}
	}
	y, err := compute(operator, attrs, vectors...)
	if err == nil && n == 1 {
		y = take(y, 0, []int64{0})
	}
	if y, err = shaped(y, err, n); err != nil {
		return nil, err
	}
	return withDims(y, in[0].Dims...), nil
}

func unary(c *call) (*onnx.Tensor, error) {
	return elementwise(c.node.GetOpType(), c.node.GetAttribute(), c.in[0])
}

func binary(c *call) (*onnx.Tensor, error) { return fold(c.node.GetOpType(), c.in) }

func sum(c *call) (*onnx.Tensor, error) { return fold("Add", c.in) }

// fold runs a binary operator on two or more tensors from the left. Tensors are broadcast here: onnx-go
// guesses which axis a vector belongs to by its length.
func fold(operator string, in []*onnx.Tensor) (*onnx.Tensor, error) {
	y := in[0]
	for _, t := range in[1:] {
		dims, err := broadcast(y.Dims, t.Dims)
		if err != nil {
			return nil, err
		}
		if y, err = elementwise(operator, nil, expand(y, dims), expand(t, dims)); err != nil {
			return nil, err
		}
	}
	return y, nil
}

// clip is max(x, min) and min(x, max), with finite bounds: onnx-go selects by multiplying with 0 and 1.
func clip(c *call) (*onnx.Tensor, error) {
	y := c.in[0]
	for i, bound := range []struct{ attr, operator string }{{"min", "Max"}, {"max", "Min"}} {
		limit := c.input(i + 1)
		if a := onnx.Attr(c.node, bound.attr); a != nil {
			limit = onnx.FromFloat32([]float32{a.GetF()})
		}
		if limit == nil {
			continue
		}
		v, err := limit.Float64s()
		if err != nil || len(v) != 1 || math.IsInf(v[0], 0) || math.IsNaN(v[0]) {
			return nil, unsupported("this engine does not have Clip with the bounds %v", v)
		}
		if y, err = fold(bound.operator, []*onnx.Tensor{y, limit}); err != nil {
			return nil, err
		}
	}
	return y, nil
}

// gemm is α·A·B + β·C. C is broadcast to a tensor of its own, since onnx-go writes the result into it.
func gemm(c *call) (*onnx.Tensor, error) {
	a, b, bias := c.in[0], c.in[1], c.input(2)
	if len(a.Dims) != 2 || len(b.Dims) != 2 {
		return nil, fmt.Errorf("Gemm of shapes %v and %v", a.Dims, b.Dims)
	}
	rows, inner, innerB, columns := a.Dims[0], a.Dims[1], b.Dims[0], b.Dims[1]
	if onnx.AttrInt(c.node, "transA", 0) != 0 {
		rows, inner = inner, rows
	}
	if onnx.AttrInt(c.node, "transB", 0) != 0 {
		innerB, columns = columns, innerB
	}
	if bias == nil {
		bias = onnx.FromFloat32([]float32{0})
	}
	dims := []int64{rows, columns}
	if fit, err := broadcast(bias.Dims, dims); err != nil || inner != innerB || !slices.Equal(fit, dims) {
		return nil, fmt.Errorf("Gemm of shapes %v, %v and %v", a.Dims, b.Dims, bias.Dims)
	}
	y, err := compute("Gemm", c.node.GetAttribute(), a, b, expand(bias, dims))
	return shaped(y, err, dims...)
}

// matMul multiplies a stack of matrices by one matrix, as one product of all rows.
func matMul(c *call) (*onnx.Tensor, error) {
	a, b := c.in[0], c.in[1]
	last := len(a.Dims) - 1
	if last < 1 || len(b.Dims) != 2 {
		return nil, unsupported("this engine does not multiply the shapes %v and %v", a.Dims, b.Dims)
	}
	if a.Dims[last] != b.Dims[0] {
		return nil, fmt.Errorf("MatMul of shapes %v and %v", a.Dims, b.Dims)
	}
	rows := count(a.Dims[:last])
	y, err := compute("MatMul", nil, withDims(a, rows, a.Dims[last]), b)
	if y, err = shaped(y, err, rows, b.Dims[1]); err != nil {
		return nil, err
	}
	return withDims(y, append(slices.Clone(a.Dims[:last]), b.Dims[1])...), nil
}

func refuseTraining(n *onnx.Node) string {
	switch {
	case onnx.AttrInt(n, "training_mode", 0) != 0:
		return "training_mode"
	case onnx.AttrInt(n, "spatial", 1) != 1:
		return "statistics for each position (spatial = 0)"
	}
	return ""
}

// batchNorm is scale·(x − mean)/√(variance + ε) + bias along axis 1.
func batchNorm(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	if len(x.Dims) < 2 {
		return nil, fmt.Errorf("BatchNormalization of shape %v", x.Dims)
	}
	for _, p := range c.in[1:5] {
		if !slices.Equal(p.Dims, x.Dims[1:2]) {
			return nil, fmt.Errorf("BatchNormalization of shape %v with a parameter of shape %v", x.Dims, p.Dims)
		}
	}
	var attrs []*onnx.Attribute
	if e := onnx.Attr(c.node, "epsilon"); e != nil {
		attrs = append(attrs, e)
	}
	image := []int64{x.Dims[0], x.Dims[1], count(x.Dims[2:]), 1}
	y, err := compute("BatchNormalization", attrs, append([]*onnx.Tensor{withDims(x, image...)}, c.in[1:5]...)...)
	if y, err = shaped(y, err, image...); err != nil {
		return nil, err
	}
	return withDims(y, x.Dims...), nil
}

// softmax runs over the rows of a matrix. onnx-go has the meaning of opset < 13, which flattens all axes
// from axis on into the row; from opset 13 on only one axis counts, so others than the last are refused.
func softmax(c *call) (*onnx.Tensor, error) {
	x := c.in[0]
	def := int64(-1)
	if c.opset < 13 {
		def = 1
	}
	axis, err := c.axis(def, len(x.Dims), c.opset < 13)
	if err != nil {
		return nil, err
	}
	if c.opset >= 13 && axis != len(x.Dims)-1 {
		return nil, unsupported("this engine does not have Softmax of opset %d over axis %d of the shape %v", c.opset, axis, x.Dims)
	}
	rows, columns := count(x.Dims[:axis]), count(x.Dims[axis:])
	y, err := compute("Softmax", []*onnx.Attribute{onnx.Int("axis", 1)}, withDims(x, rows, columns))
	if y, err = shaped(y, err, rows, columns); err != nil {
		return nil, err
	}
	return withDims(y, x.Dims...), nil
}
