package transform

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// MatchAuto tries several matchings for each space and takes the best.
const MatchAuto = "auto"

// autoMatches are what auto chooses from, the plainest first: where models stem from one checkpoint, features at the same
// place mean the same, and nothing has to be found out from samples.
var autoMatches = []string{"identity", "permute", "subset", "zip"}

// autoTie is how much smaller a residual has to be than that of a plainer matching, relative to it: residuals of a few dozen
// samples are not known better (docs/matching.md).
const autoTie = 0.05

// AutoReport is what match auto did. A space's residual is what is left of the sources' features, where they are read and
// weighted by what reads them, once they are guessed from the merged ones: as the refit will guess them, on held-out samples
// (match.Residual). It is relative to what their mean leaves.
type AutoReport struct {
	Taken   map[string]int `json:"spaces_by_match"` // by residual, of the spaces that could be matched in more than one way
	HeldOut int            `json:"held_out_samples"`
	// Merge is the merge that was kept: "spaces" with these matchings, or "average" where averaging feature by feature in every
	// space came out no worse on the held-out samples. Errors are the relative errors of the heads' outputs of both, weighted by
	// the models' weights where they have some; empty where there were not two.
	Merge    string             `json:"merge"`
	Errors   map[string]float64 `json:"relative_error,omitempty"`
	Weighted bool               `json:"weighted,omitempty"`

	spaces map[*space.Space]autoChoice
}

// Names of the merges that auto compares at last.
const (
	autoSpaces  = "spaces"
	autoAverage = "average"
)

// autoChoice is what was taken for a space.
type autoChoice struct {
	match     string
	residuals map[string]float64
}

// choice is what became of a space; ok is false where there was nothing to choose.
func (a *AutoReport) choice(sp *space.Space) (c autoChoice, ok bool) {
	if a == nil {
		return c, false
	}
	if c, ok = a.spaces[sp]; ok && a.Merge == autoAverage {
		c.match = "identity"
	}
	return c, ok
}

// assignAuto matches each space in every way that is possible and keeps the one of the smallest residual. Where there are too
// few samples to hold any out, it asks where the models come from: those of one checkpoint are averaged feature by feature.
func (r *run) assignAuto(ctx context.Context) (merge.Assignments, *AutoReport, error) {
	_, held := splitSource(r.src, HeldOut)
	c := &chooser{r: r, matches: autoMatches, rep: &AutoReport{
		Taken: map[string]int{}, Merge: autoSpaces, HeldOut: held.Samples(), spaces: map[*space.Space]autoChoice{},
	}}
	if err := c.measure(ctx, held); err != nil {
		return nil, nil, err
	}
	as := merge.Assignments{}
	groups := map[int][]*space.Space{} // heads
	step := r.matching(ctx)
	for k, sp := range r.trunk.Analysis.Spaces {
		if err := step(k, len(r.trunk.Analysis.Spaces)); err != nil {
			return nil, nil, err
		}
		if sp.Heads > 0 && sp.Mode != space.Pinned {
			groups[sp.Group] = append(groups[sp.Group], sp)
			continue
		}
		if keptApart(sp, r.trunk, r.o.Settings) {
			as[sp] = merge.Average(match.Full(r.p.widths(sp)))
			continue
		}
		if err := c.choose([]*space.Space{sp}, as); err != nil {
			return nil, nil, err
		}
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		if err := c.choose(groups[g], as); err != nil {
			return nil, nil, err
		}
	}
	return as, c.rep, step(len(r.trunk.Analysis.Spaces), len(r.trunk.Analysis.Spaces))
}

// chooser chooses matchings.
type chooser struct {
	r       *run
	rep     *AutoReport
	matches []string // the first is taken but where a later one leaves less
	tap     tapper
	held    *Statistics // nil: too few samples
	readers *readerFinder
}

// measure takes the moments of held-out samples wherever spaces are read, as those of the others were taken.
func (c *chooser) measure(ctx context.Context, held calibrate.Source) (err error) {
	r := c.r
	c.readers = r.p.findReaders(r.trunk, r.stats)
	if held.Samples() == 0 {
		return c.byOrigin()
	}
	side, err := r.p.SideBySide(nil)
	if err != nil {
		return err
	}
	c.tap = tapper{r.p.Sources, r.trunk, side}
	m, err := r.o.Shared.capture(ctx, r.e, side.Model, c.tap.taps(false, true), held, r.o.capture())
	if err != nil && fault.As(err).Code == "too_few_samples" { // for a batch that cannot change
		return c.byOrigin()
	}
	c.held = &Statistics{Moments: m, Samples: held.Samples()}
	return err
}

