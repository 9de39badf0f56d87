package space

import "strings"

// einsum compiles a row of the table. See rules for the notation.
func einsum(spec string) rule {
	ins, out, found := strings.Cut(spec, "->")
	if !found {
		panic("space: rule without an arrow: " + spec)
	}
	terms := strings.Split(ins, ",")
	return func(c *call) {
		e := &binding{call: c, letters: map[byte]axis{}, out: out}
		if !e.bindInputs(terms) {
			c.pinNode("has operands of unexpected rank")
			return
		}
		e.bindParams(terms)
		e.result()
	}
}

// binding is one node's letters.
type binding struct {
	*call
	letters map[byte]axis
	dots    []axis // what "." stands for
	out     string
}

// spread lays a term over rank axes: the letter of each axis, with '*' and '.' repeated as needed.
func spread(term string, rank int) (string, bool) {
	at := strings.IndexAny(term, "*.")
	if at < 0 {
		return term, len(term) == rank
	}
	fill := rank - (len(term) - 1)
	if fill < 0 {
		return "", false
	}
	return term[:at] + strings.Repeat(term[at:at+1], fill) + term[at+1:], true
}

// bindInputs gives letters the features of the computed inputs.
func (e *binding) bindInputs(terms []string) bool {
	for slot, term := range terms {
		if e.input(slot) == "" || e.param(slot) != nil {
			continue
		}
		axes := e.in(slot)
		letters, ok := spread(term, len(axes))
		if !ok {
			return false
		}
		e.bindActivation(slot, term, letters, axes)
	}
	return true
}

func (e *binding) bindActivation(slot int, term, letters string, axes []axis) {
	dot := 0
	for k := range letters {
		switch l := letters[k]; l {
		case '*':
			restrictAll(axes[k], Pinned, e.why("slides a window over the features"))
		case '.':
			if dot < len(e.dots) {
				e.dots[dot] = e.tieLeading(e.dots[dot], axes[k])
			} else {
				e.dots = append(e.dots, axes[k])
			}
			dot++
		default:
			x, bound := e.letters[l]
			if !bound {
				e.letters[l] = axes[k]
			} else {
				e.a.unify(x, axes[k], e.why("ties its operands"))
				x = other(x, axes[k])
				e.letters[l] = x
				if !strings.Contains(e.out, string(l)) {
					restrictAll(x, Permute, e.why("multiplies the features with each other and adds them up"))
				}
			}
		}
	}
}

// tieLeading ties a leading axis of two operands, and returns that of the result: an operand of size 1 is spread.
func (e *binding) tieLeading(x, y axis) axis {
	switch {
	case x.isAligned() && x.positions() == 1:
		return y
	case y.isAligned() && y.positions() == 1:
		return x
	}
	e.a.unify(x, y, e.why("ties its operands"))
	return other(x, y)
}

// bindParams gives the axes of parameters the features of their letters.
func (e *binding) bindParams(terms []string) {
	for slot, term := range terms {
		t := e.param(slot)
		if t == nil {
			continue
		}
		letters, ok := spread(term, len(t.GetDims()))
		if !ok {
			e.pinNode("has a parameter of unexpected rank")
			return
		}
		// letters that the result has make or keep features, others are contracted
		for k := range letters {
			e.bindParam(slot, k, letters[k])
		}
		e.noteReads(slot, letters, terms)
	}
}

func (e *binding) bindParam(slot, k int, l byte) {
	if l == '*' || l == '.' || l == '1' {
		return
	}
	x, bound := e.letters[l]
	if !bound {
		x = e.fresh(e.size(e.input(slot), k))
		e.letters[l] = x
	}
	role := In
	if strings.IndexByte(e.out, l) >= 0 {
		role = Out
	}
	e.setParam(slot, k, x, role)
}

// noteReads notes the computed axis that the parameter of slot contracts.
func (e *binding) noteReads(slot int, letters string, terms []string) {
	dims := e.param(slot).GetDims()
	for k := range letters {
		if letters[k] < 'a' || strings.IndexByte(e.out, letters[k]) >= 0 {
			continue
		}
		fan := 1
		for j, d := range dims {
			if j != k {
				fan *= int(d)
			}
		}
		for in, term := range terms {
			if e.param(in) != nil || e.input(in) == "" {
				continue
			}
			spreadTerm, _ := spread(term, len(e.in(in)))
			if at := strings.IndexByte(spreadTerm, letters[k]); at >= 0 {
				e.read(in, at, fan)
			}
		}
	}
}

// result gives the output its axes.
func (e *binding) result() {
	value := e.n.GetOutput()[0]
	letters, ok := spread(e.out, len(e.shape(value)))
	if !ok {
		e.pinNode("has a result of unexpected rank")
		return
	}
	axes := make([]axis, len(letters))
	dot := 0
	for k := range letters {
		switch l := letters[k]; l {
		case '*', '1':
			axes[k] = aligned(e.size(value, k))
		case '.':
			axes[k] = e.dots[dot]
			if axes[k].positions() == 1 { // one of the operands is spread along it
				axes[k] = aligned(e.size(value, k))
			}
			dot++
		default:
			if x, bound := e.letters[l]; bound {
				axes[k] = x
			} else {
				axes[k] = aligned(e.size(value, k))
			}
		}
	}
	e.setOut(0, axes)
}
