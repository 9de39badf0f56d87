package cli

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// auto is the value of --until and --budget that lets the program choose.
const auto = "auto"

// Goals where none was asked for.
const (
	defaultDrop      = 0.5  // points, with labels
	defaultAgreement = 99.5 // percent, without
)

// Ways to choose.
const (
	chooseCheapest = "cheapest"    // of the merges that keep the goals
	chooseNearest  = "nearest_cut" // of one budget's cuts, the one whose outputs come nearest to the sources'
)

// choosing is the search for a cut, a budget or both.
type choosing struct {
	until, budget bool // which of them is chosen
	mode          string
	lines         [][]sweep.Candidate // each from cheap to dear
	yard          yardstick           // the first half of the test data
	held          halves
	tried         []tried
	models        map[sweep.Spot]*onnx.Model // to be timed, with --minimize latency
	gates         []gate                     // of what was chosen, on the data that it was chosen by; nil where there are no goals
	report        choiceReport
}

// halves of the data that agreement is measured on.
type halves struct {
	first, second data.Source
	what          string // the second, in words
}

// tried is one merge of the search.
type tried struct {
	sweep.Row
	Agreement []agreementRow `json:"agreement,omitempty"`
	Gates     []gate         `json:"gates,omitempty"`
	Keeps     bool           `json:"keeps_goals"`
	Misses    float64        `json:"misses_by"` // the worst goal's: points, percent of the limit for a score; 0 where all are kept
	LatencyMS float64        `json:"latency_ms,omitempty"`

	candidate sweep.Candidate
	spot      sweep.Spot
}

// choiceReport is what the search did.
type choiceReport struct {
	Mode     string   `json:"mode"`
	Minimize string   `json:"minimize,omitempty"`
	Goals    []string `json:"goals,omitempty"` // as flags
	Default  bool     `json:"default_goal"`    // none was asked for
	// Samples of each half: by head for accuracies, "joint", and "agreement" for what is compared without labels.
	ChoiceSamples map[string]int `json:"choice_samples,omitempty"`
	ReportSamples map[string]int `json:"report_samples,omitempty"`
	Chosen        *tried         `json:"chosen,omitempty"`
	Nearest       []tried        `json:"nearest,omitempty"` // where no merge keeps the goals
	Tried         []tried        `json:"tried"`
}

// fixedCut is --until where it names a cut.
func (f *mergeFlags) fixedCut() string {
	if f.until == auto {
		return ""
	}
	return f.until
}

// choosing reads what is to be chosen; nil where nothing is.
func (f *mergeFlags) choosing(s transform.Settings) (*choosing, error) {
	c := &choosing{until: f.until == auto, budget: f.budget == auto, mode: chooseCheapest, models: map[sweep.Spot]*onnx.Model{}}
	switch {
	case f.minimize != "flops" && f.minimize != "latency":
		return nil, usage("bad_flag", "there is no --minimize %q", f.minimize).WithHint("choose flops or latency")
	case !c.until && !c.budget && f.minimize != "flops":
		return nil, usage("bad_flag", "--minimize goes with --until auto or --budget auto only")
	case !c.until && !c.budget:
		return nil, nil
	case c.budget && !s.AnyWidth():
		return nil, usage("bad_flag", "--budget auto needs a matching that can have any width, not --match %s", s.Match).WithHint("--method best has one")
	case s.Match == "none":
		return nil, usage("bad_flag", "--until auto needs a method that shares something")
	}
	if c.until && f.budget != "" && !c.budget {
		c.mode = chooseNearest
	}
	return c, nil
}

