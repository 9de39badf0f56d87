package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// unshuffle takes out channel shuffles: Reshape [N, g·k, …] → [N, g, k, …], Transpose of the two, Reshape back. A
// shuffle computes nothing, it only moves features; what follows can do without, each node on the features in
// their order before the shuffle, until weights read them, which are reordered instead. What takes some of the
// shuffled features (the halves of a ShuffleNet's units) takes the same ones, in ascending order: of each of the
// blocks that were shuffled, one piece.
//
// It is done for all of what follows a shuffle, or not at all: where something needs the shuffled order (an
// unknown operator, a grouped convolution), the shuffle stays. Outputs of the graph get their order by a Gather.
// What is done depends on the graph alone, so models that correspond still do.
func unshuffle(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	if u := e.findShuffles(); len(u.shuffles) > 0 && e.opset() >= 10 { // before, Slice has no inputs
		for !u.plan() {
		}
		u.apply(r)
	}
	e.close()
	return nil
}

// maxShuffled bounds the positions that are followed one by one.
const maxShuffled = 1 << 20

// unshuffler plans on a graph and then changes it.
type unshuffler struct {
	*editor
	shuffles map[*onnx.Node]*shuffle // by the last of their nodes
	kept     map[*shuffle]bool       // those that must stay

	moved map[string]*moved // values that will not be computed any more
	now   map[string]string // and what is instead
	edits []func()
}

// shuffle is a Reshape, a Transpose and a Reshape that reorder an axis: what comes out at position i was at order[i].
type shuffle struct {
	nodes [3]*onnx.Node
	axis  int
	order []int64
}

// moved says how to get at a value that is not computed any more: its position i along axis is position order[i]
// of what is computed instead.
type moved struct {
	axis  int
	order []int64
	by    []*shuffle // what order comes from
}

// findShuffles finds all of a graph.
func (e *editor) findShuffles() *unshuffler {
	u := &unshuffler{editor: e, shuffles: map[*onnx.Node]*shuffle{}, kept: map[*shuffle]bool{}}
	for n := range e.nodes {
		if s := e.shuffleAt(n); s != nil {
			u.shuffles[n] = s
		}
	}
	return u
}

// shuffleAt recognises a shuffle by its last node, nil where there is none.
func (e *editor) shuffleAt(last *onnx.Node) *shuffle {
	apart, turned := "", input(last, 0)
	turn := e.producer[turned]
	if isOp(turn, "Transpose") {
		apart = input(turn, 0)
	}
	first := e.producer[apart]
	if !isOp(last, "Reshape") || !isOp(first, "Reshape") || input(first, 0) == "" || first.Output[0] != apart || turn.Output[0] != turned {
		return nil
	}
	for _, v := range []string{apart, turned} {
		if !e.soleReader(v) || e.captured(v) {
			return nil
		}
	}
	whole, parts, perm := e.value(first.Input[0]), e.value(apart), onnx.AttrInts(turn, "perm")
	if !whole.HasRank || !parts.HasRank || !slices.Equal(whole.Dims, e.value(last.Output[0]).Dims) {
		return nil
	}
	axis := divided(whole.Dims, parts.Dims)
	if axis < 0 || len(perm) != len(parts.Dims) {
		return nil
	}
	swapped := sequence(0, int64(len(perm)))
	swapped[axis], swapped[axis+1] = swapped[axis+1], swapped[axis]
	if !slices.Equal(perm, swapped) {
		return nil
	}
	g, k := parts.Dims[axis].Size, parts.Dims[axis+1].Size
	s := &shuffle{nodes: [3]*onnx.Node{first, turn, last}, axis: axis}
	for c := range g * k {
		s.order = append(s.order, c%g*k+c/g)
	}
	return s
}

// divided is the axis that a Reshape divides in two, -1 where it does something else. What comes behind may be
// joined: the Reshape back must make the same of it.
func divided(whole, parts []shape.Dim) int {
	for axis, d := range whole {
		if axis+1 >= len(parts) {
			break
		}
		g, k := parts[axis], parts[axis+1]
		if d == g {
			continue
		}
		if d.Known() && g.Known() && k.Known() && g.Size > 1 && k.Size > 1 && d.Size <= maxShuffled && d.Size/g.Size == k.Size && d.Size%g.Size == 0 {
			return axis
		}
		break
	}
	return -1
}

