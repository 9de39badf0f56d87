package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// followers plan what becomes of a node that reads moved values: it is kept, with reordered constants, or replaced.
// They report whether it can do without the order of what it reads; if not, they plan nothing. All outputs but the
// first are unread.
var followers map[string]func(u *unshuffler, n *onnx.Node) bool

func init() {
	followers = map[string]func(*unshuffler, *onnx.Node) bool{
		"Conv": (*unshuffler).convolution, "ConvTranspose": (*unshuffler).convolution,
		"Gemm": (*unshuffler).product, "MatMul": (*unshuffler).product,
		"Concat": (*unshuffler).append, "Slice": (*unshuffler).slice, "Gather": (*unshuffler).gather,
		"Flatten": (*unshuffler).flatten, "Transpose": (*unshuffler).transpose, "Resize": (*unshuffler).resize,
	}
	for _, op := range []string{
		"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "PRelu", "Where",
		"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Mish", "Gelu", "Tanh",
		"Softplus", "Softsign", "Erf", "Clip", "Exp", "Log", "Sqrt", "Reciprocal", "Abs", "Neg", "Cast", "Identity",
		"Softmax", "LogSoftmax", // of reordered numbers: the reordered result, along whatever axis
	} {
		followers[op] = (*unshuffler).elementwise
	}
	for _, op := range []string{"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"} {
		followers[op] = (*unshuffler).reduce
	}
	for _, op := range []string{"MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalAveragePool"} {
		followers[op] = (*unshuffler).pool
	}
}

// elementwise: all operands are reordered alike, constants among them, or the same along the axis.
func (u *unshuffler) elementwise(n *onnx.Node) bool {
	out := u.common(n)
	rank := u.rank(n.Output[0])
	if out == nil || rank < 0 {
		return false
	}
	constants := map[int]*onnx.Tensor{}
	for slot, v := range n.GetInput() {
		if v == "" {
			continue
		}
		at := out.axis - rank + u.rank(v) // broadcasting aligns axes at the last
		if u.rank(v) < 0 || at >= u.rank(v) || u.moved[v] != nil && u.rank(v) != rank {
			return false
		}
		if u.moved[v] != nil || at < 0 || u.value(v).Dims[at].Is(1) {
			continue
		}
		t, ok := u.constant(v)
		if !ok || t.Dims[at] != int64(len(out.order)) || t.DType.Size() < 1 {
			return false
		}
		constants[slot] = take(t, at, inverse(out.order))
	}
	u.keep(n, out, constants)
	return true
}

// common is how all the moved values that a node reads are moved, nil where they are not moved alike.
func (u *unshuffler) common(n *onnx.Node) *moved {
	var out *moved
	for _, v := range n.GetInput() {
		switch m := u.moved[v]; {
		case m == nil:
		case out == nil:
			out = &moved{axis: m.axis, order: m.order, by: m.by}
		case out.axis != m.axis || !slices.Equal(out.order, m.order):
			return nil
		default:
			out.by = both(out.by, m.by)
		}
	}
	return out
}

// first is how the first input is moved; nil where another is too, or that one not along the axis.
func (u *unshuffler) first(n *onnx.Node, axis int) *moved {
	for _, v := range n.GetInput()[1:] {
		if u.moved[v] != nil {
			return nil
		}
	}
	if m := u.moved[n.Input[0]]; m != nil && m.axis == axis {
		return m
	}
	return nil
}

// pool works on each channel by itself.
func (u *unshuffler) pool(n *onnx.Node) bool {
	m := u.first(n, 1)
	if m != nil {
		u.keep(n, m, nil)
	}
	return m != nil
}

// resize works on each channel by itself where it leaves the axis as it is.
func (u *unshuffler) resize(n *onnx.Node) bool {
	m := u.moved[n.Input[0]]
	if m == nil || u.first(n, m.axis) == nil || onnx.AttrString(n, "coordinate_transformation_mode", "") == "tf_crop_and_resize" {
		return false
	}
	if v := u.value(n.Output[0]); !v.HasRank || len(v.Dims) <= m.axis || !v.Dims[m.axis].Is(int64(len(m.order))) {
		return false
	}
	u.keep(n, m, nil)
	return true
}

