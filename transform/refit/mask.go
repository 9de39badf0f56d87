package refit

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// mask reads which tokens of a batch count; nil where all do.
func (w *walk) mask(batch int) (*calibrate.Mask, error) {
	from := batch * w.o.Batch
	return calibrate.ReadMask(w.src, w.o.Mask, from, min(from+w.o.Batch, w.src.Samples()))
}

// gridOf is the grid of a kept value, with the positions that count.
func (w *walk) gridOf(t *onnx.Tensor, axis, batch int) (grid, error) {
	g, err := gridOf(t, axis)
	if err != nil {
		return g, err
	}
	m, err := w.mask(batch)
	g.keep = m.Positions(t.Dims, axis)
	return g, err
}

// kept says which of a batch's columns count, nil where all do.
func (p *problem) kept(m *calibrate.Mask, index []int64, columns int) []bool {
	if index == nil {
		return m.Positions([]int64{int64(columns), int64(p.o)}, 1)
	}
	samples := columns / len(index)
	all := m.Positions(append([]int64{int64(samples)}, p.dims...), p.Axis)
	if all == nil {
		return nil
	}
	keep := make([]bool, 0, columns)
	for s := range samples {
		for _, at := range index {
			keep = append(keep, all[s*p.positions()+int(at)])
		}
	}
	return keep
}

// clearColumns makes the columns that do not count 0, in a matrix of rows × len(keep), so that they add nothing to any
// sum. It returns how many count.
func clearColumns(v []float32, keep []bool) (count int) {
	for k := range v {
		if !keep[k%len(keep)] {
			v[k] = 0
		}
	}
	for _, k := range keep {
		if k {
			count++
		}
	}
	return count
}
