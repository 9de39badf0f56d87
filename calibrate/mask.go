package calibrate

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Mask says which tokens of a batch of sequences count: those where an input [samples, tokens] is not 0. What a model
// computes at the others is no feature of the data, and must not enter statistics.
type Mask struct {
	samples, tokens int
	keep            []bool // samples × tokens
}

// NewMask reads a mask. Errors are of kind fault.Data.
func NewMask(t *onnx.Tensor) (*Mask, error) {
	if len(t.Dims) != 2 {
		return nil, fault.New(fault.Data, "mask_shape", "a mask has the shape [samples, tokens], not %v", t.Dims)
	}
	m := &Mask{samples: int(t.Dims[0]), tokens: int(t.Dims[1])}
	if t.DType == onnx.Bool {
		for _, b := range t.Raw {
			m.keep = append(m.keep, b != 0)
		}
		return m, nil
	}
	v, err := t.Float64s()
	for _, x := range v {
		m.keep = append(m.keep, x != 0)
	}
	return m, err
}

// ReadMask reads the mask of the samples [from, to) from an input of a source; nil where name is "".
func ReadMask(src Source, name string, from, to int) (*Mask, error) {
	if name == "" {
		return nil, nil
	}
	all, err := src.Batch(from, to)
	if err != nil {
		return nil, err
	}
	if all[name] == nil {
		return nil, fault.New(fault.Data, "no_mask", "the data has no mask of this name").AtValue(name)
	}
	m, err := NewMask(all[name])
	if err != nil {
		return nil, fault.As(err).AtValue(name)
	}
	return m, nil
}

// Positions says which positions of a value count, those of all its axes but the features', row-major; nil where all
// do, as in a value without an axis of tokens. Such an axis is one as long as a sequence, behind an axis as long as
// the batch; or one that is as long as both together. Where several could be it (attention's scores have two), a
// position counts if all its tokens do.
func (m *Mask) Positions(dims []int64, axis int) []bool {
	if m == nil || !slices.Contains(m.keep, false) {
		return nil
	}
	batch, tokens := -1, []int{}
	for k, d := range dims {
		switch {
		case k == axis:
		case batch < 0 && int(d) == m.samples*m.tokens && m.tokens > 1:
			return m.spread(dims, axis, func(index []int64) bool { return m.keep[index[k]] })
		case batch < 0 && int(d) == m.samples:
			batch = k
		case batch >= 0 && int(d) == m.tokens:
			tokens = append(tokens, k)
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	return m.spread(dims, axis, func(index []int64) bool {
		for _, k := range tokens {
			if !m.keep[index[batch]*int64(m.tokens)+index[k]] {
				return false
			}
		}
		return true
	})
}

// spread calls keep for every position.
func (m *Mask) spread(dims []int64, axis int, keep func(index []int64) bool) []bool {
	n := 1
	for k, d := range dims {
		if k != axis {
			n *= int(d)
		}
	}
	out, index := make([]bool, n), make([]int64, len(dims))
	for p := range out {
		rest := int64(p)
		for k := len(dims) - 1; k >= 0; k-- {
			if k != axis && dims[k] > 0 {
				index[k], rest = rest%dims[k], rest/dims[k]
			}
		}
		out[p] = keep(index)
	}
	return out
}
