package adopt

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// align pairs the weights of two networks: the longest common subsequence of what they are.
func align(a, b []weight) [][2]weight {
	longest := make([][]int32, len(a)+1) // longest[i][j]: of a[i:] and b[j:]
	for i := range longest {
		longest[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].key == b[j].key {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var pairs [][2]weight
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].key == b[j].key:
			pairs = append(pairs, [2]weight{a[i], b[j]})
			i, j = i+1, j+1
		case longest[i+1][j] >= longest[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// refill returns a copy of like with the weights of m in the place of its own, as far as they pair.
func refill(like *onnx.Model, m *onnx.Index, pairs [][2]weight) (*onnx.Model, error) {
	c := like.Clone()
	by := map[string][2]weight{}
	for _, p := range pairs {
		by[p[0].name] = p
	}
	for i, t := range c.Graph().GetInitializer() {
		p, ok := by[t.GetName()]
		if !ok {
			continue
		}
		data, err := onnx.TensorOf(m.Initializer(p[1].name))
		if err != nil {
			return nil, err
		}
		if p[0].transposed != p[1].transposed {
			data = transpose(data)
		}
		fresh := onnx.Tensor{DType: data.DType, Dims: slices.Clone(t.GetDims()), Raw: data.Raw}
		c.Graph().Initializer[i] = fresh.Proto(t.GetName())
	}
	return c, nil
}

// transpose turns a matrix.
func transpose(t *onnx.Tensor) *onnx.Tensor {
	size, rows, cols := t.DType.Size(), int(t.Dims[0]), int(t.Dims[1])
	out := onnx.NewTensor(t.DType, t.Dims[1], t.Dims[0])
	for i := range rows {
		for j := range cols {
			copy(out.Raw[(j*rows+i)*size:(j*rows+i+1)*size], t.Raw[(i*cols+j)*size:])
		}
	}
	return out
}
