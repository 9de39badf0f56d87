package adopt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// tolerance is how far two values may lie apart, relative to the largest element, and still be one value that was
// computed in two ways, in float32. Other weights, or weights in other places, make differences of the size of the
// values themselves.
const tolerance = 1e-4

// runner runs a model and hands out all that its nodes make.
type runner struct {
	session calibrate.Session
	ix      *onnx.Index
	bends   []uint64
}

func newRunner(ctx context.Context, e calibrate.Engine, m *onnx.Model) (*runner, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		return nil, err
	}
	c := &onnx.Model{Proto: onnx.Shallow(m.Proto), File: m.File}
	c.Proto.Graph = onnx.Shallow(m.Graph())
	c.Graph().Output = slices.Clone(c.Graph().Output)
	for _, n := range ix.Order {
		for _, v := range n.GetOutput() {
			if known := shapes[v]; v != "" && ix.Output(v) == nil && known.DType.Size() > 0 {
				c.Graph().Output = append(c.Graph().Output, onnx.NewValueInfo(v, known.DType, nil))
			}
		}
	}
	s, err := e.Open(ctx, c, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	return &runner{s, ix, bends(ix)}, err
}

// equals finds, for values of m, the values of like that are the same in every probe: of the same type, shape and
// contents, made by the same nonlinear operators. Of several the nearest is taken, of equally near ones one of the same
// operator, then the latest.
func equals(ctx context.Context, like, m *runner, probes []Probe) (map[string]string, error) {
	var candidates map[string]map[string]float64 // value of m → those of like → how far apart in the worst probe
	for _, p := range probes {
		x, err := like.session.Run(ctx, p.Like)
		if err != nil {
			return nil, err
		}
		y, err := m.session.Run(ctx, p.Own)
		if err != nil {
			return nil, err
		}
		if candidates == nil {
			candidates = sameForm(like, m, x, y)
		}
		for v, of := range candidates {
			for u, d := range of {
				if d = max(d, apart(x[u], y[v])); d > tolerance {
					delete(of, u)
				} else {
					of[u] = d
				}
			}
		}
	}
	found := map[string]string{}
	for v, of := range candidates {
		if len(of) > 0 {
			found[v] = like.nearest(of, m.ix.Producer(v).GetOpType())
		}
	}
	return found, nil
}

// sameForm lists, for each value of m, the values of like of the same type and shape, made by the same nonlinear
// operators.
func sameForm(like, m *runner, x, y map[string]*onnx.Tensor) map[string]map[string]float64 {
	byForm := map[string][]string{}
	like.each(x, func(v, form string) { byForm[form] = append(byForm[form], v) })
	candidates := map[string]map[string]float64{}
	m.each(y, func(v, form string) {
		candidates[v] = map[string]float64{}
		for _, u := range byForm[form] {
			candidates[v][u] = 0
		}
	})
	return candidates
}

// each calls f for every value that a run gave, with what tells it from those that it cannot equal.
func (r *runner) each(values map[string]*onnx.Tensor, f func(value, form string)) {
	for i, n := range r.ix.Order {
		for _, v := range n.GetOutput() {
			if t := values[v]; t != nil {
				f(v, fmt.Sprint(t.DType, t.Dims, r.bends[i]))
			}
		}
	}
}

// nearest is the value with the smallest distance.
func (r *runner) nearest(of map[string]float64, op string) string {
	values := slices.Collect(maps.Keys(of))
	return slices.MinFunc(values, func(u, v string) int {
		a, b := r.ix.Producer(u), r.ix.Producer(v)
		return cmp.Or(cmp.Compare(of[u], of[v]),
			-cmp.Compare(toInt(a.GetOpType() == op), toInt(b.GetOpType() == op)),
			-cmp.Compare(r.ix.Position(a), r.ix.Position(b)),
			cmp.Compare(u, v))
	})
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// apart is the largest difference of two tensors, relative to the largest finite element; infinite where their shapes
// differ, or their contents where these are no floats.
func apart(a, b *onnx.Tensor) float64 {
	if a.DType != b.DType || !slices.Equal(a.Dims, b.Dims) {
		return math.Inf(1)
	}
	if bytes.Equal(a.Raw, b.Raw) {
		return 0
	}
	x, errX := a.Float64s()
	y, errY := b.Float64s()
	if !a.DType.IsFloat() || errX != nil || errY != nil {
		return math.Inf(1)
	}
	largest, most := 0.0, 0.0
	for k := range y {
		if !math.IsInf(y[k], 0) {
			largest = max(largest, math.Abs(y[k]))
		}
		if x[k] != y[k] && !(math.IsNaN(x[k]) && math.IsNaN(y[k])) {
			most = max(most, math.Abs(x[k]-y[k]))
		}
		if math.IsNaN(most) {
			return math.Inf(1)
		}
	}
	if most == 0 {
		return 0
	}
	return most / largest
}
