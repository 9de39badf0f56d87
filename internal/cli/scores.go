package cli

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// source is a model that a head came from.
type source struct {
	Head   string
	Model  *onnx.Model
	Logits string            // its output with class scores, "" where it has none
	Rename map[string]string // the merged file's inputs → its own
	Pairs  []eval.Pair       // outputs of the merged file and its own
}

// logitsPair is the pair whose source output holds class scores, if there is one.
func (s source) logitsPair() (eval.Pair, bool) {
	for _, p := range s.Pairs {
		if p.Source == s.Logits {
			return p, true
		}
	}
	return eval.Pair{}, false
}

// taskRow is how one task is done, by the file that is judged and by the source that it came from.
type taskRow struct {
	Head       string     `json:"head"`
	Accuracy   eval.Rate  `json:"accuracy"`
	Source     *eval.Rate `json:"source_accuracy,omitempty"`
	Difference *eval.Diff `json:"difference_points,omitempty"` // to the source, paired on the same samples
}

// scores is the result of an evaluation with labels.
type scores struct {
	Tasks []taskRow `json:"tasks"`
	// Joint is over all tasks, without knowing the task: softmax inside each head, the largest wins.
	Joint              *eval.Rate `json:"joint_accuracy,omitempty"`
	JointStandardised  *eval.Rate `json:"joint_accuracy_standardised,omitempty"`
	JointSkipped       string     `json:"joint_skipped,omitempty"`
	EnsembleJoint      *eval.Rate `json:"ensemble_joint_accuracy,omitempty"`
	JointDifference    *eval.Diff `json:"joint_difference_points,omitempty"`
	SamplesOutsideUsed int        `json:"samples_outside_classes,omitempty"`
	// JointRules are all rules side by side, the file's own joint output among them.
	JointRules []jointRow `json:"joint_rules,omitempty"`

	predictions []eval.Predictions // of the file that is judged, for each task
}

// predictor answers for the tasks given on a test set.
type predictor func(ctx context.Context, set testSet, tasks []eval.Task) ([]eval.Head, error)

// scorer judges models on the same labelled data.
type scorer struct {
	a       *app
	engine  calibrate.Engine
	o       eval.Options
	tests   []testSet
	classes map[string][]int
	calib   data.Source // unlabelled, for the standardised joint rule; nil: without it
}

// ofModel predicts with one file that has all heads.
func (s scorer) ofModel(m *onnx.Model) predictor {
	return func(ctx context.Context, set testSet, tasks []eval.Task) ([]eval.Head, error) {
		return eval.Predict(ctx, s.engine, m, tasks, set.src, s.options("evaluate"))
	}
}

// ofSources predicts each task with its own source.
func (s scorer) ofSources(sources []source) predictor {
	return func(ctx context.Context, set testSet, tasks []eval.Task) ([]eval.Head, error) {
		var heads []eval.Head
		for _, t := range tasks {
			i := slices.IndexFunc(sources, func(x source) bool { return x.Head == t.Head })
			t.Output = sources[i].Logits
			h, err := eval.Predict(ctx, s.engine, sources[i].Model, []eval.Task{t}, eval.Rename(set.src, sources[i].Rename), s.options("evaluate"))
			if err != nil {
				return nil, err
			}
			heads = append(heads, h...)
		}
		return heads, nil
	}
}

func (s scorer) options(stage string) eval.Options {
	o := s.o
	o.Progress = func(done, total int) { s.a.stderr.progress(stage, done, total) }
	return o
}

// judge scores a predictor. Data of one task whose classes have no global numbers is scored on its own,
// all other data together.
func (s scorer) judge(ctx context.Context, tasks []eval.Task, p predictor) (eval.Result, error) {
	var pooled []eval.Head
	var labels []int64
	alone := map[string]eval.TaskResult{}
	for _, set := range s.tests {
		if set.head != "" && s.classes[set.head] == nil {
			r, err := s.judgeAlone(ctx, tasks, set, p)
			if err != nil {
				return eval.Result{}, err
			}
			alone[set.head] = r
			continue
		}
		heads, err := p(ctx, set, tasks)
		if err != nil {
			return eval.Result{}, err
		}
		if pooled == nil {
			pooled = heads
		} else {
			for i := range heads {
				pooled[i].Top = append(pooled[i].Top, heads[i].Top...)
			}
		}
		labels = append(labels, s.global(set)...)
	}
	r := eval.Result{Joint: eval.Joint{Skipped: "the test files number their classes task by task"}}
	if pooled != nil {
		maxima, err := s.maxima(ctx, tasks, p)
		if err != nil {
			return r, err
		}
		if r, err = eval.Score(pooled, labels, maxima); err != nil {
			return r, err
		}
	}
	return withAlone(r, tasks, alone), nil
}

