package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/transform"
)

// printResult is the table for people.
func (m *merging) printResult() {
	if m.a.json {
		return
	}
	m.printScores()
	m.printShape()
	m.printControls()
	m.printCost()
	m.printWork()
	if m.result.Output != "" {
		m.a.printf("wrote %s, %sB, heads %s\n", m.result.Output, report.Count(m.result.FileBytes), strings.Join(headNames(m.p), ", "))
	}
	m.a.paragraph("verdict: %s: %s", strings.ReplaceAll(m.a.doc.Verdict, "_", " "), m.a.doc.Reason)
}

func (m *merging) printScores() {
	if s := m.result.Scores; s != nil {
		m.a.printf("\n%s", s.table("merged"))
		if s.Joint == nil && s.JointSkipped != "" {
			m.a.printf("no joint accuracy: %s\n", s.JointSkipped)
		}
	}
	if rows := topRows(m.result.Agreement); len(rows) > 0 {
		t := &table{}
		t.add("head", "same top-1 as its source, %", "on "+m.result.JudgedOn)
		for _, r := range rows {
			t.add(r.Head, rate(*r.Top1), fmt.Sprintf("%d samples", r.Top1.N))
		}
		m.a.printf("\n%s", t)
	}
	if m.result.Score != nil {
		m.a.printf("\n%s\n", m.result.Score.line())
	}
}

// printControls shows what the merge is held against.
func (m *merging) printControls() {
	if len(m.result.Controls) == 0 {
		return
	}
	m.a.printf("\n%s", m.controlTable())
	for _, c := range m.result.Controls {
		m.a.printf("%s: %s\n", c.Name, c.What)
	}
}

// rate is "95.8 [94.4, 96.9]", in percent.
func rate(r eval.Rate) string {
	return fmt.Sprintf("%.1f [%.1f, %.1f]", 100*r.Value, 100*r.Low, 100*r.High)
}

// points is "-1.2 [-2.0, -0.4]".
func points(d eval.Diff) string { return fmt.Sprintf("%+.1f [%+.1f, %+.1f]", d.Points, d.Low, d.High) }

// table is the accuracies, with 95 % intervals.
func (s *scores) table(name string) *table {
	t := &table{}
	t.add("accuracy, %", "samples", name, "source", "difference, points")
	for _, r := range s.Tasks {
		source, diff := "", ""
		if r.Source != nil {
			source, diff = rate(*r.Source), points(*r.Difference)
		}
		t.add(r.Head, fmt.Sprint(r.Accuracy.N), rate(r.Accuracy), source, diff)
	}
	rules := s.JointRules
	if rules == nil && s.Joint != nil {
		rules = []jointRow{{Rule: "softmax", Accuracy: *s.Joint, Ensemble: s.EnsembleJoint, Difference: s.JointDifference}}
	}
	for _, r := range rules {
		source, diff := "", ""
		if r.Ensemble != nil {
			source, diff = rate(*r.Ensemble), points(*r.Difference)
		}
		t.add("joint, "+r.Rule, fmt.Sprint(r.Accuracy.N), rate(r.Accuracy), source, diff)
	}
	return t
}

func (m *merging) printCost() {
	c := m.res.Report.Cost
	t := &table{}
	t.add("cost", "merged", "ensemble", "ratio")
	t.add("parameters", report.Count(c.Params), report.Count(c.EnsembleParams), fmt.Sprintf("%.3f", c.ParamsRatio))
	t.add("FLOPs", report.Count(c.FLOPs), report.Count(c.EnsembleFLOPs), fmt.Sprintf("%.3f", c.FLOPsRatio))
	m.a.printf("\n%s", t)
	if ops := m.res.Report.Operators; len(ops) > 0 {
		m.a.printf("operators that no source has: %s\n", strings.Join(ops, ", "))
	}
}

