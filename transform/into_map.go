package transform

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"gonum.org/v1/gonum/mat"
)

// mapRidges are the ridges of maps to choose from, relative to the mean variance of the trunk's features.
var mapRidges = []float64{1e-3, 1e-2, 1e-1}

// measure returns the moments behind the map of every crossing with features, by its number: of the trunk's features,
// then the model's.
func (f *headFitter) measure(ctx context.Context, src calibrate.Source) (map[int]*calibrate.Moments, error) {
	m := f.in.trunk.Model.Clone()
	g, side := m.Graph(), f.side.Model.Clone().Graph()
	g.Node = append(g.Node, side.Node...)
	g.Initializer = append(g.Initializer, side.Initializer...)
	f.in.imports(m, f.side.Model)
	var taps []calibrate.Tap
	for k, c := range f.h.Crossings {
		if c.Axis < 0 {
			continue
		}
		taps = append(taps, calibrate.Tap{Name: fmt.Sprint(k), Parts: []calibrate.Part{
			{Value: c.Value, Axis: c.Axis, Len: c.Width, Inner: c.Inner},
			{Value: f.side.Values[1][c.Source], Axis: c.Axis, Len: c.SourceWidth, Inner: c.Inner},
		}})
	}
	found, err := calibrate.Capture(ctx, f.e, m, taps, src, calibrate.CaptureOptions{Batch: f.o.Batch, Workers: f.o.Workers, Progress: func(done, total int) {
		if f.o.Progress != nil {
			f.o.Progress("capture", done, total)
		}
	}})
	if err != nil {
		return nil, err
	}
	moments := map[int]*calibrate.Moments{}
	for k := range f.h.Crossings {
		if m := found[fmt.Sprint(k)]; m != nil {
			moments[k] = m
		}
	}
	return moments, nil
}

// solveMaps finds for every crossing the linear map that gives the model's features from the trunk's:
//
//	A = A₀ + (Cov[g, f] − A₀·Cov[f, f])·(Cov[f, f] + λI)⁻¹,  a = E[g] − A·E[f]
//
// f are the trunk's features, g the model's. A₀ takes each feature from the one that is most like it: one to one where
// there are as many (linear assignment), so that a trunk that holds the model's own features in another order is
// matched exactly.
func (f *headFitter) solveMaps(moments map[int]*calibrate.Moments, ridge float64) ([]*attach.Map, error) {
	maps := make([]*attach.Map, len(f.h.Crossings))
	for k, m := range moments {
		var err error
		c := f.h.Crossings[k]
		if maps[k], err = linearMap(m, c.Width, c.SourceWidth, ridge); err != nil {
			return nil, fault.As(err).AtValue(c.Source)
		}
	}
	return maps, nil
}

// linearMap solves for the map from the first `from` of the stacked features to the `to` others.
func linearMap(m *calibrate.Moments, from, to int, ridge float64) (*attach.Map, error) {
	start, err := likest(m, from, to)
	if err != nil {
		return nil, err
	}
	trace := 0.0
	for k := range from {
		trace += m.Covariance(k, k)
	}
	ridge = max(ridge*trace/float64(from), math.SmallestNonzeroFloat32)
	s := mat.NewSymDense(from, nil)
	for i := range from {
		for j := i; j < from; j++ {
			s.SetSym(i, j, m.Covariance(i, j))
		}
		s.SetSym(i, i, s.At(i, i)+ridge)
	}
	rest := mat.NewDense(from, to, nil) // what A₀ leaves of the covariance
	for i := range from {
		for j := range to {
			r := m.Covariance(i, from+j)
			for k := range from {
				if a := start[j*from+k]; a != 0 {
					r -= a * m.Covariance(i, k)
				}
			}
			rest.Set(i, j, r)
		}
	}
	var chol mat.Cholesky
	var delta mat.Dense
	if !chol.Factorize(s) {
		return nil, fault.New(fault.Runtime, "singular", "the covariance of the trunk's features is not positive definite")
	}
	if err := chol.SolveTo(&delta, rest); err != nil {
		return nil, fault.Wrap(fault.Runtime, "singular", err, "the covariance of the trunk's features is ill-conditioned")
	}
	out := &attach.Map{Weight: start, Offset: make([]float64, to)}
	for j := range to {
		out.Offset[j] = m.Mean[from+j]
		for k := range from {
			out.Weight[j*from+k] += delta.At(k, j)
			out.Offset[j] -= out.Weight[j*from+k] * m.Mean[k]
		}
	}
	return out, nil
}

// likest is A₀: the regression of each feature on the one that it correlates with most.
func likest(m *calibrate.Moments, from, to int) ([]float64, error) {
	std := m.Std()
	constant := constants(m)
	correlation := func(j, k int) float64 {
		if constant[k] || constant[from+j] {
			return 0
		}
		return m.Covariance(k, from+j) / (std[k] * std[from+j])
	}
	best := make([]int, to)
	if from == to {
		profit := make([]float64, to*from)
		for j := range to {
			for k := range from {
				profit[j*from+k] = correlation(j, k)
			}
		}
		var err error
		if best, err = match.Assign(to, profit); err != nil {
			return nil, err
		}
	} else {
		for j := range to {
			for k := range from {
				if correlation(j, k) > correlation(j, best[j]) {
					best[j] = k
				}
			}
		}
	}
	a := make([]float64, to*from)
	for j, k := range best {
		if c := correlation(j, k); c != 0 {
			a[j*from+k] = c * std[from+j] / std[k]
		}
	}
	return a, nil
}
