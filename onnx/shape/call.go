package shape

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// rule computes a node's outputs from its inputs, in the order of the node's outputs. Missing ones are
// unknown. A rule never changes the slices of its inputs.
type rule func(c *call) ([]Value, error)

// call is what a rule sees of the graph.
type call struct {
	inf   *inference
	node  *onnx.Node
	opset int64
}

// name is the value that an input slot reads, "" where it is absent.
func (c *call) name(slot int) string {
	if slot >= len(c.node.Input) {
		return ""
	}
	return c.node.Input[slot]
}

// has reports whether an input slot is connected.
func (c *call) has(slot int) bool { return c.name(slot) != "" }

// in is the value at an input slot, unknown where it is absent.
func (c *call) in(slot int) Value { return c.inf.shapes[c.name(slot)] }

// tensor is the constant at an input slot, nil where the value is computed.
func (c *call) tensor(slot int) *onnx.Tensor {
	p := c.inf.index.Constant(c.name(slot))
	if p == nil {
		return nil
	}
	t, err := onnx.TensorOf(p)
	if err != nil {
		return nil // a damaged tensor is for others to report
	}
	return t
}

// floats is the contents of a constant of any numeric type.
func (c *call) floats(slot int) ([]float64, bool) {
	t := c.tensor(slot)
	if t == nil {
		return nil, false
	}
	f, err := t.Float64s()
	return f, err == nil
}

// ints is the contents of an integer input, ok only where every entry is a number.
func (c *call) ints(slot int) ([]int64, bool) {
	if v := c.in(slot); v.Ints != nil {
		return numbers(v.Ints)
	}
	t := c.tensor(slot)
	if t == nil {
		return nil, false
	}
	out, err := t.Int64s()
	return out, err == nil
}

// scalar is the one entry of an integer input.
func (c *call) scalar(slot int) Dim {
	if v := c.in(slot).Ints; len(v) == 1 {
		return v[0]
	}
	return unknown
}

// sizes is the contents of an input that lists sizes, one for each dimension: unknowns where only their
// number is known, !ok where not even that is.
func (c *call) sizes(slot int) (dims []Dim, ok bool) {
	v := c.in(slot)
	if v.Ints != nil {
		return v.Ints, true
	}
	if len(v.Dims) == 1 && v.Dims[0].Known() && v.Dims[0].Size <= maxRank {
		return unknowns(int(v.Dims[0].Size)), true
	}
	return nil, false
}

// list is a list of integers that newer opsets pass as an input and older ones as an attribute. present says
// that it is given, ok that its contents are known.
func (c *call) list(attr string, slot int) (list []int64, present, ok bool) {
	if slot >= 0 && c.has(slot) {
		list, ok = c.ints(slot)
		return list, true, ok
	}
	a := onnx.Attr(c.node, attr)
	if a == nil {
		return nil, false, true
	}
	return a.GetInts(), true, true
}

func (c *call) attr(name string, def int64) int64 { return onnx.AttrInt(c.node, name, def) }

// axis is an axis attribute for a tensor of that rank, counted from the end where negative.
func (c *call) axis(def int64, rank int) (int, error) {
	return c.normal(c.attr("axis", def), rank)
}

func (c *call) normal(axis int64, rank int) (int, error) {
	a := axis
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		return 0, c.mismatch("axis %d of a tensor of rank %d", axis, rank)
	}
	return int(a), nil
}

// normals is normal for a list without repetitions.
func (c *call) normals(axes []int64, rank int) ([]int, error) {
	out := make([]int, len(axes))
	seen := map[int]bool{}
	for i, a := range axes {
		n, err := c.normal(a, rank)
		if err != nil {
			return nil, err
		}
		if seen[n] {
			return nil, c.mismatch("axis %d is named twice", a)
		}
		seen[n], out[i] = true, n
	}
	return out, nil
}

// mismatch is the error of a graph that contradicts itself.
func (c *call) mismatch(format string, args ...any) error {
	return fault.New(fault.Model, "shape_mismatch", c.node.GetOpType()+": "+format, args...)
}

// show is an input for messages: its name and dims.
func (c *call) show(slot int) string { return c.name(slot) + " " + format(c.in(slot).Dims) }

// wantRank refuses an input of another rank. known is false where the rank is unknown.
func (c *call) wantRank(slot, rank int) (known bool, err error) {
	v := c.in(slot)
	if v.HasRank && len(v.Dims) != rank {
		return false, c.mismatch("rank %d wanted, got %s", rank, c.show(slot))
	}
	return v.HasRank, nil
}

// same is the size of two axes that must agree.
func (c *call) same(a, b Dim, what string, slotA, slotB int) (Dim, error) {
	d, ok := agree(a, b)
	if !ok {
		return d, c.mismatch("%s: %v and %v differ in %s and %s", what, a, b, c.show(slotA), c.show(slotB))
	}
	return d, nil
}

// agree merges two statements about one size: a number says more than a symbol, a declared symbol more than
// a made-up one.
func agree(a, b Dim) (Dim, bool) {
	switch {
	case a.Known() && b.Known():
		return a, a == b
	case b.Known(), !a.Known() && a.madeUp():
		return b, true
	}
	return a, true
}

// tensorOf is the result of a rule with one output.
func tensorOf(dtype onnx.DType, dims []Dim) []Value { return []Value{tensor(dtype, dims)} }

func tensor(dtype onnx.DType, dims []Dim) Value {
	return Value{DType: dtype, Dims: dims, HasRank: true}
}

// typeOnly is the result of a rule that knows the element type only.
func typeOnly(dtype onnx.DType) []Value { return []Value{{DType: dtype}} }

// clone copies dims before they are changed.
func clone(dims []Dim) []Dim { return append([]Dim{}, dims...) }

// cat joins lists of dims into a new one.
func cat(lists ...[]Dim) []Dim {
	out := []Dim{}
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