// byOrigin lets where the models come from decide. Of models that are not of one checkpoint, zip comes first: without least
// squares, which the samples are too few for, it is best.
func (c *chooser) byOrigin() error {
	c.rep.HeldOut = 0
	origin, err := c.r.p.Origin()
	if err == nil && origin.Verdict != sameOriginVerdict {
		c.matches = slices.Clone(autoMatches)
		slices.Reverse(c.matches)
	}
	return err
}

// choose matches spaces that have to be matched alike, each possible way, and keeps the best in as.
func (c *chooser) choose(spaces []*space.Space, as merge.Assignments) error {
	tried := map[string]merge.Assignments{}
	var order []string
	for _, name := range c.matches {
		one, err := c.try(spaces, name)
		if err != nil {
			return fault.Wrap(fault.As(err).Kind, "match_failed", err, "space %q", spaces[0].Name)
		}
		if one != nil && !slices.ContainsFunc(order, func(o string) bool { return sameAssignments(tried[o], one) }) {
			order, tried[name] = append(order, name), one
		}
	}
	if len(order) == 0 {
		return fault.New(fault.Unsupported, "no_match", "space %q cannot be matched in any way at this width", spaces[0].Name)
	}
	best := order[0]
	if len(order) > 1 {
		taken := autoChoice{match: best}
		if c.held != nil {
			var err error
			if taken.residuals, err = c.residuals(spaces, tried); err != nil {
				return err
			}
			best = plainest(order, taken.residuals)
			taken.match = best
		}
		for _, sp := range spaces {
			c.rep.spaces[sp] = taken
			c.rep.Taken[best]++
		}
	}
	maps.Copy(as, tried[best])
	return nil
}

// residuals are what each of several assignments leaves of the features of spaces, relative to what their mean leaves.
func (c *chooser) residuals(spaces []*space.Space, tried map[string]merge.Assignments) (map[string]float64, error) {
	left, all := map[string]float64{}, map[string]float64{}
	for _, sp := range spaces {
		places, err := c.places(sp)
		if err != nil {
			return nil, err
		}
		for name, as := range tried {
			for _, at := range places {
				l, a, err := match.Residual(c.r.products, at.fit, at.held, at.weight, c.r.p.widths(sp), as[sp].Zip, as[sp].Coef, c.guess())
				if err != nil {
					return nil, err
				}
				left[name], all[name] = left[name]+l, all[name]+a
			}
		}
	}
	out := map[string]float64{}
	for name := range tried {
		if out[name] = 0; all[name] > 0 {
			out[name] = left[name] / all[name]
		}
	}
	return out, nil
}

// plainest is the first matching whose residual is the smallest but for chance.
func plainest(order []string, residuals map[string]float64) string {
	least := math.Inf(1)
	for _, name := range order {
		least = min(least, residuals[name])
	}
	for _, name := range order {
		if residuals[name]*(1-autoTie) <= least+1e-9 {
			return name
		}
	}
	return order[0]
}

// try matches spaces one way, nil where they cannot be matched so.
func (c *chooser) try(spaces []*space.Space, name string) (merge.Assignments, error) {
	r, s := c.r, c.r.o.Settings
	s.Match = name
	zip := presets["zip"]
	s.Alpha, s.Beta = zip.Alpha, zip.Beta
	many := s.AnyWidth()
	if many && s.Represent == "base" {
		return nil, nil
	}
	out := merge.Assignments{}
	for _, sp := range spaces {
		width := r.widths[sp]
		if many && (sp.Mode != space.Zip || sp.Heads > 0) || !many && width > 0 && width != sp.Dim {
			return nil, nil
		}
		if !many && !sp.Even() && s.Represent != "base" {
			return nil, nil // nothing can be joined one to one
		}
		if name == "subset" && !explains(moments(r.stats, sp), r.p.widths(sp)) {
			return nil, nil // it would be zipped
		}
		a, err := r.p.assignSpace(sp, r.trunk, r.stats, s, width, c.readers)
		if err != nil {
			return nil, err
		}
		out[sp] = a
	}
	if spaces[0].Heads > 0 && spaces[0].Mode != space.Pinned {
		return out, r.p.assignGroup(out, r.trunk, spaces, r.stats, s, nil, c.readers)
	}
	return out, nil
}

