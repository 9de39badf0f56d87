package shape

import "github.com/onnx-zip/onnx-zip/onnx"

// perChannel refuses parameters (from slot on) that are not one for each channel, axis 1 of the first input.
func (c *call) perChannel(slots ...int) error {
	x := c.in(0)
	if len(x.Dims) < 2 {
		return nil
	}
	for _, slot := range slots {
		if !c.has(slot) {
			continue
		}
		known, err := c.wantRank(slot, 1)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		if _, err := c.same(x.Dims[1], c.in(slot).Dims[0], "channels", 0, slot); err != nil {
			return err
		}
	}
	return nil
}

// batchNorm has running mean and variance as further outputs in training.
func batchNorm(c *call) ([]Value, error) {
	if err := c.perChannel(1, 2, 3, 4); err != nil {
		return nil, err
	}
	x, stats := c.in(0), Value{DType: c.in(3).DType}
	if len(x.Dims) > 1 {
		stats = tensor(c.in(3).DType, []Dim{x.Dims[1]})
	}
	x.Ints = nil
	return []Value{x, stats, stats, stats, stats}, nil
}

func instanceNorm(c *call) ([]Value, error) {
	if err := c.perChannel(1, 2); err != nil {
		return nil, err
	}
	return passThrough(c)
}

// groupNorm has parameters per group in opset 18, per channel from 21 on.
func groupNorm(c *call) ([]Value, error) {
	if c.opset >= 21 {
		return instanceNorm(c)
	}
	return passThrough(c)
}

// layerNorm normalises from axis on; its further outputs have size 1 there. RMSNormalization is alike.
func layerNorm(c *call) ([]Value, error) {
	x := c.in(0)
	stash := onnx.DType(c.attr("stash_type", int64(onnx.Float)))
	if !x.HasRank {
		return []Value{{DType: x.DType}, {DType: stash}, {DType: stash}}, nil
	}
	axis, err := c.axis(-1, len(x.Dims))
	if err != nil {
		return nil, err
	}
	for _, slot := range []int{1, 2} {
		if p := c.in(slot); p.HasRank {
			if err := c.fits(x.Dims, slot); err != nil {
				return nil, err
			}
		}
	}
	stats := clone(x.Dims)
	for i := axis; i < len(stats); i++ {
		stats[i] = num(1)
	}
	x.Ints = nil
	return []Value{x, tensor(stash, stats), tensor(stash, stats)}, nil
}
