package transform

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Statistics are the moments that a merge needs, measured in the source models.
type Statistics struct {
	// Moments by tap: spaceTap for the features of a space, all models stacked; nodeTap for the mean and
	// variance of what a linear node makes.
	Moments map[string]*calibrate.Moments
	Samples int
}

// Space returns the moments of a space's features, nil where it was not measured.
func (s *Statistics) Space(sp *space.Space) *calibrate.Moments { return s.Moments[spaceTap(sp)] }

// Node returns mean and variance of what the linear nodes of a group make, all models stacked.
func (s *Statistics) Node(group int) *calibrate.Moments { return s.Moments[nodeTap(group)] }

// Measure runs all sources side by side over src and returns the moments that merging needs: one Gram
// for each space, and with nodes the pre-activation means and variances that a repair aims at.
func (p *Prepared) Measure(ctx context.Context, e calibrate.Engine, t *merge.Trunk, src calibrate.Source, nodes bool, o calibrate.CaptureOptions) (*Statistics, error) {
	side, err := p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	tp := tapper{p.Sources, t}
	taps := tp.spaces(false)
	if nodes {
		taps = append(taps, tp.nodes()...)
	}
	out := &Statistics{Samples: src.Samples(), Moments: map[string]*calibrate.Moments{}}
	if len(taps) == 0 {
		return out, nil
	}
	out.Moments, err = calibrate.Capture(ctx, e, side.Model, taps, src, o)
	return out, err
}

// SideBySide is the sources in one graph that shares the inputs: the ensemble. rename is that of
// merge.Options.
func (p *Prepared) SideBySide(rename map[string]string) (*merge.Merged, error) {
	t, err := merge.FindTrunk(p.Sources, merge.Cut{None: true})
	if err != nil {
		return nil, err
	}
	return merge.Build(p.Sources, t, nil, merge.Options{Rename: rename})
}
