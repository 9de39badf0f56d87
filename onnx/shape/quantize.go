package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// quantizeLinear has the type of its zero point, uint8 without one.
func quantizeLinear(c *call) ([]Value, error) {
	dtype := c.in(2).DType
	if dtype == onnx.Undefined {
		dtype = onnx.DType(c.attr("output_dtype", 0))
	}
	if dtype == onnx.Undefined {
		dtype = onnx.Uint8
	}
	v := c.in(0)
	return []Value{{DType: dtype, Dims: v.Dims, HasRank: v.HasRank}}, nil
}

// dequantizeLinear has the type of its scale.
func dequantizeLinear(c *call) ([]Value, error) {
	v := c.in(0)
	return []Value{{DType: c.in(1).DType, Dims: v.Dims, HasRank: v.HasRank}}, nil
}

// dynamicQuantizeLinear also computes a scale and a zero point.
func dynamicQuantizeLinear(c *call) ([]Value, error) {
	v := c.in(0)
	return []Value{
		{DType: onnx.Uint8, Dims: v.Dims, HasRank: v.HasRank},
		tensor(onnx.Float, nil), tensor(onnx.Uint8, nil),
	}, nil
}
