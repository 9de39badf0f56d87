package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/transform"
)

// Row is what came out of one candidate, or what it was compared with. FLOPs are for one sample.
type Row struct {
	Key    string `json:"key"` // hash of everything that decides the row
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Method string `json:"method,omitempty"`
	Until  string `json:"until,omitempty"` // "" shares all that can be shared
	Cut    string `json:"cut,omitempty"`   // Until for people
	// TrunkShare is the share of the first model's FLOPs that lies in the trunk before it is given another width.
	TrunkShare float64             `json:"trunk_flops_share"`
	Budget     float64             `json:"budget,omitempty"` // asked for, relative to one source
	Settings   *transform.Settings `json:"settings,omitempty"`
	Failed     *Failure            `json:"failed,omitempty"`

	Params      int64   `json:"params"`
	FLOPs       int64   `json:"flops"`
	ParamsRatio float64 `json:"params_ratio"` // to the ensemble
	FLOPsRatio  float64 `json:"flops_ratio"`

	Tasks           []Task              `json:"tasks,omitempty"`
	Joint           *eval.Rate          `json:"joint_accuracy,omitempty"`
	JointSkipped    string              `json:"joint_skipped,omitempty"`           // why there is none
	JointDifference *eval.Diff          `json:"joint_difference_points,omitempty"` // to the ensemble
	HeldOut         transform.Judgement `json:"held_out,omitempty"`                // outputs against the sources', without labels
	Refit           string              `json:"refit,omitempty"`                   // what was kept: ls, repair, none
	SamplesWanted   int                 `json:"samples_wanted,omitempty"`          // by its least squares, where there were too few
	Score           *score.Result       `json:"score,omitempty"`                   // of the user's own program
	Exact           bool                `json:"exact,omitempty"`                   // equal to every source by construction

	Seconds float64 `json:"seconds"`
	Front   bool    `json:"pareto"`           // nothing else is as good for as few FLOPs
	File    string  `json:"file,omitempty"`   // in the sweep's folder, where the model was written
	SHA256  string  `json:"sha256,omitempty"` // of File
}

// Task is how one task is done, by the row's model and by its source.
type Task struct {
	Head       string     `json:"head"`
	Accuracy   eval.Rate  `json:"accuracy"`
	Source     *eval.Rate `json:"source_accuracy,omitempty"`
	Difference *eval.Diff `json:"difference_points,omitempty"` // to the source, paired on the same samples
}

// Failure is why a candidate could not be made.
type Failure struct {
	Kind    string `json:"kind"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Words name the method: of a source its head, and a control is called one.
func (r Row) Words() string {
	switch r.Kind {
	case KindSource:
		return r.Name
	case KindControl:
		return r.Method + " (control)"
	}
	return r.Method
}

// Agreements are the shares of held-out samples whose largest entry is the source's, output by output.
func (r Row) Agreements() []Agreement {
	var out []Agreement
	for _, o := range r.HeldOut {
		if o.Agreement != nil {
			n := float64(o.Samples)
			out = append(out, Agreement{o.Head, eval.RateOf(int(math.Round(*o.Agreement*n)), o.Samples)})
		}
	}
	return out
}

// Agreement is a head's.
type Agreement struct {
	Head string
	Top1 eval.Rate
}

// Measures are what rows can be ordered by, each the higher the better.
var Measures = []string{"tasks", "joint", "score", "agreement", "error"}

// Figure is the row's figure of a measure: "tasks" the mean of the tasks' accuracies, "joint" the joint accuracy,
// "score" that of the user's program (negative where a lower one is better), "agreement" the mean of the outputs' agreements, "error" 1 minus the mean relative error of the outputs. ok is false
// where it has none; a source alone has no figure for all tasks.
func (r Row) Figure(measure string) (value float64, ok bool) {
	if r.Failed != nil || r.Kind == KindSource {
		return 0, false
	}
	switch measure {
	case "tasks":
		for _, t := range r.Tasks {
			value += t.Accuracy.Value / float64(len(r.Tasks))
		}
		return value, len(r.Tasks) > 0
	case "joint":
		if r.Joint != nil {
			return r.Joint.Value, true
		}
	case "score":
		if r.Score != nil {
			return r.Score.Figure(), true
		}
	case "agreement":
		return r.HeldOut.Agreement()
	case "error":
		return 1 - r.HeldOut.RelativeError(), len(r.HeldOut) > 0
	}
	return 0, false
}

// MeasureWords say what a measure is, for a chart's axis.
func MeasureWords(measure string) string {
	return map[string]string{
		"tasks": "mean accuracy of the tasks", "joint": "joint accuracy", "score": "score",
		"agreement": "mean agreement with the sources", "error": "1 − relative error of the outputs",
	}[measure]
}

// DefaultMeasure is the strongest that the rows have figures for.
func DefaultMeasure(rows []Row) string {
	for _, measure := range []string{"score", "tasks", "agreement"} {
		if slices.ContainsFunc(rows, func(r Row) bool { _, ok := r.Figure(measure); return ok }) {
			return measure
		}
	}
	return "error"
}

// MarkFront sets Front on the rows that no other beats: none with at most their FLOPs is better, none as good has
// fewer. Of equal rows the one whose outputs are nearer to the sources' is marked, else the first.
func MarkFront(rows []Row, measure string) {
	type point struct {
		at            int
		figure, error float64
	}
	var all []point
	for i := range rows {
		rows[i].Front = false
		if f, ok := rows[i].Figure(measure); ok {
			all = append(all, point{i, f, rows[i].HeldOut.RelativeError()})
		}
	}
	slices.SortStableFunc(all, func(a, b point) int {
		return cmp.Or(cmp.Compare(rows[a.at].FLOPs, rows[b.at].FLOPs), cmp.Compare(b.figure, a.figure), cmp.Compare(a.error, b.error))
	})
	best := math.Inf(-1)
	for _, p := range all {
		if p.figure > best {
			best = p.figure
			rows[p.at].Front = true
		}
	}
}

// Sort orders rows by FLOPs; what failed comes last, in its order.
func Sort(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int {
		switch fa, fb := a.Failed != nil, b.Failed != nil; {
		case fa && fb:
			return 0
		case fa:
			return 1
		case fb:
			return -1
		}
		return cmp.Compare(a.FLOPs, b.FLOPs)
	})
}

// String is for log lines.
func (r Row) String() string {
	if r.Failed != nil {
		return fmt.Sprintf("%s: %s", r.Name, r.Failed.Message)
	}
	return fmt.Sprintf("%s: %.0f %% of the ensemble's FLOPs", r.Name, 100*r.FLOPsRatio)
}

// FailureGroup is candidates that failed for one reason.
type FailureGroup struct {
	Failure
	Names []string
}

// Failures groups what could not be made by the reason.
func Failures(rows []Row) []FailureGroup {
	var out []FailureGroup
	for _, r := range rows {
		if r.Failed == nil {
			continue
		}
		k := slices.IndexFunc(out, func(g FailureGroup) bool { return g.Failure == *r.Failed })
		if k < 0 {
			k, out = len(out), append(out, FailureGroup{Failure: *r.Failed})
		}
		out[k].Names = append(out[k].Names, r.Name)
	}
	return out
}
