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
		v, d := as.mergeModel(v, p.Dims, t.Analysis.Layouts(i, other), t.Analysis.Roles(i, other), i, len(s.Models))
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

// onesParam is a tensor of ones of mergeParam's type and dims.
func onesParam(s *Sources, t *Trunk, as Assignments, name string) (*onnx.Tensor, error) {
	first, err := onnx.TensorOf(s.Models[0].Index.Initializer(name))
	roles := t.Analysis.Roles(0, name)
	if err != nil || !hasRole(roles) {
		return first, err
	}
	dims, size := slices.Clone(first.Dims), 1
	layouts := t.Analysis.Layouts(0, name)
	for axis, role := range roles {
		inside := axis == 1 && len(layouts[1]) == 1 && layouts[1][0].Part == space.GroupPart // keeps its size
		if role != space.None && !inside {
			dims[axis] = int64(as.mapAxis(layouts[axis], 0, len(s.Models), int(dims[axis])).width)
		}
	}
	for _, d := range dims {
		size *= int(d)
	}
	return onnx.FromFloat64(first.DType, slices.Repeat([]float64{1}, size), dims...), nil
}

// mergeModel is M_i·W_i·U_i: model i's part of a merged parameter, and its dims.
func (as Assignments) mergeModel(v []float64, dims []int64, layouts []space.Layout, roles []space.Role, model, models int) ([]float64, []int64) {
	if len(layouts) > 1 && len(layouts[1]) == 1 && layouts[1][0].Part == space.GroupPart {
		v = as.insideGroups(v, dims, layouts[1][0], model, models, roles[1] == space.Out) // before axis 0 moves the groups
		roles = slices.Clone(roles)
		roles[1] = space.None
	}
	for axis, role := range roles {
		if role != space.None {
			v, dims = as.mapAxis(layouts[axis], model, models, int(dims[axis])).scatter(v, dims, axis, role == space.Out)
		}
	}
	return v, dims
}
