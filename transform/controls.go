package transform

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Control is a merge that needs no matching, refitted like the real one, on the same samples.
type Control struct {
	Name    string    `json:"name"` // the method that makes it: graft, halves
	Why     string    `json:"what"`
	FLOPs   int64     `json:"flops"`
	Budget  float64   `json:"budget,omitempty"` // of a control that has one: FLOPs relative to one source
	HeldOut Judgement `json:"held_out"`
	// Model is the control itself, its outputs named like the merged model's.
	Model *onnx.Model `json:"-"`
}

// controls makes those controls that are no dearer than the merge and another thing than it: one source's trunk as
// it is, the other heads refitted to it; random features of every source; and the sources side by side, each shrunk. The statistics
// and what the sources make are those of the merge.
func (r *run) controls(ctx context.Context, res *Result) error {
	_, held := splitSource(r.src, HeldOut)
	if held.Samples() == 0 {
		return nil // nothing to judge them by
	}
	merged, err := cost.AtBatch(res.Merged.Model, 1)
	if err != nil {
		return err
	}
	base, err := r.graftBase(ctx, merged.FLOPs)
	if err != nil {
		return err
	}
	for _, c := range []Control{
		{Name: "graft", Why: base + "'s trunk as it is, all heads refitted"},
		{Name: "halves", Why: "random features of every source, none averaged"},
	} {
		if len(r.trunk.Groups) == 0 {
			break // there is no trunk to be made in another way
		}
		s, err := Preset(c.Name)
		if err != nil {
			return err
		}
		s.Seed, s.Base = r.o.Seed, base
		if r.pointless(s) {
			continue
		}
		as, m, flops, err := r.unfitted(ctx, s)
		if err != nil {
			return err
		}
		if (r.uneven() || r.o.Narrow) && flops > merged.FLOPs { // where all models have the same widths, the settings say (pointless)
			continue
		}
		c.FLOPs, c.Model = flops, m.Model
		if _, err := r.leastSquares(ctx, as, m); err != nil {
			if fault.As(err).Code == "too_few_samples" {
				continue // not one batch to judge it by
			}
			return err
		}
		if c.HeldOut, err = r.judge(ctx, c.Model, held); err != nil {
			return err
		}
		if err := r.dress(c.Model); err != nil {
			return err
		}
		res.Report.Controls = append(res.Report.Controls, c)
	}
	r.close() // what the sources make at the trunk's nodes: the last control has none
	c, err := r.shrunk(ctx, res, merged.FLOPs)
	if c.Model != nil {
		res.Report.Controls = append(res.Report.Controls, c)
	}
	return err
}

// shrunk puts the models side by side, each shrunk by itself until they need as many FLOPs together as the merge. Its model is
// nil where the merge is that, or none of the models' widths comes down to so few.
func (r *run) shrunk(ctx context.Context, res *Result, flops int64) (Control, error) {
	c := Control{Name: ControlShrunk, Why: "the sources side by side, each shrunk by itself, at the same FLOPs", FLOPs: flops}
	p := r.p.whole().base()
	one, err := p.flopsLimit(1)
	if err != nil || len(r.p.Sources.Models) < 2 || r.o.Match == "none" || res.Exact {
		return c, err
	}
	s, err := Preset("ensemble")
	if err != nil {
		return c, err
	}
	s.Refit, s.Narrow, s.Seed, s.Budget = "ls", true, r.o.Seed, float64(flops)/one
	o := r.o
	o.Settings, o.Until, o.Joint, o.Controls, o.Progress = s, "", "", false, nil
	other := &run{p: p, e: r.e, src: r.src, o: o, clock: map[string]float64{}, products: r.products}
	defer other.close()
	made, err := other.merge(ctx)
	switch {
	case err != nil && (fault.As(err).Kind == fault.Unsupported || fault.As(err).Kind == fault.Usage):
		return c, nil
	case err != nil:
		return c, err
	case made.Report.Refit == nil || made.Report.Refit.Chosen != "ls":
		return c, nil
	}
	c.FLOPs, c.Budget, c.Model, c.HeldOut = made.Report.Cost.FLOPs, s.Budget, made.Model, made.Report.HeldOut
	return c, nil
}

