package refit

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// thinned is some samples of a source, spread evenly over it.
type thinned struct {
	src calibrate.Source
	n   int
}

// thin returns a source of at most n samples.
func thin(src calibrate.Source, n int) calibrate.Source {
	if src.Samples() <= n {
		return src
	}
	return thinned{src, n}
}

func (t thinned) Samples() int { return t.n }

func (t thinned) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for k := from; k < to; k++ {
		at := (2*k + 1) * t.src.Samples() / (2 * t.n)
		sample, err := t.src.Batch(at, at+1)
		if err != nil {
			return nil, err
		}
		for name, x := range sample {
			all := out[name]
			if all == nil {
				all = &onnx.Tensor{DType: x.DType, Dims: append([]int64{0}, x.Dims[1:]...), Raw: make([]byte, 0, len(x.Raw)*(to-from))}
				out[name] = all
			}
			all.Dims[0]++
			all.Raw = append(all.Raw, x.Raw...)
		}
	}
	return out, nil
}
