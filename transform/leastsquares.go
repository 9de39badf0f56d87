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
	nodes, err := p.linearNodes(t, as, m, side)
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	return refit.LeastSquares(ctx, e, m.Model, side.Model, nodes, fit, held, o)
}
