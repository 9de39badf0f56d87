package shape

// Arithmetic on the contents of small integer tensors: the chains in which exporters compute Reshape targets.

// zipInts applies f entry by entry, single entries repeated; nil where a contents is not tracked.
func zipInts(dims []Dim, in []Value, f func([]Dim) Dim) []Dim {
	n := 1
	if len(dims) == 1 {
		n = int(dims[0].Size)
	}
	if len(dims) > 1 || n < 0 || n > maxInts {
		return nil
	}
	for _, v := range in {
		if v.Ints == nil || len(v.Ints) != n && len(v.Ints) != 1 {
			return nil
		}
	}
	out, x := make([]Dim, n), make([]Dim, len(in))
	for i := range out {
		for k, v := range in {
			x[k] = v.Ints[i%len(v.Ints)]
		}
		out[i] = f(x)
	}
	return out
}

// withInts adds to the rule shape of a binary operator what f computes of the contents.
func withInts(shape rule, f func(a, b Dim) Dim) rule {
	return func(c *call) ([]Value, error) {
		out, err := shape(c)
		if err != nil || !out[0].HasRank || len(c.node.Input) != 2 {
			return out, err
		}
		if dt := c.in(0).DType; !dt.IsInt() {
			return out, nil
		}
		out[0].Ints = zipInts(out[0].Dims, []Value{c.in(0), c.in(1)}, func(x []Dim) Dim { return f(x[0], x[1]) })
		return out, nil
	}
}

// negate keeps contents that are numbers.
func negate(c *call) ([]Value, error) {
	v := c.in(0)
	v.Ints = zipInts(v.Dims, []Value{v}, func(x []Dim) Dim {
		if !x[0].Known() {
			return unknown
		}
		return num(-x[0].Size)
	})
	return []Value{v}, nil
}

// quotient is integer division as ONNX has it: towards zero. Symbols stand for sizes, which are not negative.
func quotient(a, b Dim) Dim {
	if a.Known() && b.Known() && b.Size != 0 {
		return num(a.Size / b.Size)
	}
	if a.Known() && a.Size < 0 || b.Known() && b.Size < 0 {
		return unknown
	}
	return div(a, b)
}

// onNumbers lifts a function of numbers, unknown for symbols.
func onNumbers(f func(a, b int64) int64) func(a, b Dim) Dim {
	return func(a, b Dim) Dim {
		if !a.Known() || !b.Known() {
			return unknown
		}
		return num(f(a.Size, b.Size))
	}
}

// modulo has the sign of the divisor, as Mod without fmod.
func modulo(a, b Dim) Dim {
	if !a.Known() || !b.Known() || b.Size == 0 {
		return unknown
	}
	return num(a.Size - b.Size*floorDiv(a.Size, b.Size))
}

// equal compares entries. A size never equals a negative number, which is how exporters tell -1 apart.
func equal(a, b Dim) Dim {
	switch {
	case a == b:
		return truth(true)
	case a.Known() && b.Known():
		return truth(false)
	case a.Known() && a.Size < 0 && !b.opaque(), b.Known() && b.Size < 0 && !a.opaque():
		return truth(false)
	}
	return unknown
}

func truth(b bool) Dim {
	if b {
		return num(1)
	}
	return num(0)
}

// test lifts a comparison of numbers.
func test(f func(a, b int64) bool) func(a, b Dim) Dim {
	return onNumbers(func(a, b int64) int64 { return truth(f(a, b)).Size })
}
