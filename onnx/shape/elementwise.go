package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// passThrough is the rule of everything whose first output has the type and dims of its first input.
func passThrough(c *call) ([]Value, error) {
	v := c.in(0)
	v.Ints = nil
	return []Value{v}, nil
}

// identity also keeps the contents.
func identity(c *call) ([]Value, error) { return []Value{c.in(0)}, nil }

// predicate is elementwise with a bool result.
func predicate(c *call) ([]Value, error) {
	v := c.in(0)
	return []Value{{DType: onnx.Bool, Dims: v.Dims, HasRank: v.HasRank}}, nil
}

// not inverts tracked conditions.
func not(c *call) ([]Value, error) {
	v := c.in(0)
	if ints, ok := numbers(v.Ints); ok && v.Ints != nil {
		v.Ints = clone(v.Ints)
		for i, x := range ints {
			v.Ints[i] = truth(x == 0)
		}
		return []Value{v}, nil
	}
	return passThrough(c)
}

func cast(c *call) ([]Value, error) {
	return castTo(c.in(0), onnx.DType(c.attr("to", 0))), nil
}

func castLike(c *call) ([]Value, error) { return castTo(c.in(0), c.in(1).DType), nil }

// castTo keeps integer contents among the integer types only.
func castTo(v Value, to onnx.DType) []Value {
	if to != onnx.Int64 && to != onnx.Int32 {
		v.Ints = nil
	}
	v.DType = to
	return []Value{v}
}

// dropout has a mask as its second output.
func dropout(c *call) ([]Value, error) {
	v := c.in(0)
	return []Value{v, {DType: onnx.Bool, Dims: v.Dims, HasRank: v.HasRank}}, nil
}

// broadcast is numpy's rule (ONNX: docs/Broadcasting.md, multidirectional) over all inputs.
func broadcast(c *call) ([]Value, error) {
	dims, ok, err := c.broadcastAll(len(c.node.Input))
	if err != nil || !ok {
		return typeOnly(c.in(0).DType), err
	}
	return tensorOf(c.in(0).DType, dims), nil
}

// broadcastAll is the common shape of the first n inputs; ok is false where one has no rank.
func (c *call) broadcastAll(n int) (dims []Dim, ok bool, err error) {
	dims = []Dim{}
	for slot := range n {
		v := c.in(slot)
		if !v.HasRank {
			return nil, false, nil
		}
		if dims, err = c.broadcastTo(dims, v.Dims); err != nil {
			return nil, false, err
		}
	}
	return dims, true, nil
}

// broadcastTo aligns two shapes on the right.
func (c *call) broadcastTo(a, b []Dim) ([]Dim, error) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := clone(a)
	for i, d := range b {
		at := len(a) - len(b) + i
		r, ok := stretch(a[at], d)
		if !ok {
			return nil, c.mismatch("%s and %s cannot be broadcast", format(a), format(b))
		}
		out[at] = r
	}
	return out, nil
}

// stretch is one axis of a broadcast.
func stretch(a, b Dim) (Dim, bool) {
	switch {
	case a.Is(1):
		return b, true
	case b.Is(1), a == b && !anonymous(a):
		return a, true
	case a.Known() && b.Known():
		return unknown, false
	case a.Known():
		return a, true // b is a or 1
	case b.Known():
		return b, true
	}
	return unknown, true // either may be 1
}

// binary is arithmetic on two tensors. Before opset 7 the second one is broadcast to the first by attributes.
func binary(c *call) ([]Value, error) {
	if c.opset < 7 {
		return passThrough(c)
	}
	return broadcast(c)
}

// binaryBool is binary with a bool result.
func binaryBool(c *call) ([]Value, error) {
	out, err := binary(c)
	out[0].DType = onnx.Bool
	return out, err
}

// oneWay is a broadcast of the second input to the first (unidirectional).
func oneWay(c *call) ([]Value, error) {
	a, b := c.in(0), c.in(1)
	if c.opset >= 9 && a.HasRank && b.HasRank {
		if err := c.fits(a.Dims, 1); err != nil {
			return nil, err
		}
	}
	return passThrough(c)
}

// fits refuses an input that cannot be broadcast to dims without these growing.
func (c *call) fits(dims []Dim, slot int) error {
	b := c.in(slot).Dims
	ok := len(b) <= len(dims)
	for i := 0; ok && i < len(b); i++ {
		x, y := dims[len(dims)-len(b)+i], b[i]
		ok = !x.Known() || !y.Known() || y.Size == 1 || x == y
	}
	if !ok {
		return c.mismatch("%s cannot be broadcast to %s", c.show(slot), format(dims))
	}
	return nil
}

// where broadcasts all three inputs and chooses among tracked contents.
func where(c *call) ([]Value, error) {
	dtype := c.in(1).DType
	dims, ok, err := c.broadcastAll(3)
	if err != nil || !ok {
		return typeOnly(dtype), err
	}
	v := tensor(dtype, dims)
	v.Ints = zipInts(dims, []Value{c.in(0), c.in(1), c.in(2)}, func(x []Dim) Dim {
		switch {
		case x[1] == x[2] || x[0].Known() && x[0].Size != 0:
			return x[1]
		case x[0].Known():
			return x[2]
		}
		return unknown
	})
	return []Value{v}, nil
}
