package eval

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Scored is an accuracy with the predictions behind it.
type Scored struct {
	Accuracy    Rate        `json:"accuracy"`
	Predictions Predictions `json:"-"`
}

// TaskResult is how one head does on its own task: on the samples of its classes, among its classes.
type TaskResult struct {
	Head string `json:"head"`
	Scored
}

// Joint is how the heads do together, on the samples of all tasks, without knowing the task.
type Joint struct {
	// Softmax takes the largest probability, after a softmax inside each head.
	Softmax *Scored `json:"softmax,omitempty"`
	// Standardised takes the largest logit, after standardising each head's by the mean and the deviation of its
	// largest logit on calibration data.
	Standardised *Scored `json:"standardised,omitempty"`
	// Skipped says why there is no joint accuracy, StandardisedSkipped why the second rule is missing although
	// statistics were given.
	Skipped             string `json:"skipped,omitempty"`
	StandardisedSkipped string `json:"standardised_skipped,omitempty"`
}

// Result is what Accuracy finds.
type Result struct {
	Tasks []TaskResult `json:"tasks"`
	Joint Joint        `json:"joint"`
	// Outside is the number of samples whose class no head has; they are left out everywhere.
	Outside int `json:"outside"`
	// NotFinite is the number of answers, over samples and heads, with a NaN or infinite logit. They are wrong.
	NotFinite int       `json:"not_finite"`
	Warnings  []Warning `json:"warnings,omitempty"`
}

// AccuracyOptions adds the second joint rule to Options.
type AccuracyOptions struct {
	Options
	// Maxima, where set, adds the standardised joint rule: one for each head, from calibration data.
	Maxima []Maximum
}

// Accuracy runs m over src, whose sample i is of the global class labels[i], and scores its heads. Errors are
// those of Predict and Score.
func Accuracy(ctx context.Context, e calibrate.Engine, m *onnx.Model, tasks []Task, src calibrate.Source, labels []int64, o AccuracyOptions) (Result, error) {
	if len(labels) != src.Samples() { // before hours of work
		return Result{}, labelCount(len(labels), src.Samples())
	}
	heads, err := Predict(ctx, e, m, tasks, src, o.Options)
	if err != nil {
		return Result{}, err
	}
	return Score(heads, labels, o.Maxima)
}

func labelCount(labels, samples int) error {
	return fault.New(fault.Data, "label_count", "%d labels for %d samples", labels, samples)
}

// Score judges heads, of one model or of several, against labels: sample i is of the global class labels[i].
// With maxima the standardised joint rule is scored, too. Errors are of kind fault.Data: a wrong number of labels,
// or no label that any head knows.
func Score(heads []Head, labels []int64, maxima []Maximum) (Result, error) {
	r := Result{Tasks: make([]TaskResult, len(heads))}
	for i, h := range heads {
		if len(h.Top) != len(labels) {
			return Result{}, labelCount(len(labels), len(h.Top))
		}
		r.Tasks[i].Head = h.Task.Head
	}
	known := owners(heads)
	var inside []int
	for sample, label := range labels {
		if known[label] == nil {
			r.Outside++
			continue
		}
		inside = append(inside, sample)
		for _, i := range known[label] {
			top := heads[i].Top[sample]
			r.Tasks[i].Predictions.add(sample, label, heads[i].Task.class(top.Index))
		}
	}
	if len(inside) == 0 {
		return Result{}, fault.New(fault.Data, "labels_outside", "no label is a class of any head").
			WithHint("name the heads' classes with --classes, in the numbering of the labels")
	}
	for i := range r.Tasks {
		r.Tasks[i].rate()
	}
	r.Joint = joint(heads, labels, inside, maxima)
	r.warn(heads)
	return r, nil
}

func (p *Predictions) add(sample int, label, class int64) {
	p.Samples = append(p.Samples, sample)
	p.Labels = append(p.Labels, label)
	p.Classes = append(p.Classes, class)
}

func (s *Scored) rate() { s.Accuracy = rateOf(s.Predictions.Correct()) }

// joint scores both joint rules on the samples inside the union of the tasks.
func joint(heads []Head, labels []int64, inside []int, maxima []Maximum) Joint {
	if why := notJoint(heads); why != "" {
		return Joint{Skipped: why}
	}
	score := func(r rule) *Scored {
		s := &Scored{}
		for _, sample := range inside {
			s.Predictions.add(sample, labels[sample], choose(heads, sample, r))
		}
		s.rate()
		return s
	}
	j := Joint{Softmax: score(softmaxRule)}
	if len(maxima) == 0 {
		return j
	}
	standardised, why := standardisedRule(heads, maxima)
	if why != "" {
		j.StandardisedSkipped = why
		return j
	}
	j.Standardised = score(standardised)
	return j
}

// warn notes what makes the figures doubtful.
func (r *Result) warn(heads []Head) {
	for i, h := range heads {
		bad := 0
		for _, t := range h.Top {
			if t.Index < 0 {
				bad++
			}
		}
		r.NotFinite += bad
		if bad > 0 {
			r.Warnings = append(r.Warnings, Warning{"not_finite", fmt.Sprintf("the logits of %d samples are NaN or infinite; they count as wrong", bad), h.Task.Head})
		}
		if r.Tasks[i].Accuracy.N == 0 {
			r.Warnings = append(r.Warnings, Warning{"no_samples", "the test data has no sample of its classes", h.Task.Head})
		}
	}
	if r.Outside > 0 {
		r.Warnings = append(r.Warnings, Warning{Code: "labels_outside", Message: fmt.Sprintf("%d samples are of classes that no head has; they are left out", r.Outside)})
	}
}
