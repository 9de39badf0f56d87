package transform

import (
	"context"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Options say how Merge runs. Settings must come from Preset.
type Options struct {
	Settings
	Until   string // see ParseUntil
	Rename  map[string]string
	Batch   int           // samples in a run of the engine; 0: the default
	Workers int           // runs at once; results do not depend on it
	Refit   refit.Options // memory and scratch space of the refit
	// Joint adds an output over all classes of all heads by one of JointRules; Classes may name each head's entries, Tasks
	// says for task-id which head's task each sample of the calibration data is of.
	Joint    string
	Tasks    []int
	Classes  [][]string
	Controls bool // with refit ls: make the controls too, see Report.Controls
	// Mask names the input [samples, tokens] whose zeros mark tokens that count in no statistics: those of the first
	// model. "": the one that Masks finds, NoMask: none.
	Mask  string
	Judge bool // compare outputs on held-out samples (Report.HeldOut) also where nothing is refitted
	// Shared, where not nil, holds what merges of these sources over the same data have in common.
	Shared   *Shared
	Progress func(stage string, done, total int)
}

// Result is a merge: the model, and what it was made by.
type Result struct {
	Model  *onnx.Model
	Merged *merge.Merged
	Trunk  *merge.Trunk
	// Exact says that the merged model is equal to every source, by construction: nothing is shared, all
	// that is shared is identical, or every feature is kept.
	Exact  bool
	Report Report
}

// HeldOut is the share of the calibration samples that judge a refit instead of feeding it: every n-th.
const HeldOut = 10

// NeedsData reports whether a merge with these options needs calibration data: not where nothing has to be
// matched, as for models of common origin.
func (p *Prepared) NeedsData(o Options) (bool, error) {
	_, t, err := p.trunk(o)
	if err != nil {
		return false, err
	}
	return (o.needsData() && !t.Exact || o.Narrow) && !o.DataFree, nil
}

// trunk finds what a merge with these options shares, and the models that it shares it of: with all prefixes where the
// trunk reaches the nodes that join them, else as they are.
func (p *Prepared) trunk(o Options) (*Prepared, *merge.Trunk, error) {
	p, t, err := p.trunkAsIs(o)
	if err != nil {
		return p, t, err
	}
	if p, t, err = p.inAnyBasis(o, t); err == nil && o.Budget > 0 {
		err = p.markChangeable(t)
	}
	return p, t, err
}

func (p *Prepared) trunkAsIs(o Options) (*Prepared, *merge.Trunk, error) {
	if p.joined != nil {
		p = p.joined
	}
	t, err := p.cut(o)
	if o.Match != "none" && (err != nil || t.ReachesStems(p.Sources)) {
		return p, t, err
	}
	p = p.base()
	t, err = p.cut(o)
	return p, t, err
}

// cut is the trunk of p's models. A cut that is named by its share is that of models as they are.
func (p *Prepared) cut(o Options) (*merge.Trunk, error) {
	if o.Match == "none" {
		return merge.FindTrunk(p.Sources, merge.Cut{None: true})
	}
	cut, err := p.whole().ParseUntil(o.Until)
	if err != nil {
		return nil, err
	}
	cut.Distinct = o.Budget > 0
	return p.findTrunk(cut, o.Settings)
}

// base is p without the others' prefixes in the models.
func (p *Prepared) base() *Prepared {
	if p.Sources.Prefixes == nil {
		return p
	}
	b := *p
	b.Sources, b.joined = p.Sources.Base(), p
	return &b
}

// Merge makes one model of the prepared ones. src is unlabelled calibration data; it may be nil where
// NeedsData is false. Errors are of the kinds of the stages: fault.Usage, Correspondence, Unsupported,
// Runtime, Data.
func (p *Prepared) Merge(ctx context.Context, e calibrate.Engine, src calibrate.Source, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Rename = p.ownNames(o.Rename)
	var err error
	if o.Mask, err = p.mask(o.Mask); err != nil {
		return nil, err
	}
	if o.Shared == nil {
		o.Shared = NewShared()
		defer o.Shared.Close()
	}
	o.Shared.keepAs(o.Refit)
	r := &run{p: p, e: e, src: src, o: o, clock: map[string]float64{}, products: calibrate.NewProducts(ctx, e)}
	defer func() {
		r.products.Close()
		r.close()
	}()
	return r.merge(ctx)
}

// close frees what the run keeps of its sources.
func (r *run) close() {
	if r.sources != nil {
		r.sources.Close()
		r.sources = nil
	}
}

// run is one Merge.
type run struct {
	p        *Prepared
	e        calibrate.Engine
	src      calibrate.Source
	o        Options
	trunk    *merge.Trunk
	stats    *Statistics
	products *calibrate.Products
	as       merge.Assignments
	widths   map[*space.Space]int // planned for a budget; nil: each space keeps its own
	clock    map[string]float64
	sources  *refit.Sources // of least squares, once it was needed
	auto     *AutoReport    // with match auto
}

func (r *run) merge(ctx context.Context) (*Result, error) {
	var err error
	if r.p, r.trunk, err = r.p.trunk(r.o); err != nil {
		return nil, err
	}
	if len(r.trunk.Groups) == 0 && r.o.Match != "none" {
		return nil, r.nothingShared()
	}
	if r.o.Narrow {
		if err := r.narrowHeads(ctx); err != nil {
			return nil, err
		}
	}
	wantsStats := r.o.needsData() && !r.trunk.Exact
	wantsData := (wantsStats || r.o.Narrow) && !r.o.DataFree
	if err := r.match(ctx, wantsStats, wantsData); err != nil {
		return nil, err
	}
	var m *merge.Merged
	if err := r.timed("merge", func() (err error) {
		m, err = merge.Build(r.p.Sources, r.trunk, r.as, merge.Options{Rename: r.o.Rename})
		if err == nil && r.o.DataFree && wantsStats && r.o.Settings.Refit != "none" {
			err = r.p.foldVariance(r.trunk, r.as, r.stats, m)
		}
		return err
	}); err != nil {
		return nil, err
	}
	res := &Result{Merged: m, Trunk: r.trunk, Exact: !r.o.Narrow && (r.trunk.Exact || r.o.Match == "none" || r.fullWidth())}
	if r.o.Settings.Refit != "none" && wantsData {
		if err := r.timed("refit", func() (err error) {
			res.Report.Refit, err = r.refit(ctx, res)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if r.auto != nil {
		if err := r.timed("average", func() error { return r.holdAgainstAverage(ctx, res) }); err != nil {
			return nil, err
		}
	}
	if r.o.Judge && res.Report.HeldOut == nil && r.src != nil {
		if err := r.timed("judge", func() (err error) {
			_, held := splitSource(r.src, HeldOut)
			res.Report.HeldOut, err = r.judge(ctx, res.Merged.Model, held)
			return err
		}); err != nil {
			return nil, err
		}
	}
	if r.o.Controls && wantsData && r.o.Settings.Refit == "ls" {
		if err := r.timed("controls", func() error { return r.controls(ctx, res) }); err != nil {
			return nil, err
		}
	}
	if r.o.Joint != "" {
		if err := r.timed("joint", func() error { return r.joint(ctx, res) }); err != nil {
			return nil, err
		}
	}
	return res, r.finish(res)
}

// match plans the widths, takes the statistics and chooses who joins whom.
func (r *run) match(ctx context.Context, wantsStats, wantsData bool) error {
	if r.o.DataFree && wantsStats {
		if err := r.timed("capture", func() (err error) {
			r.stats, err = r.p.weightStatistics(r.trunk)
			return err
		}); err != nil {
			return err
		}
	}
	if wantsData && (r.src == nil || r.src.Samples() == 0) {
		return fault.New(fault.Data, "no_data", "these models can only be matched by what they compute: calibration data is needed").
			WithHint("give unlabelled inputs with --data FILE.npz")
	}
	if r.o.Budget > 0 && r.widths == nil {
		if err := r.timed("match", func() (err error) {
			r.widths, err = r.p.planWidths(r.trunk, r.o.Settings, r.o.Rename)
			return err
		}); err != nil {
			return err
		}
	}
	if wantsData {
		if err := r.timed("capture", func() error { return r.measure(ctx) }); err != nil {
			return err
		}
	}
	if r.stats != nil {
		r.stats.Products = r.products
	}
	return r.timed("match", func() (err error) {
		if r.o.Match == MatchAuto && wantsData {
			r.as, r.auto, err = r.assignAuto(ctx)
			return err
		}
		r.as, err = r.p.assign(r.trunk, r.stats, r.o.Settings, r.widths, r.matching(ctx))
		return err
	})
}

// matching reports how far the matching of spaces is, and ends it where ctx does.
func (r *run) matching(ctx context.Context) func(done, total int) error {
	return func(done, total int) error {
		if r.o.Progress != nil {
			r.o.Progress("match", done, total)
		}
		return ctx.Err()
	}
}

func (r *run) nothingShared() error {
	if d := r.p.Sources.Pairing.First; d != nil && len(r.p.Sources.Pairing.Nodes) == 0 {
		return r.p.Sources.Pairing.ErrNothing()
	}
	why := "every node is pinned"
	if len(r.trunk.Ends) > 0 {
		why = r.trunk.Ends[0].Node + ": " + r.trunk.Ends[0].Why
	}
	return fault.New(fault.Correspondence, "no_common_trunk", "the models share no trunk: %s", why).
		WithHint("`onnx-zip inspect` shows what ends it; --method ensemble puts them side by side")
}

// fullWidth reports whether no feature was merged with another.
func (r *run) fullWidth() bool {
	for _, a := range r.as {
		if a.Width != len(a.Of) || a.Mix != nil {
			return false
		}
	}
	return true
}

func (r *run) measure(ctx context.Context) (err error) {
	o := r.o.capture()
	if o.Extra, err = r.sampleTargets(ctx); err != nil {
		return err
	}
	r.stats, err = r.p.measureShared(ctx, r.e, r.trunk, r.o.measured(r.src), r.o.measuresNodes(), r.o.measuresPlaces(), o, r.o.Shared)
	return err
}

// measured are the samples that statistics are taken of: what judges a merge has no part in it.
func (o Options) measured(src calibrate.Source) calibrate.Source {
	if o.Settings.Refit != "none" || o.Judge || o.Match == MatchAuto {
		src, _ = splitSource(src, HeldOut)
	}
	return src
}

// measuresNodes reports whether the statistics of linear nodes are needed in any case: least squares needs them
// only where it falls back to a repair, which asks for them then.
func (o Options) measuresNodes() bool { return o.Settings.Refit == "repair" }

// measuresPlaces reports whether spaces are measured wherever they are read.
func (o Options) measuresPlaces() bool { return o.Match == "subset" || o.Match == MatchAuto }

func (o Options) capture() calibrate.CaptureOptions {
	memory := o.Refit.WithDefaults().Memory / 2 // of what one run hands out
	return calibrate.CaptureOptions{Batch: o.Batch, Workers: o.Workers, Mask: o.Mask, MemoryBytes: memory, Progress: func(done, total int) {
		if o.Progress != nil {
			o.Progress("capture", done, total)
		}
	}}
}

// timed notes how long a stage took, in seconds.
func (r *run) timed(stage string, f func() error) error {
	start := time.Now()
	err := f()
	r.clock[stage] += time.Since(start).Seconds()
	return err
}

// finish writes the weights in the sources' type, shares equal tensors again, adds metadata and fills in the report.
func (r *run) finish(res *Result) error {
	res.Model = res.Merged.Model
	if err := r.dress(res.Model); err != nil {
		return err
	}
	if err := r.p.describe(res.Model, res.Merged, r.trunk, r.o); err != nil {
		return err
	}
	size, err := cost.AtBatch(res.Model, 1)
	if err != nil {
		return err
	}
	err = r.report(res, size)
	res.Trunk = r.p.wholeTrunk(res.Trunk)
	return err
}

// dress writes the weights in the sources' type and shares equal tensors again.
func (r *run) dress(m *onnx.Model) error {
	if err := r.p.Precision.Restore(m); err != nil {
		return err
	}
	_, err := rewrite.ShareAgain(m)
	return err
}
