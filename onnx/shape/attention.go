package shape

// attention is Attention of opset 23: Q[batch,heads,seq,·] and V[batch,heads,·,dv] make [batch,heads,seq,dv];
// tensors of rank 3 have the heads inside their last axis. The other outputs have rank 4 always: keys and values with
// those of a cache before them, and the scores [batch,heads,seq,keys].
func attention(c *call) ([]Value, error) {
	q, v := c.in(0), c.in(2)
	if !q.HasRank || !v.HasRank {
		return typeOnly(q.DType), nil
	}
	if len(q.Dims) != len(v.Dims) || len(q.Dims) != 3 && len(q.Dims) != 4 {
		return nil, c.mismatch("%s and %s must have rank 3 or 4", c.show(0), c.show(2))
	}
	queries := c.byHeads(q, "q_num_heads")
	keys, values := c.byHeads(c.in(1), "kv_num_heads"), c.byHeads(v, "kv_num_heads")
	dims := []Dim{queries[0], queries[1], queries[2], values[3]}
	if len(q.Dims) == 3 {
		dims = []Dim{queries[0], queries[2], mul(queries[1], values[3])}
	}
	if c.has(4) {
		keys[2], values[2] = unknown, unknown
	}
	scores := []Dim{queries[0], queries[1], queries[2], keys[2]}
	out := []Value{}
	for _, d := range [][]Dim{dims, keys, values, scores} {
		out = append(out, tensorOf(q.DType, d)...)
	}
	return out[:min(len(out), len(c.node.GetOutput()))], nil
}

// byHeads is [batch, heads, seq, features] of queries, keys or values in either form.
func (c *call) byHeads(v Value, heads string) []Dim {
	switch {
	case !v.HasRank || len(v.Dims) != 3 && len(v.Dims) != 4:
		return []Dim{unknown, unknown, unknown, unknown}
	case len(v.Dims) == 4:
		return clone(v.Dims)
	}
	count := c.attr(heads, 0)
	if count < 1 {
		return []Dim{v.Dims[0], unknown, v.Dims[1], unknown}
	}
	each, ok := divExact(v.Dims[2], num(count))
	if !ok {
		each = unknown
	}
	return []Dim{v.Dims[0], num(count), v.Dims[1], each}
}
