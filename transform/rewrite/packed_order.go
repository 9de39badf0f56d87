package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// order lists the features part by part, each part's in their order before; what no part has comes last.
func (p *packed) order() []int64 {
	k, inner := p.sizes[p.digit], product(p.sizes[p.digit+1:])
	var out []int64
	add := func(from, to int64) {
		for o := range p.outer() {
			out = append(out, sequence((o*k+from)*inner, (o*k+to)*inner)...)
		}
	}
	for _, q := range p.parts {
		add(q.from, q.to)
	}
	at := int64(0)
	for _, q := range p.parts {
		add(at, q.from)
		at = q.to
	}
	add(at, k)
	return out
}

// ordered is a constant whose entries along an axis follow the features that its node makes.
type ordered struct {
	n    *onnx.Node
	slot int
	axis int
}

// reorder lets what makes the features of a value, along an axis, make them in another order: the weights of a
// linear map or convolution, and what is added or multiplied behind it. The values get other names, since they are
// others now. False, and nothing done, where something else makes or reads them.
func (e *editor) reorder(value string, axis int, order []int64) bool {
	var weights []ordered
	var makers []*onnx.Node
	for v := value; ; {
		n := e.producer[v]
		if n == nil || !e.soleReader(v) || len(n.Output) != 1 {
			return false
		}
		makers = append(makers, n)
		found, more, ok := e.makerOf(n, axis, int64(len(order)))
		if !ok {
			return false
		}
		weights = append(weights, found...)
		if !more {
			break
		}
		v = n.Input[0]
	}
	for _, w := range weights {
		t, _ := e.constant(w.n.Input[w.slot])
		e.setConstant(w.n, w.slot, "ordered", take(t, w.axis, order))
	}
	for _, n := range makers {
		e.rename(n, "ordered")
	}
	return true
}

// makerOf lists n's constants that follow size features along an axis of its output; more where the features
// themselves come from its first input.
func (e *editor) makerOf(n *onnx.Node, axis int, size int64) (found []ordered, more, ok bool) {
	add := func(slot, at int) bool { // a constant that has the features along its axis at, or one entry for all
		t, isConstant := e.constant(input(n, slot))
		if !isConstant || e.tied(n.Input[slot]) || at < len(t.Dims) && at >= 0 && t.Dims[at] != size && t.Dims[at] != 1 {
			return false
		}
		if at >= 0 && at < len(t.Dims) && t.Dims[at] == size {
			found = append(found, ordered{n, slot, at})
		}
		return true
	}
	rank := e.rank(n.Output[0])
	switch {
	case rank <= axis || len(n.Input) < 2:
	case isOp(n, "Add", "Sub", "Mul", "Div") && e.rank(input(n, 0)) == rank:
		ok = add(1, axis-rank+e.rank(input(n, 1)))
		return found, true, ok
	case isOp(n, "MatMul") && axis == rank-1 && e.rank(input(n, 1)) == 2:
		ok = add(1, 1)
	case isOp(n, "Gemm") && axis == 1:
		ok = add(1, 1-int(onnx.AttrInt(n, "transB", 0)))
		if ok && input(n, 2) != "" {
			ok = add(2, e.rank(n.Input[2])-1)
		}
	case isOp(n, "Conv") && axis == 1 && onnx.AttrInt(n, "group", 1) == 1:
		ok = add(1, 0)
		if ok && input(n, 2) != "" {
			ok = add(2, 0)
		}
	}
	return found, false, ok
}

// rename gives n's output, which has one reader, a name of its own, since it stands for something else now.
func (e *editor) rename(n *onnx.Node, suffix string) {
	old := n.Output[0]
	u := e.uses[old][0]
	name := e.fresh(old + "_" + suffix)
	e.known[name] = e.known[old]
	delete(e.producer, old)
	n.Output[0] = name
	e.producer[name] = n
	e.setInput(u.Node, u.Slot, name)
}