// choose finds a cut, a budget or both, and makes them the options of the merge.
func (m *merging) choose(ctx context.Context) error {
	c := m.choice
	m.result.Choice, c.report.Mode = &c.report, c.mode
	if err := c.list(m); err != nil {
		return err
	}
	if c.mode == chooseCheapest {
		c.report.Minimize = m.f.minimize
		if err := c.splitData(m); err != nil {
			return err
		}
	}
	var all []transform.Options
	for _, line := range c.lines {
		for _, one := range line {
			all = append(all, m.optionsOf(one))
		}
	}
	if m.calib != nil {
		shared, err := m.p.Share(ctx, m.engine, m.calib, all)
		if err != nil {
			return err
		}
		m.o.Shared = shared
	}
	if c.mode == chooseNearest {
		return c.nearestCut(ctx, m)
	}
	var err error
	if c.yard, err = m.yardstickOf(ctx, c.yard.scorer); err != nil {
		return err
	}
	return c.cheapest(ctx, m)
}

// optionsOf are those of a candidate's merge; the final one has the joint output and the controls as well.
func (m *merging) optionsOf(c sweep.Candidate) transform.Options {
	o := m.o
	o.Settings, o.Until, o.Joint, o.Controls, o.Judge = c.Settings, c.Cut.Until, "", false, true
	return o
}

// moreCuts is the number of cuts that a search looks at beside sharing all that can be shared.
const moreCuts = 4

// list lists the candidates.
func (c *choosing) list(m *merging) error {
	cuts, err := c.cuts(m)
	if err != nil {
		return err
	}
	budgets := []float64{m.o.Budget}
	if c.budget {
		budgets = sweep.Budgets(len(m.files))
	}
	candidate := func(cut sweep.Cut, budget float64) sweep.Candidate {
		s := m.o.Settings
		s.Budget = budget
		return sweep.Candidate{Kind: sweep.KindCandidate, Method: s.Method, Settings: s, Cut: cut}
	}
	if !c.budget { // what is shared most is cheapest
		var line []sweep.Candidate
		for _, cut := range cuts {
			line = append(line, candidate(cut, budgets[0]))
		}
		c.lines = append(c.lines, line)
		return nil
	}
	for _, cut := range cuts {
		var line []sweep.Candidate
		for _, b := range budgets {
			line = append(line, candidate(cut, b))
		}
		c.lines = append(c.lines, line)
	}
	return nil
}

// cuts are those that may be chosen, the one that shares most first.
func (c *choosing) cuts(m *merging) ([]sweep.Cut, error) {
	shares, err := m.p.Shares(m.trunk)
	if err != nil {
		return nil, err
	}
	if !c.until {
		label := "all"
		if m.o.Until != "" {
			label = fmt.Sprintf("%s (%.0f %%)", m.o.Until, 100*shares.FLOPs)
		}
		return []sweep.Cut{{Until: m.o.Until, Label: label, FLOPs: shares.FLOPs}}, nil
	}
	valid, err := m.p.Cuts()
	if err != nil {
		return nil, err
	}
	n := moreCuts
	if !c.budget {
		n = len(valid)
	}
	cuts := sweep.ChooseCuts(valid, shares.FLOPs, n)
	slices.SortStableFunc(cuts, func(a, b sweep.Cut) int { return int(math.Copysign(1, b.FLOPs-a.FLOPs)) })
	if limit := m.f.gates.minShared; limit != nil {
		cuts = slices.DeleteFunc(cuts, func(cut sweep.Cut) bool { return 100*cut.FLOPs < *limit })
	}
	return cuts, nil
}

// splitData settles the goals and keeps one half of what they are measured on for the report.
func (c *choosing) splitData(m *merging) error {
	c.settleGoals(m)
	g := &m.f.gates
	c.report.ChoiceSamples, c.report.ReportSamples = map[string]int{}, map[string]int{}
	c.yard.scorer = m.scorer
	if len(m.scorer.tests) > 0 {
		first, second, err := halveTests(m.scorer.tests)
		if err != nil {
			return err
		}
		c.yard.scorer.tests, m.scorer.tests = first, second
	}
	if g.minAgreement == nil {
		return nil
	}
	src, what, err := m.heldOut()
	if err != nil {
		return err
	}
	if src == nil {
		return fault.New(fault.Data, "no_data", "there is no data to choose by").WithHint("give unlabelled inputs with --data, or labelled ones with --test")
	}
	if c.held.first, c.held.second, err = data.Split(src, 2); err != nil {
		return err
	}
	c.held.what = "half of the " + what
	c.report.ChoiceSamples["agreement"], c.report.ReportSamples["agreement"] = c.held.first.Samples(), c.held.second.Samples()
	if one := 100 / float64(c.held.first.Samples()); one > 100-*g.minAgreement {
		m.a.warn(warning{Code: "coarse_goal", Message: fmt.Sprintf("of %d samples one is %.1f %%: an agreement of %g %% means that none may differ; more --data, or a lower --min-agreement, would be a finer measure",
			c.held.first.Samples(), one, *g.minAgreement)})
	}
	return nil
}