// printWork says what was done: the repair, the checks, the time.
func (m *merging) printWork() {
	m.a.printf("\n")
	for _, n := range m.res.Report.Narrowed {
		kept, of := n.Features()
		where := ""
		if m.res.Report.Trunk.Nodes > 0 {
			where = "behind the trunk "
		}
		m.a.paragraph("%s%s keeps %d of %d features in %s", where, n.Head, kept, of, plural(len(n.Spaces), "space"))
	}
	if r := m.res.Report.Auto; r != nil {
		m.a.paragraph("%s", autoLine(r))
	}
	if r := m.res.Report.Refit; r != nil {
		m.a.paragraph("refit: %s; relative output error on %s: %s", refitWords[r.Chosen], plural(r.HeldOut, "held-out sample"), refitErrors(r))
	}
	if mask := m.res.Report.Mask; mask != "" {
		m.a.printf("mask: tokens where input %s is 0 counted in no statistics\n", mask)
	}
	m.printFew()
	m.printJoint()
	m.printChecks()
}

// autoLine says what match auto took.
func autoLine(r *transform.AutoReport) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Taken)) {
		parts = append(parts, fmt.Sprintf("%s in %s", name, plural(r.Taken[name], "space")))
	}
	line := "match auto: no space could be matched in more than one way"
	if len(parts) > 0 {
		line = "match auto: " + strings.Join(parts, ", ")
	}
	if r.HeldOut == 0 {
		line += "; too few samples to hold any out, so where the models come from decided"
	}
	if len(r.Errors) == 0 {
		return line
	}
	kept, weighted := "kept", ""
	if r.Merge == "average" {
		kept = "averaging every space feature by feature was kept instead"
	}
	if r.Weighted {
		weighted = "weighted "
	}
	return fmt.Sprintf("%s; %s: %srelative output error on %s %.3f, averaged %.3f", line, kept, weighted, plural(r.HeldOut, "held-out sample"), r.Errors["spaces"], r.Errors["average"])
}

// printChecks says what was verified, and how long everything took.
func (m *merging) printChecks() {
	worst := 0.0
	for _, c := range m.result.Checks {
		worst = max(worst, c.Deviation)
	}
	m.a.paragraph("verified: %s of the written file, largest relative deviation %.1e", plural(len(m.result.Checks), "comparison"), worst)
	var stages []string
	for stage := range m.seconds {
		if m.seconds[stage] >= 0.005 {
			stages = append(stages, stage)
		}
	}
	slices.SortFunc(stages, func(x, y string) int { return stageOrder(x) - stageOrder(y) })
	var parts []string
	total := 0.0
	for _, stage := range stages {
		total += m.seconds[stage]
		parts = append(parts, fmt.Sprintf("%s %.2f", strings.ReplaceAll(stage, "_", " "), m.seconds[stage]))
	}
	m.a.paragraph("seconds: %.2f (%s) on %s", total, strings.Join(parts, ", "), m.engine.Name())
}

// printFew says what became of the nodes that had few samples.
func (m *merging) printFew() {
	r := m.res.Report.Refit
	if r == nil || len(r.Few) == 0 {
		return
	}
	ways, names := map[string]int{}, []string{}
	for _, f := range r.Few {
		ways[f.Way]++
		if len(names) < 3 {
			names = append(names, fmt.Sprintf("%s wants %d", f.Node, f.Wanted))
		}
	}
	if len(r.Few) > len(names) {
		names = append(names, "…")
	}
	m.a.paragraph("few samples for %d of %s: %d solved all the same, %d repaired, %d left as merged, whichever was best on held-out samples (%s)",
		len(r.Few), plural(len(r.Fits), "node"), ways["ls"], ways["repair"], ways["none"], strings.Join(names, ", "))
}

var refitWords = map[string]string{
	"ls": "least squares", "repair": "repair of every node", "repair_guarded": "repair of the nodes that it helps",
	"none": "none, it makes the heads' outputs worse",
}

// refitErrors lists the candidates' errors in the order in which they were tried.
func refitErrors(r *transform.RefitReport) string {
	var parts []string
	for _, way := range []string{"none", "ls", "repair", "repair_guarded"} {
		if e, ok := r.Errors[way]; ok {
			parts = append(parts, fmt.Sprintf("%s %.3f", way, e))
		}
	}
	return strings.Join(parts, ", ")
}

func stageOrder(stage string) int {
	return slices.Index([]string{"prepare", "read_data", "look_at_data", "choose", "capture", "match", "merge", "refit", "average", "controls", "joint", "verify", "evaluate", "score"}, stage)
}
