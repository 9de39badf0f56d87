package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// unpack divides packed projections (queries, keys and values in one matrix) where exporters divide them by
// an axis of their own: Reshape(x, […, 3, h, d]) → Transpose → Gather 0, 1, 2 (or Split and Squeeze) becomes,
// for each part, Slice(x) → Reshape(…, h, d) → Transpose. Features then are cut by Slice like everywhere else.
func unpack(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if p := e.packedAt(n); p != nil {
			e.divide(p)
			r.did("packed projection divided")
		}
	}
	e.close()
	return nil
}

// packed is a Reshape that opens an axis of parts, and what reads it.
type packed struct {
	reshape *onnx.Node
	target  []int64          // of the Reshape
	perm    []int64          // of the Transpose behind
	at      int              // the axis of parts in the Reshape's result
	size    int64            // features of a part
	picks   map[int64]string // part → the value that it becomes
	gone    []*onnx.Node     // nodes between, and those that pick the parts
}

// packedAt recognises the pattern, nil where n does not begin it.
func (e *editor) packedAt(n *onnx.Node) *packed {
	if !isOp(n, "Reshape") || input(n, 0) == "" || e.opset() < 10 || !e.soleReader(n.Output[0]) {
		return nil
	}
	target, ok := e.ints(input(n, 1))
	rank := e.rank(n.Input[0])
	if !ok || rank < 2 || len(target) < rank+1 || onnx.AttrInt(n, "allowzero", 0) != 0 && slices.Contains(target, 0) {
		return nil
	}
	p := &packed{reshape: n, target: target, at: rank - 1, size: 1, picks: map[int64]string{}}
	for _, d := range target[p.at+1:] {
		if d <= 0 {
			return nil
		}
		p.size *= d
	}
	if d := e.value(n.Input[0]).Dims[rank-1]; target[p.at] < 2 || target[p.at] > 4 || !d.Is(target[p.at]*p.size) {
		return nil
	}
	value, ok := e.transposed(p)
	if !ok || e.outputs[value] {
		return nil
	}
	axis := int64(slices.Index(p.perm, int64(p.at)))
	for _, u := range e.uses[value] {
		if !e.pick(p, u.Node, axis) {
			return nil
		}
	}
	return p
}

// transposed follows the Reshape through a Transpose, which may stand between an Unsqueeze and a Squeeze of the
// same axis, and returns the value behind.
func (e *editor) transposed(p *packed) (string, bool) {
	next := func(value string) *onnx.Node {
		if !e.soleReader(value) {
			return nil
		}
		return e.uses[value][0].Node
	}
	n := next(p.reshape.Output[0])
	unit := int64(-1)
	if isOp(n, "Unsqueeze") {
		axes, ok := listOf(e, n, "axes", 1)
		if !ok || len(axes) != 1 || axes[0] < 0 {
			return "", false
		}
		unit = axes[0]
		p.gone = append(p.gone, n)
		n = next(n.Output[0])
	}
	perm := slices.Clone(onnx.AttrInts(n, "perm"))
	if !isOp(n, "Transpose") || len(perm) == 0 {
		return "", false
	}
	p.gone = append(p.gone, n)
	value := n.Output[0]
	if unit >= 0 {
		n = next(value)
		axes, ok := []int64(nil), false
		if isOp(n, "Squeeze") {
			axes, ok = listOf(e, n, "axes", 1)
		}
		if !ok || len(axes) != 1 {
			return "", false
		}
		if axes[0] < 0 {
			axes = []int64{axes[0] + int64(len(perm))}
		}
		if at := slices.Index(perm, unit); int64(at) != axes[0] {
			return "", false
		}
		perm = dropAxis(perm, unit)
		p.gone = append(p.gone, n)
		value = n.Output[0]
	}
	p.perm = perm
	return value, len(perm) == len(p.target)
}

// dropAxis drops an axis from a permutation.
func dropAxis(perm []int64, axis int64) []int64 {
	var out []int64
	for _, a := range perm {
		switch {
		case a > axis:
			out = append(out, a-1)
		case a < axis:
			out = append(out, a)
		}
	}
	return out
}

// pick notes the parts that a reader of the transposed value takes.
func (e *editor) pick(p *packed, n *onnx.Node, axis int64) bool {
	switch {
	case isOp(n, "Gather") && onnx.AttrInt(n, "axis", 0) == axis:
		index, ok := e.constant(input(n, 1))
		if !ok || len(index.Dims) != 0 {
			return false
		}
		at, err := index.Int64s()
		if err != nil || p.picks[at[0]] != "" || at[0] < 0 || at[0] >= p.target[p.at] || e.outputs[n.Output[0]] {
			return false
		}
		p.picks[at[0]] = n.Output[0]
		p.gone = append(p.gone, n)
		return true
	case isOp(n, "Split") && onnx.AttrInt(n, "axis", 0) == axis && int64(len(n.Output)) == p.target[p.at]:
		p.gone = append(p.gone, n)
		for k, out := range n.Output {
			if !e.soleReader(out) || !isOp(e.uses[out][0].Node, "Squeeze") {
				return false
			}
			squeeze := e.uses[out][0].Node
			axes, ok := listOf(e, squeeze, "axes", 1)
			if !ok || !slices.Equal(axes, []int64{axis}) || e.outputs[squeeze.Output[0]] {
				return false
			}
			p.picks[int64(k)] = squeeze.Output[0]
			p.gone = append(p.gone, squeeze)
		}
		return true
	}
	return false
}

// divide puts a chain of its own in the place of every part.
func (e *editor) divide(p *packed) {
	target := slices.Delete(slices.Clone(p.target), p.at, p.at+1)
	perm := dropAxis(p.perm, int64(p.at))
	x := p.reshape.Input[0]
	var news []*onnx.Node
	for part := range p.target[p.at] {
		out, wanted := p.picks[part]
		if !wanted {
			continue
		}
		base := func(what string) string { return nameFor(p.reshape, what) }
		bound := func(v int64) string { return e.addConstant(base("bound"), onnx.FromInt64([]int64{v}, 1)) }
		cut, shaped := e.fresh(base("part")), e.fresh(base("heads"))
		news = append(news,
			onnx.NewNode("Slice", e.freshNode(base("part")),
				[]string{x, bound(part * p.size), bound((part + 1) * p.size), bound(int64(p.at))}, []string{cut}),
			onnx.NewNode("Reshape", e.freshNode(base("heads")),
				[]string{cut, e.addConstant(base("shape"), onnx.FromInt64(target, int64(len(target))))}, []string{shaped}),
			onnx.NewNode("Transpose", e.freshNode(base("order")), []string{shaped}, []string{out}, onnx.Ints("perm", perm...)))
	}
	for _, n := range p.gone {
		e.replace(n)
	}
	e.replace(p.reshape, news...)
}
