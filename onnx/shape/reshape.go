package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// reshape: an entry 0 copies the input's size (unless allowzero), one -1 takes what is left.
func reshape(c *call) ([]Value, error) {
	x := c.in(0)
	target, ok := c.sizes(1)
	if c.opset < 5 {
		target, ok = nums(onnx.AttrInts(c.node, "shape")...), true
	}
	if !ok {
		return typeOnly(x.DType), nil
	}
	dims, rest, err := c.reshapeTarget(x, target)
	if err != nil {
		return nil, err
	}
	if x.HasRank {
		if rest >= 0 {
			dims[rest], err = c.leftOver(x, dims, rest)
		} else {
			err = c.sameCount(x, dims)
		}
		if err != nil {
			return nil, err
		}
	}
	v := tensor(x.DType, dims)
	if len(dims) <= 1 {
		v.Ints = x.Ints
	}
	return []Value{v}, nil
}

// reshapeTarget resolves the entries 0 and finds the place of -1, -1 where there is none.
func (c *call) reshapeTarget(x Value, target []Dim) (dims []Dim, rest int, err error) {
	rest = -1
	dims = clone(target)
	for i, d := range target {
		switch {
		case d.opaque():
			dims[i] = unknown
		case d.Is(0) && c.attr("allowzero", 0) == 0:
			dims[i] = unknown
			if x.HasRank && i >= len(x.Dims) {
				return nil, 0, c.mismatch("entry %d of the target %s copies an axis that %s lacks", i, format(target), c.show(0))
			}
			if x.HasRank {
				dims[i] = x.Dims[i]
			}
		case d.Is(-1) && rest >= 0:
			return nil, 0, c.mismatch("the target %s has more than one -1", format(target))
		case d.Is(-1):
			dims[i], rest = unknown, i
		case d.Known() && d.Size < 0:
			return nil, 0, c.mismatch("bad target %s", format(target))
		}
	}
	return dims, rest, nil
}

// leftOver is what -1 stands for: the number of elements divided by the other entries.
func (c *call) leftOver(x Value, dims []Dim, rest int) (Dim, error) {
	others := cat(dims[:rest], dims[rest+1:])
	total, by := prod(x.Dims), prod(others)
	if q, ok := divExact(total, by); ok {
		return q, nil
	}
	if total.Known() && by.Known() && by.Size != 0 {
		return unknown, c.mismatch("%s does not divide into %s", c.show(0), format(others))
	}
	return unknown, nil
}

func (c *call) sameCount(x Value, dims []Dim) error {
	a, b := prod(x.Dims), prod(dims)
	if a.Known() && b.Known() && a != b {
		return c.mismatch("%s has %v elements, the target %s has %v", c.show(0), a, format(dims), b)
	}
	return nil
}

// flatten makes a matrix: the axes before axis, and those from it on.
func flatten(c *call) ([]Value, error) {
	x := c.in(0)
	if !x.HasRank {
		return tensorOf(x.DType, unknowns(2)), nil
	}
	axis, rank := c.attr("axis", 1), int64(len(x.Dims))
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis > rank { // unlike elsewhere, the rank itself is allowed
		return nil, c.mismatch("axis %d of %s", axis, c.show(0))
	}
	return tensorOf(x.DType, []Dim{prod(x.Dims[:axis]), prod(x.Dims[axis:])}), nil
}

func transpose(c *call) ([]Value, error) {
	x := c.in(0)
	perm := onnx.AttrInts(c.node, "perm")
	if !x.HasRank {
		if len(perm) > 0 && len(perm) <= maxRank {
			return tensorOf(x.DType, unknowns(len(perm))), nil
		}
		return typeOnly(x.DType), nil
	}
	if perm == nil {
		perm = upTo(len(x.Dims))
		for i := range perm {
			perm[i] = int64(len(perm) - 1 - i)
		}
	}
	at, err := c.normals(perm, len(x.Dims))
	if err != nil {
		return nil, err
	}
	if len(at) != len(x.Dims) {
		return nil, c.mismatch("perm %v for %s", perm, c.show(0))
	}
	dims := make([]Dim, len(at))
	for i, a := range at {
		dims[i] = x.Dims[a]
	}
	return tensorOf(x.DType, dims), nil
}
