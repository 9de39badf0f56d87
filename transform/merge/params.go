package merge

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// mergeParam merges a parameter of the trunk, by model 0's name: Σ_i M_i·W_i·U_i, added up in float64
// in the models' order and rounded once to the sources' type.
func mergeParam(s *Sources, t *Trunk, as Assignments, name string) (*onnx.Tensor, error) {
	first, err := onnx.TensorOf(s.Models[0].Index.Initializer(name))
	if err != nil {
		return nil, err
	}
	if !hasRole(t.Analysis.Roles(0, name)) {
		return first, nil // equal in all models, by the choice of the trunk
	}
	if !first.DType.IsFloat() {
		return nil, fault.New(fault.Unsupported, "parameter_type", "weights of type %v cannot be merged", first.DType).AtValue(name)
	}
	var sum []float64
	var dims []int64
	for i := range s.Models {
		other := s.counterpart(i, name)
		p, err := onnx.TensorOf(s.Models[i].Index.Initializer(other))
		if err != nil {
			return nil, err
		}
		v, err := p.Float64s()
		if err != nil {
			return nil, err
		}
		d := p.Dims
		for axis, role := range t.Analysis.Roles(i, other) {
			if role == space.None {
				continue
			}
			m := as.mapAxis(t.Analysis.Layouts(i, other)[axis], i, len(s.Models), int(d[axis]))
			v, d = m.scatter(v, d, axis, role == space.Out)
		}
		if sum == nil {
			sum, dims = append([]float64(nil), v...), d
			continue
		}
		for k := range sum {
			sum[k] += v[k]
		}
	}
	return onnx.FromFloat64(first.DType, sum, dims...), nil
}
