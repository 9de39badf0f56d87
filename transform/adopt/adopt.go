package adopt

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Pair is two models in common form (transform/rewrite) that may be one network.
type Pair struct {
	Like, Model *onnx.Model
	Inputs      map[string]string // Like's inputs → Model's
	// Known reports whether a weight of Like corresponds to one of Model's already: forms are only looked for where
	// others do.
	Known func(weight string) bool
}

// Probe is a set of inputs, by either model's names.
type Probe struct{ Like, Own map[string]*onnx.Tensor }

// Gains reports whether weights that do not correspond yet could: whether Form is worth its runs.
func (p Pair) Gains() (bool, error) {
	pairs, _, err := p.weights()
	for _, w := range pairs {
		if !p.Known(w[0].name) {
			return true, err
		}
	}
	return false, err
}

// weights pairs the weights of both, and indexes Model.
func (p Pair) weights() ([][2]weight, *onnx.Index, error) {
	like, err := onnx.NewIndex(p.Like.Graph())
	if err != nil {
		return nil, nil, err
	}
	own, err := onnx.NewIndex(p.Model.Graph())
	if err != nil {
		return nil, nil, err
	}
	return align(weightsOf(like), weightsOf(own)), own, nil
}

// Form returns Model with everything computed as Like does that is the same in every probe, and how many nodes of Like
// that are; nil and 0 where nothing is the same. Errors are those of the engine.
func (p Pair) Form(ctx context.Context, e calibrate.Engine, probes []Probe) (*onnx.Model, int, error) {
	pairs, ix, err := p.weights()
	if err != nil {
		return nil, 0, err
	}
	refilled, err := refill(p.Like, ix, pairs)
	if err != nil {
		return nil, 0, err
	}
	like, err := newRunner(ctx, e, refilled)
	if err != nil {
		return nil, 0, err
	}
	defer like.session.Close()
	own, err := newRunner(ctx, e, p.Model)
	if err != nil {
		return nil, 0, err
	}
	defer own.session.Close()
	equal, err := equals(ctx, like, own, probes)
	if err != nil {
		return nil, 0, err
	}
	m, nodes := graft(like.ix, own.ix, p, equal)
	return m, nodes, nil
}
