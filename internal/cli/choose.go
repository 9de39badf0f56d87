package cli

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/data"
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
	above         bool // neither was asked for: how much to share is chosen, since the budget pays for more than one model
	narrow        bool // behind cuts, models are narrowed
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
func (f *mergeFlags) choosing(s transform.Settings, models int, changed func(flag string) bool) (*choosing, error) {
	c := &choosing{until: f.until == auto, budget: f.budget == auto, mode: chooseCheapest, models: map[sweep.Spot]*onnx.Model{}}
	c.narrow = models > 1 && s.Refit == "ls" && s.AnyWidth() && (!changed("narrow") || f.narrow == narrowAll) && f.budget != ""
	switch {
	case c.narrow && f.until == "" && s.Budget > 1 && !changed("narrow") && (s.Match == "subset" || s.Match == transform.MatchAuto):
		c.above, c.mode = true, chooseNearest
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

// moreCuts is the number of cuts that a search looks at beside sharing all that can be shared, aboveCuts that of which the
// first is looked at where no cut was asked for.
const moreCuts, aboveCuts = 4, 3

// sharesNothing is no cut: the models stand side by side, each shrunk.
var sharesNothing = sweep.Shrunk(1, 0).Cut

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
		if cut == sharesNothing {
			one := sweep.Shrunk(budget, m.o.Seed)
			one.Kind = sweep.KindCandidate
			return one
		}
		s := m.o.Settings
		s.Budget, s.Narrow = budget, c.narrow && cut.Until != ""
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
	if !c.until && !c.above {
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
	switch {
	case c.above:
		n = aboveCuts
	case !c.budget && !c.narrow:
		n = len(valid)
	}
	cuts := sweep.ChooseCuts(valid, shares.FLOPs, n)
	if c.above && len(cuts) > 2 {
		cuts = append(cuts[:1], cuts[len(cuts)-1])
	}
	if c.narrow {
		cuts = append(cuts, sharesNothing)
	}
	slices.SortStableFunc(cuts, func(a, b sweep.Cut) int { return int(math.Copysign(1, b.FLOPs-a.FLOPs)) })
	if limit := m.f.gates.minShared; limit != nil {
		cuts = slices.DeleteFunc(cuts, func(cut sweep.Cut) bool { return 100*cut.FLOPs < *limit })
	}
	return cuts, nil
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
