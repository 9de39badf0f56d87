package transform

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// picked is some samples of a source, in order.
type picked struct {
	src   calibrate.Source
	index []int
}

// maxHeld bounds the samples set aside: their outputs are kept in memory, which must not grow with the data.
const maxHeld = 512

// splitSource sets every n-th sample aside, at most maxHeld of them, evenly spread. With fewer than 2·n samples
// nothing is set aside.
func splitSource(src calibrate.Source, n int) (rest, held calibrate.Source) {
	var a, b picked
	a.src, b.src = src, src
	for i := range src.Samples() {
		if isHeld(i, src.Samples(), n) {
			b.index = append(b.index, i)
		} else {
			a.index = append(a.index, i)
		}
	}
	return a, b
}

// isHeld is true of the samples that splitSource sets aside.
func isHeld(i, samples, n int) bool {
	n = max(n, (samples+maxHeld-1)/maxHeld)
	return samples >= 2*n && i%n == n-1
}

// HeldOutSamples lists which of so many calibration samples judge a merge instead of feeding it; none where there are
// too few to spare any.
func HeldOutSamples(samples int) []int {
	var held []int
	for i := range samples {
		if isHeld(i, samples, HeldOut) {
			held = append(held, i)
		}
	}
	return held
}

func (p picked) Samples() int { return len(p.index) }

// Batch reads runs of neighbouring samples at once and puts them together.
func (p picked) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for from < to {
		n := 1
		for from+n < to && p.index[from+n] == p.index[from]+n {
			n++
		}
		part, err := p.src.Batch(p.index[from], p.index[from]+n)
		if err != nil {
			return nil, err
		}
		for name, t := range part {
			out[name] = appendSamples(out[name], t)
		}
		from += n
	}
	return out, nil
}

// appendSamples appends along the first axis.
func appendSamples(a, b *onnx.Tensor) *onnx.Tensor {
	if a == nil {
		return &onnx.Tensor{DType: b.DType, Dims: append([]int64(nil), b.Dims...), Raw: append([]byte(nil), b.Raw...)}
	}
	a.Dims[0] += b.Dims[0]
	a.Raw = append(a.Raw, b.Raw...)
	return a
}