func sameAssignments(a, b merge.Assignments) bool {
	for sp, x := range a {
		if y := b[sp]; x.Width != y.Width || !slices.Equal(x.Of, y.Of) || !slices.Equal(x.Coef, y.Coef) {
			return false
		}
	}
	return true
}

// guess is how the refit that was asked for lets features be guessed.
func (c *chooser) guess() match.Guess {
	switch c.r.o.Settings.Refit {
	case "ls":
		return match.Linear
	case "repair":
		return match.Rescaled
	}
	return match.Plain
}

// readPlace is a place where features are read.
type readPlace struct {
	fit, held match.Moments
	weight    []float64
}

// places are those where a space is read. Where no constant weights are known to read it (queries and keys), or features only
// change their places, every feature counts by its variance at the last place.
func (c *chooser) places(sp *space.Space) ([]readPlace, error) {
	var out []readPlace
	readers, err := c.readers.of(sp)
	if err != nil {
		return nil, err
	}
	for k, value := range c.readers.values(sp) {
		weight, err := readers[k].Gram(c.r.products, sp.First(len(c.r.p.Sources.Models)))
		if err != nil {
			return nil, err
		}
		out = append(out, readPlace{matchMoments(c.r.stats.at(sp, value)), matchMoments(c.held.at(sp, value)), weight})
	}
	if out != nil {
		return out, nil
	}
	fit, held := c.r.stats.Space(sp), c.held.Space(sp)
	if all := c.tap.findAll(sp); len(all) > 0 { // where features are dead there, the space's own moments are those of all places
		fit = c.r.stats.at(sp, all[0].value)
	}
	n := len(fit.Mean)
	weight, constant := make([]float64, n*n), constants(fit)
	for k, v := range variances(fit) {
		if !constant[k] {
			weight[k*n+k] = c.r.p.weightOf(sp.Model(k)) / v
		}
	}
	return []readPlace{{matchMoments(fit), matchMoments(held), weight}}, nil
}

func matchMoments(m *calibrate.Moments) match.Moments { return match.Moments{Mean: m.Mean, Cov: m.Cov} }

// resized reports whether a budget gives some space another width than the sources'.
func (r *run) resized() bool {
	for sp, w := range r.widths {
		if w != sp.Dim {
			return true
		}
	}
	return false
}

// holdAgainstAverage makes the merge that averages every space feature by feature too, refitted alike, and keeps it where the
// heads' outputs come no nearer to their sources' without.
func (r *run) holdAgainstAverage(ctx context.Context, res *Result) error {
	_, held := splitSource(r.src, HeldOut)
	s := r.o.Settings
	s.Match = "identity"
	if r.auto.HeldOut == 0 || r.resized() || r.uneven() {
		return nil // nothing to judge by, or no average
	}
	other := *r
	var err error
	if other.as, err = r.p.assign(r.trunk, r.stats, s, r.widths, r.matching(ctx)); err != nil {
		return err
	}
	if sameAssignments(r.as, other.as) {
		return nil
	}
	average := &Result{Trunk: res.Trunk, Exact: r.trunk.Exact || other.fullWidth()}
	if average.Merged, err = merge.Build(r.p.Sources, r.trunk, other.as, merge.Options{Rename: r.o.Rename}); err != nil {
		return err
	}
	if s.Refit != "none" {
		if average.Report.Refit, err = other.refit(ctx, average); err != nil {
			return err
		}
	}
	r.sources = other.sources
	for _, one := range []*Result{res, average} {
		if one.Report.HeldOut == nil {
			if one.Report.HeldOut, err = r.judge(ctx, one.Merged.Model, held); err != nil {
				return err
			}
		}
	}
	r.auto.Weighted = r.p.taskWeights != nil
	r.auto.Errors = map[string]float64{autoSpaces: r.weighed(res.Report.HeldOut), autoAverage: r.weighed(average.Report.HeldOut)}
	if r.auto.Errors[autoAverage] <= r.auto.Errors[autoSpaces] {
		r.as, r.auto.Merge = other.as, autoAverage
		*res = *average
	}
	return nil
}

// weighed is the mean relative error of the outputs, those of each head by the weight of its model.
func (r *run) weighed(j Judgement) float64 {
	sum, total := 0.0, 0.0
	for _, o := range j {
		w := 1.0
		for _, h := range r.p.Heads() {
			if h.Name == o.Head {
				w = r.p.weightOf(h.Source)
			}
		}
		sum, total = sum+w*o.RelativeError, total+w
	}
	return sum / math.Max(total, math.SmallestNonzeroFloat64)
}