// settleGoals takes a goal where none was asked for.
func (c *choosing) settleGoals(m *merging) {
	g := &m.f.gates
	if g.maxDrop == nil && g.minJoint == nil && g.minAgreement == nil && g.scoreLimit == nil {
		c.report.Default = true
		drop, agreement := defaultDrop, defaultAgreement
		if len(m.scorer.tests) > 0 {
			g.maxDrop = &drop
		} else {
			g.minAgreement = &agreement
		}
	}
	for _, one := range []struct {
		name  string
		limit *float64
	}{{"max-drop", g.maxDrop}, {"min-joint", g.minJoint}, {"min-agreement", g.minAgreement}, {"score-limit", g.scoreLimit}} {
		if one.limit != nil {
			c.report.Goals = append(c.report.Goals, fmt.Sprintf("--%s %g", one.name, *one.limit))
		}
	}
}

// halveTests splits each test file.
func halveTests(tests []testSet) (first, second []testSet, err error) {
	for _, t := range tests {
		a, b, err := data.Halves(t.src, t.labels)
		if err != nil {
			return nil, nil, err
		}
		for _, half := range []struct {
			src data.Source
			to  *[]testSet
		}{{a, &first}, {b, &second}} {
			labels, err := half.src.Labels()
			if err != nil {
				return nil, nil, err
			}
			*half.to = append(*half.to, testSet{t.head, t.file, half.src, labels})
		}
	}
	return first, second, nil
}

// cheapest searches for the cheapest merge that keeps the goals.
func (c *choosing) cheapest(ctx context.Context, m *merging) error {
	var lines []sweep.Line
	for _, line := range c.lines {
		var l sweep.Line
		for k, one := range line {
			price := one.Settings.Budget
			if !c.budget {
				price = float64(k)
			}
			l.Prices = append(l.Prices, price)
		}
		lines = append(lines, l)
	}
	latency := m.f.minimize == "latency"
	found, err := sweep.Cheapest(lines, !latency, func(s sweep.Spot) (bool, error) { return c.try(ctx, m, s) })
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if found, err = c.lookAround(ctx, m); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return c.notMet(ctx, m)
	}
	if latency {
		if err := c.time(ctx, m, found); err != nil {
			return err
		}
	}
	var best *tried
	for i := range c.tried {
		t := &c.tried[i]
		if slices.Contains(found, t.spot) && (best == nil || t.price(latency) < best.price(latency)) {
			best = t
		}
	}
	c.gates = best.Gates
	c.noteSamples(m, best)
	return c.take(m, best)
}

// nearestShown is the number of merges that are shown where none keeps the goals.
const nearestShown = 3

// lookAround tries the dearest candidates that were not tried until there are three to show: quality does not always grow
// with the price, and one of them may keep the goals after all.
func (c *choosing) lookAround(ctx context.Context, m *merging) ([]sweep.Spot, error) {
	for step := 1; ; step++ {
		left := false
		for l, line := range c.lines {
			made := 0
			for _, t := range c.tried {
				if t.Failed == nil {
					made++
				}
			}
			if made >= nearestShown {
				return nil, nil
			}
			if step >= len(line) {
				continue
			}
			left = true
			spot := sweep.Spot{Line: l, At: len(line) - 1 - step}
			if good, err := c.try(ctx, m, spot); err != nil || good {
				return []sweep.Spot{spot}, err
			}
		}
		if !left {
			return nil, nil
		}
	}
}

