package cli

import (
	"math/rand/v2"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
)

// random is made-up data: normal numbers, and zeros for integers, which every table of embeddings has.
type random struct {
	feeds   map[string]*onnx.Tensor
	samples int
}

// randomInputs makes n samples for a model; free sizes other than the batch are those of cost.Bind.
func randomInputs(m *onnx.Model, n int, seed uint64) (*random, error) {
	sizes, err := cost.Bind(m, int64(n))
	if err != nil {
		return nil, err
	}
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	r := &random{feeds: map[string]*onnx.Tensor{}, samples: n}
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, in := range ix.Inputs() {
		dtype, _, _ := onnx.TensorType(in)
		dims := sizes[in.GetName()]
		if len(dims) > 0 {
			dims[0] = int64(n) // a fixed batch divides it up
		}
		t := onnx.NewTensor(dtype, dims...)
		if dtype.IsFloat() {
			values := make([]float64, t.Len())
			for k := range values {
				values[k] = rng.NormFloat64()
			}
			t = onnx.FromFloat64(dtype, values, dims...)
		}
		r.feeds[in.GetName()] = t
	}
	return r, nil
}

func (r *random) Samples() int { return r.samples }

func (r *random) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for name, t := range r.feeds {
		if len(t.Dims) == 0 {
			out[name] = t
			continue
		}
		size := len(t.Raw) / r.samples
		dims := append([]int64{int64(to - from)}, t.Dims[1:]...)
		out[name] = &onnx.Tensor{DType: t.DType, Dims: dims, Raw: t.Raw[from*size : to*size]}
	}
	return out, nil
}
