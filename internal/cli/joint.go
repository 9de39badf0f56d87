package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/attach"
)

// jointRow is how one rule predicts over all tasks, the task not being told.
type jointRow struct {
	// Rule is softmax or standardised, worked out here from the heads' logits, or "output: RULE" for the file's own
	// joint output.
	Rule       string     `json:"rule"`
	Accuracy   eval.Rate  `json:"accuracy"`
	Ensemble   *eval.Rate `json:"ensemble_accuracy,omitempty"` // the sources' logits by the same rule
	Difference *eval.Diff `json:"difference_points,omitempty"`
}

// standardising is a scorer that works out the standardised rule as well, by the largest logits on unlabelled data.
func (s scorer) standardising(src data.Source) scorer {
	s.calib = src
	return s
}

// maxima are the heads' largest logits on the unlabelled data, nil where there is none.
func (s scorer) maxima(ctx context.Context, tasks []eval.Task, p predictor) ([]eval.Maximum, error) {
	if s.calib == nil || len(tasks) < 2 {
		return nil, nil
	}
	heads, err := p(ctx, testSet{src: s.calib}, tasks)
	if err != nil {
		return nil, err
	}
	return eval.Maxima(heads), nil
}

// jointRules lists what each rule comes to; theirs may be nil.
func jointRules(mine eval.Joint, theirs *reference) ([]jointRow, error) {
	var rows []jointRow
	for _, rule := range []struct {
		name string
		of   func(eval.Joint) *eval.Scored
	}{{"softmax", func(j eval.Joint) *eval.Scored { return j.Softmax }}, {"standardised", func(j eval.Joint) *eval.Scored { return j.Standardised }}} {
		m := rule.of(mine)
		if m == nil {
			continue
		}
		row := jointRow{Rule: rule.name, Accuracy: m.Accuracy}
		if theirs != nil && theirs.complete {
			if t := rule.of(theirs.Joint); t != nil {
				d, err := eval.Compare(m.Predictions, t.Predictions)
				if err != nil {
					return nil, err
				}
				row.Ensemble, row.Difference = &t.Accuracy, &d
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// jointOutput scores a file's own joint output, where it has one and all classes are known.
func (s scorer) jointOutput(ctx context.Context, m *onnx.Model, tasks []eval.Task) (*jointRow, error) {
	name := m.Metadata(attach.JointKey)
	if name == "" || !contains(outputNames(m), name) {
		return nil, nil
	}
	joint := eval.Task{Head: name, Output: name}
	for _, head := range transform.Heads(m) {
		i := slices.IndexFunc(tasks, func(t eval.Task) bool { return t.Head == head })
		if i < 0 || tasks[i].Classes == nil {
			return nil, nil
		}
		joint.Classes = append(joint.Classes, tasks[i].Classes...)
	}
	var all []eval.Head
	var labels []int64
	for _, set := range s.tests {
		if set.head != "" && s.classes[set.head] == nil {
			return nil, nil // numbered task by task
		}
		heads, err := eval.Predict(ctx, s.engine, m, []eval.Task{joint}, set.src, s.options("evaluate"))
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = heads
		} else {
			all[0].Top = append(all[0].Top, heads[0].Top...)
		}
		labels = append(labels, s.global(set)...)
	}
	if all == nil {
		return nil, nil
	}
	r, err := eval.Score(all, labels, nil)
	if err != nil {
		return nil, err
	}
	rule := m.Metadata("onnx_zip.joint.rule")
	if rule == "" { // files from before there were several
		rule = "standardised"
	}
	return &jointRow{Rule: "output: " + rule, Accuracy: r.Tasks[0].Accuracy}, nil
}

// settleJoint checks --joint and names the classes.
func (m *merging) settleJoint() error {
	if m.o.Joint == "" {
		return nil
	}
	if !contains(transform.JointRules, m.o.Joint) {
		return usage("unknown_setting", "there is no --joint=%s", m.o.Joint).WithHint("choose one of %v", transform.JointRules)
	}
	heads := headNames(m.p)
	for _, h := range heads {
		var names []string
		for _, c := range m.scorer.classes[h] {
			names = append(names, fmt.Sprint(c))
		}
		m.o.Classes = append(m.o.Classes, names)
	}
	if m.o.Joint != "task-id" {
		return nil
	}
	for _, h := range heads {
		if !slices.ContainsFunc(m.dataFiles, func(f headed) bool { return f.Head == h }) {
			return usage("no_tasks", "--joint=task-id needs to know which task's data a sample is of, and head %s has none", h).
				WithHint("give data for every head: --data %s=FILE", h)
		}
	}
	return nil
}

// tasksOfSamples says for the task prior which head's data each calibration sample came with.
func (m *merging) tasksOfSamples() []int {
	if m.o.Joint != "task-id" || m.calib == nil {
		return nil
	}
	heads, tasks := headNames(m.p), make([]int, m.calib.Samples())
	for i := range tasks {
		tasks[i] = slices.Index(heads, m.dataFiles[m.calib.Origin(i).Source].Head)
	}
	return tasks
}

// together scores plain models side by side: what their logits come to by each rule, without a merge.
func (e *evaluation) together(ctx context.Context) error {
	first := e.subjects[0]
	if len(e.subjects) < 2 || len(e.scorer.tests) == 0 {
		return nil
	}
	var sources []source
	var tasks []eval.Task
	for _, s := range e.subjects {
		h := s.heads[0]
		if s.merged || h.logits == "" || slices.ContainsFunc(tasks, func(t eval.Task) bool { return t.Head == h.name }) {
			return nil
		}
		rename, err := pairInputs(first.model, s.model)
		if err != nil {
			return nil // other inputs: nothing is common to them
		}
		sources = append(sources, source{Head: h.name, Model: s.model, Logits: h.logits, Rename: rename})
		tasks = append(tasks, eval.Task{Head: h.name, Classes: e.scorer.classes[h.name]})
	}
	sc := e.scorer
	if len(e.f.data) > 0 {
		sc = sc.standardising(e.plain)
	}
	r, err := sc.judge(ctx, tasks, sc.ofSources(sources))
	if err != nil || r.Joint.Softmax == nil {
		return err
	}
	e.result.Together, err = jointRules(r.Joint, nil)
	return err
}

func (e *evaluation) printTogether() {
	if e.result.Together == nil {
		return
	}
	t := &table{}
	t.add("all models together, accuracy, %", "samples", "")
	for _, r := range e.result.Together {
		t.add("joint, "+r.Rule, fmt.Sprint(r.Accuracy.N), rate(r.Accuracy))
	}
	e.a.printf("\n%s", t)
}

// printJoint says how the joint output tells tasks apart.
func (m *merging) printJoint() {
	j := m.res.Report.Joint
	if j == nil || j.Task == nil {
		return
	}
	m.a.paragraph("joint output: the task of %.1f %% of %s is told rightly, from %s", 100*j.Task.Accuracy,
		plural(j.Task.HeldOut, "held-out sample"), plural(j.Task.Features, "feature"))
}