// reduce: along the axis, no order is left; along others, it stays.
func (u *unshuffler) reduce(n *onnx.Node) bool {
	m, rank := u.moved[n.Input[0]], u.rank(n.Input[0])
	axes, given, ok := u.list(n, "axes", 1)
	if m == nil || u.first(n, m.axis) == nil || !given || !ok || len(axes) == 0 {
		return false
	}
	out := &moved{axis: m.axis, order: m.order, by: m.by}
	for _, a := range axes {
		at, ok := normalAxis(a, rank)
		switch {
		case !ok:
			return false
		case at == m.axis:
			u.keep(n, nil, nil)
			return true
		case at < m.axis && onnx.AttrInt(n, "keepdims", 1) == 0:
			out.axis--
		}
	}
	u.keep(n, out, nil)
	return true
}

// convolution: dense filters take the reordering, depthwise ones pass it on.
func (u *unshuffler) convolution(n *onnx.Node) bool {
	m := u.first(n, 1)
	w, ok := u.constant(input(n, 1))
	if m == nil || !ok || len(w.Dims) < 3 || !w.DType.IsFloat() {
		return false
	}
	channels, in := int64(len(m.order)), 1
	if isOp(n, "ConvTranspose") {
		in = 0
	}
	switch group := onnx.AttrInt(n, "group", 1); {
	case group == 1 && w.Dims[in] == channels:
		u.keep(n, nil, map[int]*onnx.Tensor{1: take(w, in, inverse(m.order))})
		return true
	case group == channels && in == 1 && w.Dims[1] == 1 && w.Dims[0]%channels == 0:
		return u.depthwise(n, m, w)
	}
	return false
}

// depthwise: the outputs are reordered as the inputs are, and so are filters and biases.
func (u *unshuffler) depthwise(n *onnx.Node, m *moved, w *onnx.Tensor) bool {
	out := &moved{axis: 1, order: spread(m.order, w.Dims[0]/int64(len(m.order))), by: m.by}
	constants := map[int]*onnx.Tensor{1: take(w, 0, inverse(out.order))}
	if v := input(n, 2); v != "" {
		b, ok := u.constant(v)
		if !ok || len(b.Dims) != 1 || b.Dims[0] != w.Dims[0] || !b.DType.IsFloat() {
			return false
		}
		constants[2] = take(b, 0, inverse(out.order))
	}
	u.keep(n, out, constants)
	return true
}

// product: a matrix that is the second factor takes the reordering of the first one's last axis.
func (u *unshuffler) product(n *onnx.Node) bool {
	m := u.first(n, u.rank(n.Input[0])-1)
	w, ok := u.constant(input(n, 1))
	if m == nil || !ok || len(w.Dims) != 2 || !w.DType.IsFloat() || onnx.AttrInt(n, "transA", 0) != 0 {
		return false
	}
	in := int(onnx.AttrInt(n, "transB", 0))
	if in < 0 || in > 1 || w.Dims[in] != int64(len(m.order)) {
		return false
	}
	u.keep(n, nil, map[int]*onnx.Tensor{1: take(w, in, inverse(m.order))})
	return true
}

// append: along the axis, each input has an order of its own; along another one, they must have the same.
func (u *unshuffler) append(n *onnx.Node) bool {
	axis, ok := normalAxis(onnx.AttrInt(n, "axis", 1), u.rank(n.Output[0]))
	if !ok {
		return false
	}
	out := &moved{axis: axis}
	for _, v := range n.GetInput() {
		size, at := int64(-1), int64(len(out.order))
		if d := u.value(v); d.HasRank && axis < len(d.Dims) && d.Dims[axis].Known() && d.Dims[axis].Size <= maxShuffled {
			size = d.Dims[axis].Size
		}
		m := u.moved[v]
		switch {
		case m == nil && size >= 0:
			m = &moved{axis: axis, order: sequence(0, size)}
		case m == nil || m.axis != axis:
			return u.appendAcross(n, axis)
		}
		for _, k := range m.order {
			out.order = append(out.order, at+k)
		}
		out.by = both(out.by, m.by)
	}
	u.keep(n, out, nil)
	return true
}

// appendAcross: the inputs are appended along another axis than the one that is reordered.
func (u *unshuffler) appendAcross(n *onnx.Node, axis int) bool {
	out := u.common(n)
	if out == nil || out.axis == axis {
		return false
	}
	for _, v := range n.GetInput() {
		if u.moved[v] == nil {
			return false
		}
	}
	u.keep(n, out, nil)
	return true
}

