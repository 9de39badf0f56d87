package shape

// attention is Attention of opset 23: Q[batch,heads,seq,·] and V[batch,heads,·,dv] make [batch,heads,seq,dv];
// tensors of rank 3 have the heads inside their last axis.
func attention(c *call) ([]Value, error) {
	q, v := c.in(0), c.in(2)
	if !q.HasRank || !v.HasRank {
		return typeOnly(q.DType), nil
	}
	if len(q.Dims) != len(v.Dims) || len(q.Dims) != 3 && len(q.Dims) != 4 {
		return nil, c.mismatch("%s and %s must have rank 3 or 4", c.show(0), c.show(2))
	}
	dims := clone(q.Dims)
	last := len(dims) - 1
	dims[last] = v.Dims[last]
	if last == 2 {
		each, ok := divExact(v.Dims[2], num(c.attr("kv_num_heads", 0)))
		dims[2] = unknown
		if ok {
			dims[2] = mul(each, num(c.attr("q_num_heads", 0)))
		}
	}
	return tensorOf(q.DType, dims), nil
}
