package shape

// recurrent is LSTM, GRU and RNN: X[seq,batch,·] makes Y[seq,directions,batch,hidden] and the last states
// [directions,batch,hidden]; with layout 1 (opset 14) the batch comes first.
func recurrent(c *call) ([]Value, error) {
	x := c.in(0)
	if _, err := c.wantRank(0, 3); err != nil {
		return nil, err
	}
	if _, err := c.wantRank(2, 3); err != nil {
		return nil, err
	}
	seq, batch, dirs, hidden := unknown, unknown, unknown, unknown
	if x.HasRank {
		seq, batch = x.Dims[0], x.Dims[1]
	}
	if r := c.in(2); r.HasRank {
		dirs, hidden = r.Dims[0], r.Dims[2]
	}
	if h := c.attr("hidden_size", -1); h > 0 {
		d, ok := agree(num(h), hidden)
		if !ok {
			return nil, c.mismatch("hidden_size %d against %s", h, c.show(2))
		}
		hidden = d
	}
	all, last := []Dim{seq, dirs, batch, hidden}, []Dim{dirs, batch, hidden}
	if c.attr("layout", 0) != 0 {
		batch, seq = seq, batch
		all, last = []Dim{batch, seq, dirs, hidden}, []Dim{batch, dirs, hidden}
	}
	state := tensor(x.DType, last)
	return []Value{tensor(x.DType, all), state, state}, nil
}
