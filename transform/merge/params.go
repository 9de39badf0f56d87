package merge

import (
	"slices"

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
	var models []*contribution
	for i := range s.Models {
		c, err := contributionOf(s, t, as, i, s.counterpart(i, name))
		if err != nil {
			return nil, err
		}
		models = append(models, c)
	}
	out := onnx.NewTensor(first.DType, models[0].mergedDims()...)
	rows, inner := 1, out.Len()
	if len(out.Dims) > 0 {
		rows, inner = int(out.Dims[0]), int(product(out.Dims[1:]))
	}
	step := max(slabSize/max(inner, 1), 1)
	for r := 0; r < rows; r += step {
		var sum []float64
		for _, c := range models {
			v, err := c.rows(r, min(r+step, rows))
			if err != nil {
				return nil, err
			}
			if sum == nil {
				sum = v
				continue
			}
			for k := range sum {
				sum[k] += v[k]
			}
		}
		out.PutFloat64s(r*inner, sum)
	}
	return out, nil
}

// onesParam is a tensor of ones of mergeParam's type and dims.
func onesParam(s *Sources, t *Trunk, as Assignments, name string) (*onnx.Tensor, error) {
	first, err := onnx.TensorOf(s.Models[0].Index.Initializer(name))
	roles := t.Analysis.Roles(0, name)
	if err != nil || !hasRole(roles) {
		return first, err
	}
	dims := slices.Clone(first.Dims)
	layouts := t.Analysis.Layouts(0, name)
	for axis, role := range roles {
		inside := axis == 1 && len(layouts[1]) == 1 && layouts[1][0].Part == space.GroupPart // keeps its size
		if role != space.None && !inside {
			dims[axis] = int64(as.mapAxis(layouts[axis], 0, len(s.Models), int(dims[axis])).width)
		}
	}
	return onnx.FromFloat64(first.DType, slices.Repeat([]float64{1}, int(product(dims))), dims...), nil
}