// slice: along the axis it takes some positions, along others it changes nothing about them.
func (u *unshuffler) slice(n *onnx.Node) bool {
	m := u.moved[n.Input[0]]
	if m == nil || u.first(n, m.axis) == nil {
		return false
	}
	starts, ok1 := u.ints(input(n, 1))
	ends, ok2 := u.ints(input(n, 2))
	axes, steps := sequence(0, int64(len(starts))), repeat(1, len(starts))
	ok3, ok4 := true, true
	if v := input(n, 3); v != "" {
		axes, ok3 = u.ints(v)
	}
	if v := input(n, 4); v != "" {
		steps, ok4 = u.ints(v)
	}
	if !ok1 || !ok2 || !ok3 || !ok4 || len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return false
	}
	for i, a := range axes {
		at, ok := normalAxis(a, u.rank(n.Input[0]))
		if !ok || at == m.axis && (len(axes) > 1 || steps[i] == 0) {
			return false
		}
		if at == m.axis {
			return u.take(n, m, sliceIndices(int64(len(m.order)), starts[i], ends[i], steps[i]))
		}
	}
	u.keep(n, m, nil)
	return true
}

// gather takes positions along the axis, each at most once.
func (u *unshuffler) gather(n *onnx.Node) bool {
	axis, ok := normalAxis(onnx.AttrInt(n, "axis", 0), u.rank(n.Input[0]))
	m := u.first(n, axis)
	t, constant := u.constant(input(n, 1))
	if !ok || m == nil || !constant || len(t.Dims) != 1 {
		return false
	}
	indices, err := t.Int64s()
	if err != nil {
		return false
	}
	size, seen := int64(len(m.order)), map[int64]bool{}
	at := slices.Clone(indices)
	for i, k := range at {
		if k < 0 {
			at[i] += size
		}
		if at[i] < 0 || at[i] >= size || seen[at[i]] {
			return false
		}
		seen[at[i]] = true
	}
	return u.take(n, m, at)
}

// take plans what takes, in the place of n, the same positions in ascending order: a Slice where they are neighbours.
func (u *unshuffler) take(n *onnx.Node, m *moved, at []int64) bool {
	if len(at) == 0 {
		return false
	}
	picked := pick(m.order, at)
	sorted := slices.Sorted(slices.Values(picked))
	out := &moved{axis: m.axis, by: m.by}
	for _, k := range picked {
		rank, _ := slices.BinarySearch(sorted, k)
		out.order = append(out.order, int64(rank))
	}
	in, v, name := n.Input[0], n.Output[0], n.GetName()
	u.edits = append(u.edits, func() {
		bound := func(x ...int64) string { return u.addConstant(v+"_bound", onnx.FromInt64(x, int64(len(x)))) }
		u.now[v] = u.fresh(v + "_unshuffled")
		first, last := sorted[0], sorted[len(sorted)-1]
		if last-first+1 == int64(len(sorted)) {
			u.replace(n, onnx.NewNode("Slice", name, []string{u.now[in], bound(first), bound(last + 1), bound(int64(m.axis))}, []string{u.now[v]}))
			return
		}
		u.replace(n, onnx.NewNode("Gather", name, []string{u.now[in], bound(sorted...)}, []string{u.now[v]}, onnx.Int("axis", int64(m.axis))))
	})
	u.move(v, out)
	return true
}

// flatten joins the axis with all behind it.
func (u *unshuffler) flatten(n *onnx.Node) bool {
	m := u.first(n, 1)
	behind, ok := u.sizes(n.Input[0], 2)
	if m == nil || !ok || onnx.AttrInt(n, "axis", 1) != 1 || product(behind) < 1 || product(behind) > maxShuffled/int64(len(m.order)) {
		return false
	}
	u.keep(n, &moved{axis: 1, order: spread(m.order, product(behind)), by: m.by}, nil)
	return true
}

// transpose moves the axis.
func (u *unshuffler) transpose(n *onnx.Node) bool {
	m := u.moved[n.Input[0]]
	at := slices.Index(onnx.AttrInts(n, "perm"), int64(m.axis))
	if at < 0 {
		return false
	}
	u.keep(n, &moved{axis: at, order: m.order, by: m.by}, nil)
	return true
}