// ControlShrunk names the control that shares nothing: --method ensemble with a budget.
const ControlShrunk = "shrunk"

// pointless is true of a control that is the merge itself, or a source, or dearer than the merge.
func (r *run) pointless(s Settings) bool {
	single := len(r.p.Sources.Models) < 2
	if s.Represent == "base" {
		return single || s.Base == "" || r.o.Represent == "base" && r.o.Base == s.Base || r.o.Budget > 0 && r.o.Budget < 1
	}
	return r.o.Match == s.Match || single && r.o.Budget == 0
}

// unfitted makes a control without the refit.
func (r *run) unfitted(ctx context.Context, s Settings) (merge.Assignments, *merge.Merged, int64, error) {
	widths := r.widths
	if s.Represent == "base" {
		widths = nil // a source's own
	}
	as, err := r.p.assign(r.trunk, r.stats, s, widths, r.matching(ctx))
	if err != nil {
		return nil, nil, 0, err
	}
	m, err := merge.Build(r.p.Sources, r.trunk, as, merge.Options{Rename: r.o.Rename})
	if err != nil {
		return nil, nil, 0, err
	}
	size, err := cost.AtBatch(m.Model, 1)
	return as, m, size.FLOPs, err
}

// graftBase is the source whose trunk a graft keeps: the first or, where their widths differ, the one that makes the
// dearest graft of at most so many FLOPs, "" where none does.
func (r *run) graftBase(ctx context.Context, most int64) (string, error) {
	if !r.uneven() {
		return r.p.Sources.Models[0].Head, nil
	}
	s, err := Preset("graft")
	if err != nil {
		return "", err
	}
	base, dearest := "", int64(-1)
	for _, m := range r.p.Sources.Models {
		s.Base = m.Head
		_, _, flops, err := r.unfitted(ctx, s)
		if err != nil {
			return "", err
		}
		if flops <= most && flops > dearest {
			base, dearest = m.Head, flops
		}
	}
	return base, nil
}

// uneven reports whether the models have different numbers of features somewhere in the trunk.
func (r *run) uneven() bool {
	return slices.ContainsFunc(r.trunk.Analysis.Spaces, func(sp *space.Space) bool { return !sp.Even() })
}

// randomFeatures keeps random features of the sources, the same share of each: a control that a matching
// has to beat. At a planned width that is not the sources' own, the features that are left out join kept ones at
// random.
func randomFeatures(sp *space.Space, o Settings, widths []int, width int) (merge.Assignment, error) {
	mo := o.matchOptions()
	mo.Seed += uint64(sp.ID)
	if sp.Even() && (width == 0 || width == sp.Dim) {
		z, keep, err := match.RandomHalves(match.Features{Widths: widths}, mo)
		if err != nil {
			return merge.Assignment{}, err
		}
		return keepFeatures(z, keep), nil
	}
	rng := rand.New(rand.NewPCG(mo.Seed, 1))
	orders := make([][]int, len(widths))
	for i, w := range widths {
		orders[i] = rng.Perm(w)
	}
	z, keep := match.Zip{Width: width, Of: make([]int, sp.First(len(widths)))}, make([]int, 0, width)
	for _, feature := range interleaved(sp, orders) {
		if len(keep) < width {
			z.Of[feature] = len(keep)
			keep = append(keep, feature)
		} else {
			z.Of[feature] = rng.IntN(width)
		}
	}
	return keepFeatures(z, keep), nil
}

// interleaved lists the features of all models in turn, each in the given order of its model's, as many of each as is
// its part in them.
func interleaved(sp *space.Space, orders [][]int) []int {
	type place struct {
		at      float64
		feature int
	}
	var all []place
	for i, order := range orders {
		for k, f := range order {
			all = append(all, place{(float64(k) + 0.5) / float64(len(order)), sp.First(i) + f})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	out := make([]int, len(all))
	for k, p := range all {
		out[k] = p.feature
	}
	return out
}

// keepFeatures lets every merged feature imitate one of its members.
func keepFeatures(z match.Zip, keep []int) merge.Assignment {
	a := merge.Assignment{Zip: z, Coef: make([]float64, len(z.Of))}
	for _, k := range keep {
		a.Coef[k] = 1
	}
	return a
}
