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
	nodes, adapters, err := p.linearNodes(t, as, m, side)
	if err != nil {
		return nil, err
	}
	var fits []refit.Fit
	if len(nodes) > 0 {
		if fits, err = refit.LeastSquares(ctx, m.Model, nodes, s); err != nil {
			return nil, err
		}
	}
	return fits, adapters.fold(fits)
}

// leastSquares is that of Prepared, with the sources that all merges of a run share.
func (r *run) leastSquares(ctx context.Context, as merge.Assignments, m *merge.Merged) ([]refit.Fit, error) {
	side, err := r.p.SideBySide(nil)
	if err != nil {
		return nil, err
	}
	return r.p.leastSquares(ctx, r.trunk, as, m, side, r.fitSources(side))
}

// fitSources are the sources that all merges of a run are fitted to.
func (r *run) fitSources(side *merge.Merged) *refit.Sources {
	if r.sources == nil {
		fit, held := splitSource(r.src, HeldOut)
		r.sources = refit.NewSources(r.e, side.Model, fit, held, r.refitOptions())
		r.sources.Keep = r.o.Controls || r.o.Match == MatchAuto // other merges follow
	}
	return r.sources
}

// sampleTargets lets the capture keep what least squares will compare the merged network with.
func (r *run) sampleTargets(ctx context.Context) (*calibrate.Extra, error) {
	if !r.fitsLeastSquares() {
		return nil, nil
	}
	m, side, nodes, err := r.foresee()
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	return r.fitSources(side).Sample(ctx, m.Model, nodes)
}

// fitsLeastSquares reports whether nodes will be solved for.
func (r *run) fitsLeastSquares() bool {
	_, held := splitSource(r.src, HeldOut)
	return r.o.Settings.Refit == "ls" && held.Samples() > 0
}

// foresee makes a merged model of the widths to come, and lists the nodes of it that least squares will look at. Who joins
// whom is not known yet, but names and widths are, and they say what it will look at.
func (r *run) foresee() (m, side *merge.Merged, nodes []refit.Linear, err error) {
	widths := r.widths
	if widths == nil {
		widths = r.p.ownWidths(r.trunk, r.o.Settings)
	}
	as := r.p.anyone(widths)
	if m, err = merge.Build(r.p.Sources, r.trunk, as, merge.Options{Rename: r.o.Rename, Ones: true}); err != nil {
		return nil, nil, nil, err
	}
	if side, err = r.p.SideBySide(nil); err != nil {
		return nil, nil, nil, err
	}
	nodes, _, err = r.p.linearNodes(r.trunk, as, m, side)
	return m, side, nodes, err
}

// Need is what a merge keeps while it works, in bytes: of the refit, and of statistics before it.
type Need struct {
	refit.Need
	Statistics Kept `json:"statistics"`
}

// Kept is what second moments take, in bytes: in memory at most refit.Options.Memory and what are single features' and small
// spaces', the rest in files.
type Kept struct {
	Memory  int64 `json:"memory_bytes"`
	Scratch int64 `json:"scratch_bytes"`
}

// Need predicts what a merge with these options keeps between its steps. It is nil where nothing is solved
// for. Errors are Merge's.
func (p *Prepared) Need(ctx context.Context, e calibrate.Engine, src calibrate.Source, o Options) (*Need, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Rename = p.ownNames(o.Rename)
	r := &run{p: p, e: e, src: src, o: o, clock: map[string]float64{}}
	var err error
	if r.p, r.trunk, err = p.trunk(o); err != nil {
		return nil, err
	}
	if src == nil || !o.Narrow && (r.trunk.Exact || !o.needsData() || len(r.trunk.Groups) == 0) || !r.fitsLeastSquares() {
		return nil, nil
	}
	if o.Narrow {
		if err := r.foreseeNarrow(); err != nil {
			return nil, err
		}
	}
	if o.Budget > 0 && r.widths == nil {
		if r.widths, err = r.p.planWidths(r.trunk, o.Settings, o.Rename); err != nil {
			return nil, err
		}
	}
	m, side, nodes, err := r.foresee()
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	sources := r.fitSources(side)
	defer sources.Close()
	var need Need
	taps := append(r.p.narrowed.taps(), tapper{r.p.Sources, r.trunk, side}.taps(o.measuresNodes(), o.measuresPlaces())...)
	need.Statistics.Memory, need.Statistics.Scratch = calibrate.NewScratch("", o.Refit.WithDefaults().Memory).Foresee(taps)
	need.Need, err = sources.Need(ctx, m.Model, nodes)
	return &need, err
}
