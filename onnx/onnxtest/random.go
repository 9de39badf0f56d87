package onnxtest

import (
	"math"
	"math/rand/v2"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Random is a tensor of values that are distinct, as far as the type has as many, around zero. A weight's
// values shrink with its fan-in, so that a chain of nodes neither blows up nor dies out. Equal seeds give equal
// values on every machine; integers lie from -100 to 99, bools are false or true.
func Random(seed int64, dtype onnx.DType, dims ...int64) *onnx.Tensor {
	bound := 1.0
	switch {
	case dtype == onnx.Bool:
		return RandomBetween(seed, 0, 2, dtype, dims...)
	case !dtype.IsFloat():
		return RandomBetween(seed, -100, 100, dtype, dims...)
	case len(dims) > 1:
		fanIn := 1.0
		for _, d := range dims[1:] {
			fanIn *= float64(d)
		}
		bound = math.Sqrt(3 / max(fanIn, 1)) // uniform in ±√3 has variance 1
	}
	return RandomBetween(seed, -bound, bound, dtype, dims...)
}

// RandomBetween is Random with values from low (included) to high (excluded).
func RandomBetween(seed int64, low, high float64, dtype onnx.DType, dims ...int64) *onnx.Tensor {
	r := rand.New(rand.NewPCG(uint64(seed), 0x6f6e6e78))
	n := count(dims)
	values := make([]float64, n)
	// One value from each of n equal cells, away from the cell's ends, in random order: distinct by design.
	for i, cell := range r.Perm(n) {
		values[i] = low + (high-low)*(float64(cell)+0.25+0.5*r.Float64())/float64(n)
	}
	if dtype.IsFloat() {
		return onnx.FromFloat64(dtype, values, dims...)
	}
	whole := make([]int64, n)
	for i, x := range values {
		whole[i] = int64(math.Floor(x))
	}
	return fromInts(dtype, whole, dims)
}

// Feeds makes a random tensor for each of m's inputs. sizes gives the declared symbols' sizes; a size without
// one is 2.
func Feeds(m *onnx.Model, seed int64, sizes map[string]int64) map[string]*onnx.Tensor {
	feeds := map[string]*onnx.Tensor{}
	isInit := map[string]bool{}
	for _, t := range m.Graph().GetInitializer() {
		isInit[t.GetName()] = true
	}
	for i, in := range m.Graph().GetInput() {
		dtype, declared, ok := onnx.TensorType(in)
		if !ok || isInit[in.GetName()] {
			continue
		}
		dims := make([]int64, len(declared))
		for k, d := range declared {
			dims[k] = d.Size
			if size, bound := sizes[d.Param]; bound && d.Size < 0 {
				dims[k] = size
			} else if d.Size < 0 {
				dims[k] = 2
			}
		}
		feeds[in.GetName()] = RandomBetween(seed+int64(i), -1.7, 1.7, dtype, dims...)
	}
	return feeds
}