// price is what the choice minimises.
func (t *tried) price(latency bool) float64 {
	if latency {
		return t.LatencyMS
	}
	return float64(t.FLOPs)
}

// try makes one candidate and holds it against the goals. An error ends the search.
func (c *choosing) try(ctx context.Context, m *merging, spot sweep.Spot) (bool, error) {
	t := tried{candidate: c.lines[spot.Line][spot.At], spot: spot}
	row, res, err := m.candidate(ctx, t.candidate, m.optionsOf(t.candidate), c.yard)
	t.Row = row
	if err != nil {
		if e := fault.As(err); ctx.Err() != nil || e.Kind != fault.Usage && e.Kind != fault.Correspondence && e.Kind != fault.Unsupported || e.Code == "score_key" {
			return false, err // the next one would fail alike
		}
		c.add(m, t, t.Failed.Message)
		return false, nil
	}
	if c.held.first != nil {
		if t.Agreement, err = m.scorer.agreement(ctx, res.Model, m.sources, c.held.first); err != nil {
			return false, err
		}
		if len(topRows(t.Agreement)) == 0 {
			return false, fault.New(fault.Unsupported, "no_logits", "no output has the shape [samples, classes]: there is no agreement to choose by").
				WithHint("give a --score program and --score-limit")
		}
	}
	t.judge(m)
	if m.f.minimize == "latency" && t.Keeps {
		c.models[spot] = res.Model
	}
	c.add(m, t, t.verdict())
	return t.Keeps, nil
}

// judge holds a candidate against the goals.
func (t *tried) judge(m *merging) {
	s := &scores{Joint: t.Joint, JointSkipped: t.JointSkipped}
	for _, one := range t.Tasks {
		s.Tasks = append(s.Tasks, taskRow(one))
	}
	var score *scoreReport
	if t.Score != nil {
		score = &scoreReport{Result: *t.Score}
	}
	t.Gates, t.Keeps = m.goalGates(s, t.Agreement, score), true
	for _, g := range t.Gates {
		t.Keeps = t.Keeps && g.Passed
		if g.Passed {
			continue
		}
		by := math.Abs(g.Value - g.Limit)
		if g.Name == "score-limit" {
			by *= 100 / max(math.Abs(g.Limit), 1e-12)
		}
		t.Misses = max(t.Misses, by)
	}
}

// verdict says how a candidate stands to the goals.
func (t *tried) verdict() string {
	if t.Keeps {
		return "keeps the goals: " + t.details()
	}
	return "does not keep the goals: " + t.details()
}

// details are how it stands to each goal.
func (t *tried) details() string {
	var parts []string
	for _, g := range t.Gates {
		parts = append(parts, g.Detail)
	}
	return strings.Join(parts, "; ")
}

func (c *choosing) add(m *merging, t tried, what string) {
	c.tried = append(c.tried, t)
	c.report.Tried = c.tried
	if t.Failed != nil {
		m.a.info("%s: %s", t.Name, what)
		return
	}
	m.a.info("%s: %s (%.1f s)", t.Row.String(), what, t.Seconds)
}

// time measures the finalists against each other.
func (c *choosing) time(ctx context.Context, m *merging, found []sweep.Spot) error {
	var subjects []eval.Subject
	for _, s := range found {
		subjects = append(subjects, eval.Subject{Name: c.lines[s.Line][s.At].Name(), Models: []*onnx.Model{c.models[s]}})
	}
	r, err := eval.Latency(ctx, m.engine, subjects, eval.LatencyOptions{Batches: []int{1}})
	if err != nil {
		return err
	}
	for k, s := range found {
		for i := range c.tried {
			if c.tried[i].spot == s {
				c.tried[i].LatencyMS = r.Subjects[k].Batches[0].MedianMS
			}
		}
	}
	return nil
}

