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

// axesInput is the axes of Squeeze and Unsqueeze: an attribute before opset 13, an input from it on.
func (c *call) axesInput() (axes []int64, present, ok bool) {
	if c.opset < 13 {
		return c.list("axes", -1)
	}
	return c.list("axes", 1)
}

func squeeze(c *call) ([]Value, error) {
	x := c.in(0)
	axes, present, ok := c.axesInput()
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	if !ok {
		if n, known := c.sizes(1); known && len(n) <= len(x.Dims) {
			return tensorOf(x.DType, unknowns(len(x.Dims)-len(n))), nil
		}
		return typeOnly(x.DType), nil
	}
	if !present {
		return c.squeezeAll(x), nil
	}
	at, err := c.normals(axes, len(x.Dims))
	if err != nil {
		return nil, err
	}
	for _, a := range at {
		if d := x.Dims[a]; d.Known() && d.Size != 1 {
			return nil, c.mismatch("axis %d of %s is not 1", a, c.show(0))
		}
	}
	v := tensor(x.DType, reduced(x.Dims, at, false))
	v.Ints = x.Ints
	return []Value{v}, nil
}

// squeezeAll drops every axis of size 1; the rank is unknown where a size is.
func (c *call) squeezeAll(x Value) []Value {
	var ones []int
	for i, d := range x.Dims {
		if !d.Known() {
			return typeOnly(x.DType)
		}
		if d.Is(1) {
			ones = append(ones, i)
		}
	}
	v := tensor(x.DType, reduced(x.Dims, ones, false))
	v.Ints = x.Ints
	return []Value{v}
}

// unsqueeze: the axes count in the output.
func unsqueeze(c *call) ([]Value, error) {
	x := c.in(0)
	axes, _, ok := c.axesInput()
	if !x.HasRank {
		return typeOnly(x.DType), nil
	}
	if !ok {
		if n, known := c.sizes(1); known {
			return tensorOf(x.DType, unknowns(len(x.Dims)+len(n))), nil
		}
		return typeOnly(x.DType), nil
	}
	rank := len(x.Dims) + len(axes)
	at, err := c.normals(axes, rank)
	if err != nil {
		return nil, err
	}
	dims := make([]Dim, rank)
	for _, a := range at {
		dims[a] = num(1)
	}
	next := 0
	for i := range dims {
		if dims[i] == (Dim{}) {
			dims[i] = x.Dims[next]
			next++
		}
	}
	v := tensor(x.DType, dims)
	v.Ints = x.Ints // Infer drops them where the rank is above 1
	return []Value{v}, nil
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

// expand broadcasts both ways, so a target may have ones.
func expand(c *call) ([]Value, error) {
	x := c.in(0)
	target, ok := c.sizes(1)
	if !ok || !x.HasRank {
		return typeOnly(x.DType), nil
	}
	dims, err := c.broadcastTo(x.Dims, target)
	if err != nil {
		return nil, err
	}
	v := tensor(x.DType, dims)
	v.Ints = zipInts(dims, []Value{x}, func(e []Dim) Dim { return e[0] })
	return []Value{v}, nil
}

// tile repeats each axis. Before opset 6 it had other inputs.
func tile(c *call) ([]Value, error) {
	x := c.in(0)
	repeats, ok := c.sizes(1)
	switch {
	case !x.HasRank:
		return typeOnly(x.DType), nil
	case c.opset < 6 || !ok:
		return tensorOf(x.DType, unknowns(len(x.Dims))), nil
	case len(repeats) != len(x.Dims):
		return nil, c.mismatch("%d repeats for %s", len(repeats), c.show(0))
	}
	dims := make([]Dim, len(repeats))
	for i, r := range repeats {
		dims[i] = mul(x.Dims[i], r)
	}
	return tensorOf(x.DType, dims), nil
}

func depthToSpace(c *call) ([]Value, error) {
	return c.blocks(func(channels, size, b Dim) (Dim, Dim, bool) {
		depth, ok := divExact(channels, mul(b, b))
		return depth, mul(size, b), ok
	})
}

func spaceToDepth(c *call) ([]Value, error) {
	return c.blocks(func(channels, size, b Dim) (Dim, Dim, bool) {
		small, ok := divExact(size, b)
		return mul(channels, mul(b, b)), small, ok
	})
}

// blocks moves square blocks between the channels and the two spatial axes. f computes the new channels and
// one new size, and says whether they are whole numbers.
func (c *call) blocks(f func(channels, size, b Dim) (Dim, Dim, bool)) ([]Value, error) {
	x, b := c.in(0), num(c.attr("blocksize", 0))
	if known, err := c.wantRank(0, 4); !known || err != nil {
		return typeOnly(x.DType), err
	}
	if b.Size < 1 || b.Size > maxSize {
		return nil, c.mismatch("blocksize %d", b.Size)
	}
	dims := clone(x.Dims)
	for i := 2; i < 4; i++ {
		channels, size, ok := f(x.Dims[1], x.Dims[i], b)
		if !ok && x.Dims[1].Known() && x.Dims[i].Known() {
			return nil, c.mismatch("blocksize %d does not divide %s", b.Size, c.show(0))
		}
		dims[1], dims[i] = channels, size
	}
	return tensorOf(x.DType, dims), nil
}