func withAlone(r eval.Result, tasks []eval.Task, alone map[string]eval.TaskResult) eval.Result {
	for i, t := range tasks {
		one, ok := alone[t.Head]
		switch {
		case ok && i < len(r.Tasks) && r.Tasks[i].Head == t.Head:
			r.Tasks[i] = one
		case ok:
			r.Tasks = append(r.Tasks, one)
		}
	}
	return r
}

func (s scorer) judgeAlone(ctx context.Context, tasks []eval.Task, set testSet, p predictor) (eval.TaskResult, error) {
	i := slices.IndexFunc(tasks, func(t eval.Task) bool { return t.Head == set.head })
	heads, err := p(ctx, set, tasks[i:i+1])
	if err != nil {
		return eval.TaskResult{}, err
	}
	r, err := eval.Score(heads, set.labels, nil)
	if err != nil {
		return eval.TaskResult{}, err
	}
	return r.Tasks[0], nil
}

// global turns a task's own labels into global classes. Labels that its head does not have become -1, which
// no head has.
func (s scorer) global(set testSet) []int64 {
	if set.head == "" {
		return set.labels
	}
	classes := s.classes[set.head]
	out := make([]int64, len(set.labels))
	for i, l := range set.labels {
		out[i] = -1
		if l >= 0 && l < int64(len(classes)) {
			out[i] = int64(classes[l])
		}
	}
	return out
}

// against scores a file and its sources on the same data.
func (s scorer) against(ctx context.Context, m *onnx.Model, tasks []eval.Task, sources []source) (*scores, error) {
	ref, err := s.reference(ctx, tasks, sources)
	if err != nil {
		return nil, err
	}
	return s.againstReference(ctx, m, tasks, ref)
}

// reference is how the sources do on the test data.
type reference struct {
	eval.Result
	complete bool // there is a source for every task
}

// reference judges the sources; without any it is nil.
func (s scorer) reference(ctx context.Context, tasks []eval.Task, sources []source) (*reference, error) {
	if len(sources) == 0 {
		return nil, nil
	}
	var known []eval.Task
	for _, t := range tasks {
		if slices.ContainsFunc(sources, func(x source) bool { return x.Head == t.Head }) {
			known = append(known, t)
		}
	}
	r, err := s.judge(ctx, known, s.ofSources(sources))
	return &reference{r, len(known) == len(tasks)}, err
}

// againstReference scores a file and compares it with what is known of its sources.
func (s scorer) againstReference(ctx context.Context, m *onnx.Model, tasks []eval.Task, ref *reference) (*scores, error) {
	mine, err := s.judge(ctx, tasks, s.ofModel(m))
	if err != nil {
		return nil, err
	}
	for _, w := range mine.Warnings {
		s.a.warnOnce(warning{Code: w.Code, Message: w.Message, Head: w.Head})
	}
	out := &scores{JointSkipped: mine.Joint.Skipped, SamplesOutsideUsed: mine.Outside}
	for _, t := range mine.Tasks {
		out.Tasks = append(out.Tasks, taskRow{Head: t.Head, Accuracy: t.Accuracy})
		out.predictions = append(out.predictions, t.Predictions)
	}
	if mine.Joint.Softmax != nil {
		out.Joint = &mine.Joint.Softmax.Accuracy
	}
	if mine.Joint.Standardised != nil {
		out.JointStandardised = &mine.Joint.Standardised.Accuracy
	}
	if out.JointRules, err = jointRules(mine.Joint, ref); err != nil {
		return nil, err
	}
	if out.Joint != nil {
		row, err := s.jointOutput(ctx, m, tasks)
		if err != nil {
			return nil, err
		}
		if row != nil {
			out.JointRules = append(out.JointRules, *row)
		}
	}
	if ref == nil {
		return out, nil
	}
	return out, out.compare(mine, ref)
}

// compare adds the sources' figures.
func (out *scores) compare(mine eval.Result, theirs *reference) error {
	for i := range out.Tasks {
		row := &out.Tasks[i]
		k := slices.IndexFunc(theirs.Tasks, func(t eval.TaskResult) bool { return t.Head == row.Head })
		if k < 0 {
			continue
		}
		row.Source = &theirs.Tasks[k].Accuracy
		d, err := eval.Compare(mine.Tasks[i].Predictions, theirs.Tasks[k].Predictions)
		if err != nil {
			return err
		}
		row.Difference = &d
	}
	if mine.Joint.Softmax != nil && theirs.Joint.Softmax != nil && theirs.complete {
		out.EnsembleJoint = &theirs.Joint.Softmax.Accuracy
		d, err := eval.Compare(mine.Joint.Softmax.Predictions, theirs.Joint.Softmax.Predictions)
		if err != nil {
			return err
		}
		out.JointDifference = &d
	}
	return nil
}
