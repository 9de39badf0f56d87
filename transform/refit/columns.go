package refit

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// columns unfolds a batch of the nodes' inputs, one for each part, at the positions of index: a column for each sample and
// position with the d inputs behind the output there, and a 1 for the bias: [groups, d+1, columns]. No copy of the
// whole unfolded activation is ever made.
func (p *problem) columns(inputs []*onnx.Tensor, index []int64) ([]float32, error) {
	cols := p.count(inputs[0].Dims, index)
	out := make([]float32, p.groups*(p.d+1)*cols)
	for k, q := range p.parts {
		if n := p.count(inputs[k].Dims, index); n != cols {
			return nil, fault.New(fault.Internal, "positions", "%d columns of one input, %d of another", cols, n).AtValue(q.Input)
		}
		if err := p.unfold(out[q.first*cols:], q, inputs[k], index); err != nil {
			return nil, err
		}
	}
	for g := range p.groups {
		fill(out[(g*(p.d+1)+p.d)*cols:][:cols])
	}
	return out, nil
}

// count is the number of columns.
func (p *problem) count(dims []int64, index []int64) int {
	if p.channelsFirst() {
		return int(dims[0]) * len(index)
	}
	return len(p.rows(dims, index))
}

// unfold writes a part's rows of the columns to out.
func (p *problem) unfold(out []float32, q part, x *onnx.Tensor, index []int64) error {
	v, _, err := x.ViewFloat32s()
	if err != nil {
		return err
	}
	if p.channelsFirst() {
		return p.patches(out, q, v, x.Dims, index)
	}
	rows := p.rows(x.Dims, index)
	for k, row := range rows {
		for j, x := range v[row*q.d : (row+1)*q.d] {
			out[j*len(rows)+k] = x
		}
	}
	return nil
}

func fill(row []float32) {
	for k := range row {
		row[k] = 1
	}
}

// rows are the rows of a value […, C] that index picks: […] flattened.
func (p *problem) rows(dims []int64, index []int64) []int {
	all := 1
	for _, d := range dims[:len(dims)-1] {
		all *= int(d)
	}
	var rows []int
	if index == nil {
		for k := range all {
			rows = append(rows, k)
		}
		return rows
	}
	positions := p.positions()
	for n := range all / positions {
		for _, at := range index {
			rows = append(rows, n*positions+int(at))
		}
	}
	return rows
}

// patches unfolds the input of a convolution, [N, C, H, W] or [N, C, W], into out.
func (p *problem) patches(out []float32, q part, v []float32, dims []int64, index []int64) error {
	n, channels, h, w := int(dims[0]), int(dims[1]), int64(1), dims[len(dims)-1]
	if len(dims) == 4 {
		h = dims[2]
	}
	offsets, err := p.offsets(q.kernel, h, w, index)
	if err != nil {
		return err
	}
	cols, perGroup, size := n*len(index), channels/p.groups, int(h*w)
	for c := range channels {
		first := (c/perGroup*(p.d+1) + c%perGroup*len(offsets)) * cols
		for s := range n {
			plane := v[(s*channels+c)*size:][:size]
			for tap, at := range offsets {
				dst := out[first+tap*cols+s*len(index):][:len(index)]
				for k, o := range at {
					if o >= 0 {
						dst[k] = plane[o]
					}
				}
			}
		}
	}
	return nil
}

// offsets is, for each kernel tap and each position of index, the place in a plane of H×W that it reads; -1 in
// the padding.
func (p *problem) offsets(k kernel, h, w int64, index []int64) ([][]int32, error) {
	size := func(axis int, in int64) int64 {
		return (in+k.pads[axis]+k.pads[axis+2]-(k.window[axis]-1)*k.dilations[axis]-1)/k.strides[axis] + 1
	}
	width := size(1, w)
	if size(0, h)*width != int64(p.positions()) {
		return nil, fault.New(fault.Internal, "positions", "a map of %d×%d becomes %d×%d, the sources have %d positions",
			h, w, size(0, h), width, p.positions()).AtValue(p.At)
	}
	var out [][]int32
	for i := range k.window[0] {
		for j := range k.window[1] {
			at := make([]int32, len(index))
			for n, pos := range index {
				y := pos/width*k.strides[0] - k.pads[0] + i*k.dilations[0]
				x := pos%width*k.strides[1] - k.pads[1] + j*k.dilations[1]
				at[n] = -1
				if y >= 0 && y < h && x >= 0 && x < w {
					at[n] = int32(y*w + x)
				}
			}
			out = append(out, at)
		}
	}
	return out, nil
}

// pick takes the sampled positions of a value with the dims of At: [C, columns].
func (p *problem) pick(t *onnx.Tensor, index []int64) ([]float32, error) {
	v, _, err := t.ViewFloat32s()
	if err != nil {
		return nil, err
	}
	if p.channelsFirst() {
		n, size := int(t.Dims[0]), p.positions()
		cols := n * len(index)
		out := make([]float32, p.groups*p.o*cols)
		for c := range p.groups * p.o {
			for s := range n {
				plane, dst := v[(s*p.groups*p.o+c)*size:][:size], out[c*cols+s*len(index):]
				for k, at := range index {
					dst[k] = plane[at]
				}
			}
		}
		return out, nil
	}
	rows := p.rows(t.Dims, index)
	out := make([]float32, p.o*len(rows))
	for k, row := range rows {
		for c, x := range v[row*p.o : (row+1)*p.o] {
			out[c*len(rows)+k] = x
		}
	}
	return out, nil
}
