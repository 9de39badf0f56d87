package cli

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

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
			if len(t.HeldOut) == 0 && c.above {
				c.add(m, t, "no samples are left to choose by: it shares most")
				return c.take(m, &c.tried[len(c.tried)-1])
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
