package refit

import (
	"context"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Fit is what LeastSquares did to a node.
type Fit struct {
	Node    string  `json:"node"`
	Head    string  `json:"head,omitempty"`
	At      string  `json:"at"`      // where it was compared with the sources
	Inputs  int     `json:"inputs"`  // weights behind each output
	Samples float64 `json:"samples"` // positions that it was fitted on
	Lambda  float64 `json:"lambda"`  // the ridge chosen; 0 where the node was left alone
	// Before and After are the squared error on held-out samples, relative to the target's variance.
	Before float64 `json:"relative_error_before"`
	After  float64 `json:"relative_error_after"`
	// Enough is the number of positions that would do, where there were too few.
	Enough float64 `json:"samples_wanted,omitempty"`
}

// fewSamples: below so many positions for each weight a fit is doubtful; held-out samples still judge it.
const fewSamples = 4

// LeastSquares refits nodes, in topological order, to what the sources compute there, given what the merged
// network really sees by then (sequential least squares; PLeaS, arXiv 2407.02447, is the idea):
//
//	ΔW = Cov[r, x](Cov[x, x] + λI)⁻¹,  Δb = E[r] − ΔW·E[x],  r = Σ_i M_i·z_i − z
//
// x are the node's inputs (im2col'd), z what it makes, z_i what the sources make there. Corrections shrink
// towards none and are kept only where they lower the error on held-out samples, so that an exact merge
// stays as it is. merged is changed in place; side runs the sources.
func LeastSquares(ctx context.Context, e calibrate.Engine, merged, side *onnx.Model, nodes []Linear, fit, held calibrate.Source, o Options) ([]Fit, error) {
	if held == nil || held.Samples() == 0 {
		return nil, fault.New(fault.Data, "few_samples", "least squares needs held-out samples").
			WithHint("give at least 20 samples, or use --refit repair")
	}
	ix, err := onnx.NewIndex(merged.Graph())
	if err != nil {
		return nil, err
	}
	l := &fitter{engine: e, merged: merged, index: ix, nodes: nodes}
	if l.fit, err = newPair(e, merged, side, fit, nodes, o); err != nil {
		return nil, err
	}
	defer l.fit.close()
	if l.held, err = newPair(e, merged, side, held, nodes, o); err != nil {
		return nil, err
	}
	defer l.held.close()
	for k := range nodes {
		if err := l.node(ctx, k); err != nil {
			return nil, fault.As(err).AtNode(nodes[k].Name)
		}
	}
	return l.fits, nil
}

type fitter struct {
	engine    calibrate.Engine
	merged    *onnx.Model
	index     *onnx.Index
	nodes     []Linear
	fit, held pairWalk
	fits      []Fit
}

func newPair(e calibrate.Engine, merged, side *onnx.Model, src calibrate.Source, nodes []Linear, o Options) (p pairWalk, err error) {
	var mine, theirs [][]string
	for _, n := range nodes {
		mine = append(mine, []string{n.Input, n.At})
		var values []string
		for _, m := range n.Target {
			values = append(values, m.Value)
		}
		theirs = append(theirs, values)
	}
	if p.merged, err = newWalk(e, merged, src, mine, o); err != nil {
		return p, err
	}
	p.truth, err = newWalk(e, side, src, theirs, o)
	return p, err
}

func (p pairWalk) close() {
	p.merged.close()
	if p.truth != nil {
		p.truth.close()
	}
}

func (p pairWalk) advance(ctx context.Context) error {
	if err := p.merged.advance(ctx); err != nil {
		return err
	}
	return p.truth.advance(ctx)
}

// node fits one node and lets the walks go on with its new weights.
func (l *fitter) node(ctx context.Context, k int) error {
	n := l.nodes[k]
	for _, p := range []pairWalk{l.fit, l.held} {
		if err := p.advance(ctx); err != nil {
			return err
		}
	}
	node := l.index.Producer(n.Node)
	kernel, ok := kernelOf(l.index, node)
	if !ok {
		return nil
	}
	dims := l.index.Initializer(n.Weight).GetDims()
	systems, err := l.fit.normals(ctx, l.engine, n, kernel, dims)
	if err != nil {
		return err
	}
	judges, err := l.held.normals(ctx, l.engine, n, kernel, dims)
	if err != nil {
		return err
	}
	f := Fit{Node: n.Name, Head: n.Head, At: n.At, Inputs: kernel.inputs(dims), Samples: systems[0].n}
	if enough := fewSamples * float64(f.Inputs); f.Samples < enough {
		f.Enough = enough
	}
	variance, err := l.variance(n)
	if err != nil {
		return err
	}
	corrections := l.solveAll(systems, judges, &f, variance)
	l.fits = append(l.fits, f)
	if corrections == nil {
		return nil
	}
	if err := correctNode(l.merged, node, n, kernel, corrections); err != nil {
		return err
	}
	return l.redo(ctx)
}

// redo computes the node again with its new weights.
func (l *fitter) redo(ctx context.Context) error {
	for _, p := range []pairWalk{l.fit, l.held} {
		if err := p.merged.redo(ctx); err != nil {
			return err
		}
	}
	return nil
}

// nothing is the relative error that counts as exact: float32 rounding.
const nothing = 1e-10

// solveAll fits every system of a node; nil where all are best left alone.
func (l *fitter) solveAll(systems, judges []*normal, f *Fit, variance float64) []*correction {
	out := make([]*correction, len(systems))
	changed := false
	for i, m := range systems {
		before := judges[i].energy()
		f.Before += before / variance
		if before <= nothing*variance {
			f.After += before / variance
			continue
		}
		c, lambda, after := m.fit(judges[i])
		out[i] = c
		f.After += after / variance
		f.Lambda = max(f.Lambda, lambda)
		changed = changed || c != nil
	}
	if !changed {
		return nil
	}
	return out
}

// variance is that of the node's target over held-out samples, summed over channels.
func (l *fitter) variance(n Linear) (float64, error) {
	var count, total float64
	var sum, square []float64
	for b := range l.held.merged.batches() {
		_, target, err := pairOf(l.held.merged, l.held.truth, n.At, n.Axis, n.Target, b)
		if err != nil {
			return 0, err
		}
		if sum == nil {
			sum, square = make([]float64, target.channels), make([]float64, target.channels)
		}
		for c, s := range target.sums(make([]float64, target.channels)) {
			sum[c] += s.sum
			square[c] += s.square
		}
		count += float64(target.outer * target.inner)
	}
	for c := range sum {
		mean := sum[c] / count
		total += max(square[c]/count-mean*mean, 0)
	}
	return max(total, math.SmallestNonzeroFloat32), nil
}