// nearestCut takes the cut whose outputs come nearest to the sources' on held-out samples.
func (c *choosing) nearestCut(ctx context.Context, m *merging) error {
	for l, line := range c.lines {
		for k, one := range line {
			t := tried{candidate: one, spot: sweep.Spot{Line: l, At: k}}
			var err error
			if t.Row, _, err = m.candidate(ctx, one, m.optionsOf(one), yardstick{}); err != nil {
				if e := fault.As(err); ctx.Err() != nil || e.Kind != fault.Unsupported {
					return err
				}
				c.add(m, t, t.Failed.Message)
				continue
			}
			if len(t.HeldOut) == 0 {
				return fault.New(fault.Data, "few_samples", "no calibration samples are left to choose a cut by").
					WithHint("give at least %d with --data", 2*transform.HeldOut)
			}
			c.add(m, t, fmt.Sprintf("relative output error %.4f", t.HeldOut.RelativeError()))
		}
	}
	best := nearest(c.tried)
	if best == nil {
		return noneMade(c.tried)
	}
	c.report.ChoiceSamples = map[string]int{"held_out": best.HeldOut[0].Samples}
	return c.take(m, best)
}

// noneMade is the first failure where no candidate could be made.
func noneMade(all []tried) error {
	if len(all) == 0 {
		return fault.New(fault.Unsupported, "no_cut", "there is no cut to choose from").WithHint("`onnx-zip inspect` lists the valid cuts")
	}
	f := all[0].Failed
	return fault.New(fault.KindNamed(f.Kind), f.Code, "no merge could be made; the first, %s: %s", all[0].Name, f.Message)
}

// take makes a candidate's cut and budget the merge's.
func (c *choosing) take(m *merging, t *tried) error {
	c.report.Chosen = t
	m.o.Settings, m.o.Until = t.candidate.Settings, t.candidate.Cut.Until
	var err error
	if m.p, m.trunk, err = m.p.Trunk(m.o); err != nil {
		return err
	}
	if m.result.Shared, err = m.p.SharedLine(m.trunk); err != nil {
		return err
	}
	if m.result.Shares, err = m.p.Shares(m.trunk); err != nil {
		return err
	}
	if m.needsData, err = m.p.NeedsData(m.o); err != nil {
		return err
	}
	m.noteSettings()
	c.print(m)
	return nil
}

// noteSamples counts what the choice and the report are made on.
func (c *choosing) noteSamples(m *merging, t *tried) {
	if c.yard.ref == nil {
		return
	}
	for _, one := range t.Tasks {
		c.report.ChoiceSamples[one.Head] = one.Accuracy.N
	}
	if t.Joint != nil {
		c.report.ChoiceSamples["joint"] = t.Joint.N
	}
}

// noteReported counts what the figures of the chosen merge are of.
func (c *choosing) noteReported(s *scores) {
	if s == nil {
		return
	}
	for _, one := range s.Tasks {
		c.report.ReportSamples[one.Head] = one.Accuracy.N
	}
	if s.Joint != nil {
		c.report.ReportSamples["joint"] = s.Joint.N
	}
}

// notMet is the refusal where nothing keeps the goals; the three that come nearest are shown.
func (c *choosing) notMet(ctx context.Context, m *merging) error {
	made := slices.Clone(c.tried)
	made = slices.DeleteFunc(made, func(t tried) bool { return t.Failed != nil })
	if len(made) == 0 {
		return noneMade(c.tried)
	}
	slices.SortStableFunc(made, func(a, b tried) int { return int(math.Copysign(1, a.Misses-b.Misses)) })
	c.report.Nearest = made[:min(nearestShown, len(made))]
	for _, g := range made[0].Gates {
		m.a.addGate(g)
	}
	c.printNearest(m)
	refusal := error(fault.New(fault.Gate, "goal_not_met", "no merge keeps the goals; the nearest, %s: %s; nothing was written", made[0].Name, made[0].details()).
		WithHint("allow more, or use --method ensemble: it loses nothing; --keep-rejected FILE saves the nearest"))
	if m.f.keepRejected != "" {
		m.o.Settings, m.o.Until = made[0].candidate.Settings, made[0].candidate.Cut.Until
		if err := m.merge(ctx); err != nil {
			return err
		}
		refusal = m.keepRejected(refusal)
	}
	return m.writeReport(refusal)
}