// plan follows the shuffles through the graph. False where one of them has to stay that was thought to go:
// the plan must be made again.
func (u *unshuffler) plan() bool {
	u.moved, u.now, u.edits = map[string]*moved{}, map[string]string{}, nil
	inside := map[*onnx.Node]*shuffle{}
	for _, s := range u.shuffles {
		if !u.kept[s] {
			for _, n := range s.nodes {
				inside[n] = s
			}
		}
	}
	for _, n := range u.order {
		var needed []*shuffle
		switch s := inside[n]; {
		case s == nil:
			needed = u.follow(n)
		case n == s.nodes[2]:
			needed = u.leaveOut(s)
		}
		for _, s := range needed {
			u.kept[s] = true
		}
		if needed != nil {
			return false
		}
	}
	return true
}

// follow plans what becomes of a node that reads moved values. Where it cannot do without their order, it returns
// the shuffles that the order comes from.
func (u *unshuffler) follow(n *onnx.Node) (needed []*shuffle) {
	for _, v := range onnx.Reads(n) {
		if m := u.moved[v]; m != nil {
			needed = both(needed, m.by)
		}
	}
	if needed == nil {
		return nil
	}
	rule := followers[n.GetOpType()]
	if rule == nil || !isStandard(n) || onnx.HasSubgraph(n) || len(n.GetOutput()) == 0 || n.Output[0] == "" {
		return needed
	}
	for _, v := range n.Output[1:] {
		if !u.unread(v) {
			return needed
		}
	}
	if !rule(u, n) {
		return needed
	}
	return nil
}

// leaveOut plans that what a shuffle made is the value before it, in another order. Where that one is reordered along
// another axis, it returns the shuffles that must stay.
func (u *unshuffler) leaveOut(s *shuffle) (needed []*shuffle) {
	in, out := s.nodes[0].Input[0], s.nodes[2].Output[0]
	m := &moved{axis: s.axis, order: s.order, by: []*shuffle{s}}
	if before := u.moved[in]; before != nil {
		m.by = both(m.by, before.by)
		if before.axis != s.axis {
			return m.by
		}
		m.order = pick(before.order, s.order)
	}
	u.edits = append(u.edits, func() {
		u.now[out] = u.current(in)
		for _, n := range s.nodes {
			u.replace(n)
		}
	})
	u.move(out, m)
	return nil
}

// move notes that a value is computed no more, and plans a Gather for it where it is an output of the graph.
func (u *unshuffler) move(v string, m *moved) {
	u.moved[v] = m
	if !u.outputs[v] {
		return
	}
	u.edits = append(u.edits, func() {
		order := u.addConstant(v+"_order", onnx.FromInt64(m.order, int64(len(m.order))))
		back := onnx.NewNode("Gather", u.freshNode(v+"_shuffled"), []string{u.now[v], order}, []string{v}, onnx.Int("axis", int64(m.axis)))
		u.adopt(back)
		u.graph.Node = append(u.graph.Node, back)
	})
}

// keep plans that a node reads what is computed instead of what it read, with other constants in some slots, and
// that it makes a moved value (nil: what it made).
func (u *unshuffler) keep(n *onnx.Node, out *moved, constants map[int]*onnx.Tensor) {
	v := n.Output[0]
	u.edits = append(u.edits, func() {
		for slot, in := range n.GetInput() {
			if t := constants[slot]; t != nil {
				u.setConstant(n, slot, "reordered", t)
			} else if u.moved[in] != nil {
				u.setInput(n, slot, u.now[in])
			}
		}
		if out != nil {
			u.now[v] = u.fresh(v + "_unshuffled")
			delete(u.producer, v)
			n.Output[0] = u.now[v]
			u.producer[u.now[v]] = n
		}
	})
	if out != nil {
		u.move(v, out)
	}
}

// current is what stands for a value now.
func (u *unshuffler) current(v string) string {
	if u.moved[v] != nil {
		return u.now[v]
	}
	return v
}

// apply carries the plan out.
func (u *unshuffler) apply(r *Record) {
	for _, edit := range u.edits {
		edit()
	}
	for range len(u.shuffles) - len(u.kept) {
		r.did("channel shuffle left out")
	}
}

// both is all the shuffles of two lists.
func both(a, b []*shuffle) []*shuffle {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// pick is the entries of v at the given places.
func pick(v, at []int64) []int64 {
	out := make([]int64, len(at))
	for i, k := range at {
		out[i] = v[k]
	}
	return out
}

// inverse of an order: inverse[order[i]] = i.
func inverse(order []int64) []int64 {
	out := make([]int64, len(order))
	for i, k := range order {
		out[k] = int64(i)
	}
	return out
}

// spread is an order of positions that each stand for n neighbours.
func spread(order []int64, n int64) []int64 {
	var out []int64
	for _, k := range order {
		out = append(out, sequence(k*n, (k+1)*n)...)
	}
	return out
}
