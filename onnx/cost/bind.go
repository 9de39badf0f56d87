package cost

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// What Bind gives to sizes that a model leaves open, the batch aside.
const (
	DefaultPixels = 224 // to those of inputs of rank 4 and more: height, width, depth
	DefaultTokens = 128 // to all others: the length of a sequence
)

// Bind gives every free size of m's inputs a number, for shape.Options.InputDims and for making up data. The
// first axis counts samples: its symbol stands for batch wherever it occurs. A size that the model fixes, the
// batch's too, stays, and an input that declares no shape is left out. Where the defaults contradict the model (a
// table of 32 positions takes no 128 tokens), they are halved until they do not. An invalid graph is an error of
// kind fault.Model.
func Bind(m *onnx.Model, batch int64) (map[string][]int64, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	first := bindAll(ix, batch, 1)
	for divide := int64(1); divide <= DefaultTokens; divide *= 2 {
		bound := bindAll(ix, batch, divide)
		if _, err := shape.Infer(m, shape.Options{InputDims: bound}); err == nil {
			return bound, nil
		}
	}
	return first, nil // the model contradicts itself: Infer will say where
}

// bindAll binds all inputs, the defaults divided.
func bindAll(ix *onnx.Index, batch, divide int64) map[string][]int64 {
	symbols := map[string]int64{}
	for _, in := range ix.Inputs() {
		if _, dims, _ := onnx.TensorType(in); len(dims) > 0 && dims[0].Size < 0 && dims[0].Param != "" {
			symbols[dims[0].Param] = batch
		}
	}
	bound := map[string][]int64{}
	for _, in := range ix.Inputs() {
		if _, dims, _ := onnx.TensorType(in); dims != nil {
			bound[in.GetName()] = bindDims(dims, batch, divide, symbols)
		}
	}
	return bound
}

// bindDims binds the dims of one input and notes the symbols that it meets first.
func bindDims(dims []onnx.Dim, batch, divide int64, symbols map[string]int64) []int64 {
	out := make([]int64, len(dims))
	for i, d := range dims {
		switch known, ok := symbols[d.Param]; {
		case d.Size >= 0:
			out[i] = d.Size
		case ok:
			out[i] = known
		case i == 0:
			out[i] = batch
		case len(dims) >= 4:
			out[i] = DefaultPixels / divide
		default:
			out[i] = DefaultTokens / divide
		}
		if d.Size < 0 && d.Param != "" {
			symbols[d.Param] = out[i]
		}
	}
	return out
}
