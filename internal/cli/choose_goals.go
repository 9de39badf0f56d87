package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
)

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
