package shape

import (
	"math"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// tensorValue describes a constant tensor.
func tensorValue(p *onnx.TensorProto) (Value, error) {
	dims := p.GetDims()
	v := Value{DType: onnx.DType(p.GetDataType()), HasRank: len(dims) <= maxRank}
	if !v.HasRank {
		return v, nil
	}
	for _, d := range dims {
		if d < 0 {
			return v, fault.New(fault.Model, "tensor_size", "negative dimension in %v", dims).AtValue(p.GetName())
		}
	}
	v.Dims = nums(dims...)
	small := len(dims) == 0 || len(dims) == 1 && dims[0] <= maxInts
	if !small || !v.DType.IsInt() && v.DType != onnx.Bool {
		return v, nil
	}
	if t, err := onnx.TensorOf(p); err == nil {
		if ints, err := t.Int64s(); err == nil {
			v.Ints = nums(ints...)
		}
	}
	return v, nil
}

// constant has its value in one of several attributes.
func constant(c *call) ([]Value, error) {
	for _, a := range c.node.GetAttribute() {
		switch a.GetName() {
		case "value":
			v, err := tensorValue(a.GetT())
			return []Value{v}, err
		case "value_int":
			v := tensor(onnx.Int64, nil)
			v.Ints = nums(a.GetI())
			return []Value{v}, nil
		case "value_ints":
			v := tensor(onnx.Int64, nums(int64(len(a.GetInts()))))
			if len(a.GetInts()) <= maxInts {
				v.Ints = nums(a.GetInts()...)
			}
			return []Value{v}, nil
		case "value_float":
			return tensorOf(onnx.Float, nil), nil
		case "value_floats":
			return tensorOf(onnx.Float, nums(int64(len(a.GetFloats())))), nil
		case "value_string":
			return tensorOf(onnx.String, nil), nil
		case "value_strings":
			return tensorOf(onnx.String, nums(int64(len(a.GetStrings())))), nil
		case "sparse_value":
			s := a.GetSparseTensor()
			return tensorOf(onnx.DType(s.GetValues().GetDataType()), nums(s.GetDims()...)), nil
		}
	}
	return nil, c.mismatch("no value")
}

// constantOfShape repeats one value, 0 of float32 by default.
func constantOfShape(c *call) ([]Value, error) {
	v := Value{DType: onnx.Float}
	var fill []Dim
	if t := onnx.AttrTensor(c.node, "value"); t != nil {
		one, err := tensorValue(t)
		if err != nil {
			return nil, err
		}
		v.DType, fill = one.DType, one.Ints
	}
	dims, ok := c.sizes(0)
	if !ok {
		return []Value{v}, nil
	}
	v = tensor(v.DType, clone(dims))
	for i, d := range v.Dims {
		if d.opaque() {
			v.Dims[i] = unknown
		}
	}
	if len(fill) == 1 {
		v.Ints = zipInts(v.Dims, []Value{{Ints: fill}}, func(x []Dim) Dim { return x[0] })
	}
	return []Value{v}, nil
}

// shapeOf is Shape, with start and end from opset 15 on.
func shapeOf(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return tensorOf(onnx.Int64, unknowns(1)), nil
	}
	n := int64(len(x.Dims))
	s := cut{start: num(c.attr("start", 0)), end: num(c.attr("end", n)), step: num(1)}
	from, to := s.clamp(n)
	ints := x.Dims[from:max(from, to)]
	v := tensor(onnx.Int64, nums(int64(len(ints))))
	v.Ints = clone(ints)
	return []Value{v}, nil
}

// sizeOf is the number of elements.
func sizeOf(c *call) ([]Value, error) {
	v := tensor(onnx.Int64, nil)
	if x := c.in(0); x.HasRank {
		v.Ints = []Dim{prod(x.Dims)}
	}
	return []Value{v}, nil
}

// rangeOf is ⌈(limit − start)/delta⌉ numbers.
func rangeOf(c *call) ([]Value, error) {
	dtype := c.in(0).DType
	if dtype.IsFloat() {
		return tensorOf(dtype, []Dim{c.floatRange()}), nil
	}
	start, limit, delta := c.scalar(0), c.scalar(1), c.scalar(2)
	if start.Is(0) && delta.Is(1) && !limit.Known() && !limit.opaque() {
		return tensorOf(dtype, []Dim{limit}), nil
	}
	if !start.Known() || !limit.Known() || !delta.Known() {
		return tensorOf(dtype, unknowns(1)), nil
	}
	if delta.Is(0) {
		return nil, c.mismatch("delta 0")
	}
	from, to, by := start.Size, limit.Size, delta.Size
	if outside(from) || outside(to) || outside(by) {
		return tensorOf(dtype, unknowns(1)), nil
	}
	n := countUp(from, to, by)
	if by < 0 {
		n = countUp(-from, -to, -by)
	}
	v := tensor(dtype, nums(n))
	if n <= maxInts {
		v.Ints = []Dim{}
		for i := range n {
			v.Ints = append(v.Ints, num(from+i*by))
		}
	}
	return []Value{v}, nil
}

func outside(x int64) bool { return x > maxSize || x < -maxSize }

// floatRange is the length of a range of constants.
func (c *call) floatRange() Dim {
	var x [3]float64
	for slot := range x {
		f, ok := c.floats(slot)
		if !ok || len(f) != 1 {
			return unknown
		}
		x[slot] = f[0]
	}
	n := math.Ceil((x[1] - x[0]) / x[2])
	if !(math.Abs(n) <= maxSize) { // NaN too
		return unknown
	}
	return num(int64(max(n, 0)))
}

// randomOf has its dims in an attribute.
func randomOf(c *call) ([]Value, error) {
	dtype := onnx.DType(c.attr("dtype", int64(onnx.Float)))
	return tensorOf(dtype, nums(onnx.AttrInts(c.node, "shape")...)), nil
}

// likeInput has the dims of its input and a type of its own choice.
func likeInput(c *call) ([]Value, error) {
	v := c.in(0)
	v.Ints = nil
	v.DType = onnx.DType(c.attr("dtype", int64(v.DType)))
	return []Value{v}, nil
}
