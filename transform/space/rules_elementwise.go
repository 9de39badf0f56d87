package space

// broadcast: numpy broadcasting, right-aligned. Computed operands that have an axis in full are tied
// there; one of size 1 is no tie. A parameter holds one value per feature where it has the axis in full
// (by alignment, never by size).
func broadcast(c *call) {
	value := c.n.GetOutput()[0]
	rank := len(c.shape(value))
	out := make([]axis, rank)
	for k := range out {
		out[k] = c.tieOperands(k-rank, c.size(value, k))
	}
	for slot := range c.n.GetInput() {
		c.setParams(slot, out)
	}
	c.setOut(0, out)
}

// tieOperands ties the axis at (counted from the right, negative) of all computed operands that have it
// in full, and returns it.
func (c *call) tieOperands(at, size int) axis {
	var first axis
	for slot := range c.n.GetInput() {
		if c.input(slot) == "" || c.param(slot) != nil {
			continue
		}
		axes := c.in(slot)
		k := len(axes) + at
		if k < 0 {
			continue
		}
		if axes[k].positions() == 1 && size != 1 { // one for all: it cannot become several
			restrictAll(axes[k], Permute, c.why("spreads one feature over others"))
			continue
		}
		if first == nil {
			first = axes[k]
			continue
		}
		c.a.unify(first, axes[k], c.why("ties its operands"))
		first = other(first, axes[k])
	}
	if first == nil { // only parameters reach that far: the same positions in every model
		return aligned(size)
	}
	return first
}
