package eval

import (
	"math/rand/v2"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
)

// randomFeeds makes up one batch for m: standard normal numbers for floating inputs, zeros and ones for all
// others, since these are valid as tokens, indices and masks of any model. Free sizes other than the batch are
// those of cost.Bind. Inputs of equal shapes in equal places get equal values, whatever their names. An input
// that is no tensor or declares no shape is an error of kind fault.Unsupported.
func randomFeeds(m *onnx.Model, batch int) (map[string]*onnx.Tensor, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	bound, err := cost.Bind(m, int64(batch))
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	feeds := map[string]*onnx.Tensor{}
	for _, in := range ix.Inputs() {
		dtype, _, ok := onnx.TensorType(in)
		dims := bound[in.GetName()]
		if !ok || dims == nil || dtype.Size() == 0 {
			return nil, fault.New(fault.Unsupported, "unknown_shape", "no data can be made up: the input declares no shape, or is no tensor of numbers").
				AtValue(in.GetName()).InFile(m.File).WithHint("export the model with the shapes of its inputs")
		}
		feeds[in.GetName()] = randomTensor(random, dtype, dims)
	}
	return feeds, nil
}

func randomTensor(random *rand.Rand, dtype onnx.DType, dims []int64) *onnx.Tensor {
	t := onnx.NewTensor(dtype, dims...)
	n := t.Len()
	if !dtype.IsFloat() {
		size := dtype.Size()
		for i := range n {
			t.Raw[i*size] = byte(random.IntN(2)) // the low byte: elements are little-endian
		}
		return t
	}
	values := make([]float64, n)
	for i := range values {
		values[i] = random.NormFloat64()
	}
	return onnx.FromFloat64(dtype, values, dims...)
}
