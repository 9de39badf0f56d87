package transform

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// LeastSquares refits the linear nodes of trunk and heads in place (refit.LeastSquares).
func (p *Prepared) LeastSquares(ctx context.Context, e calibrate.Engine, t *merge.Trunk, as merge.Assignments, m *merge.Merged, fit, held calibrate.Source, o refit.Options) ([]refit.Fit, error) {
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	s := refit.NewSources(e, side.Model, fit, held, o)
	defer s.Close()
	return p.leastSquares(ctx, t, as, m, side, s)
}

// leastSquares refits against what s has of the sources, or makes them compute.
func (p *Prepared) leastSquares(ctx context.Context, t *merge.Trunk, as merge.Assignments, m, side *merge.Merged, s *refit.Sources) ([]refit.Fit, error) {
	nodes, err := p.linearNodes(t, as, m, side)
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	return refit.LeastSquares(ctx, m.Model, nodes, s)
}

// leastSquares is that of Prepared, with the sources that all merges of a run share.
func (r *run) leastSquares(ctx context.Context, as merge.Assignments, m *merge.Merged) ([]refit.Fit, error) {
	side, err := r.p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	if r.sources == nil {
		fit, held := splitSource(r.src, HeldOut)
		r.sources = refit.NewSources(r.e, side.Model, fit, held, r.refitOptions())
		r.sources.Keep = r.o.Controls || r.o.Match == MatchAuto // other merges follow
	}
	return r.p.leastSquares(ctx, r.trunk, as, m, side, r.sources)
}
