package eval

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Subject is what is timed: one model, or several that run one after the other, each in a session of its own.
type Subject struct {
	Name   string
	Models []*onnx.Model
}

// LatencyOptions says how Latency measures. The zero value is useful.
type LatencyOptions struct {
	// Batches are the numbers of samples in a run, 1 and 8 by default. A model that fixes its batch overrules
	// them.
	Batches []int
	// Runs is the number of timed rounds, 50 by default, Warmup that of rounds before them, 5 by default (-1: none).
	Runs, Warmup int
	// Threads is the number of threads inside a run, 1 by default: more measure the machine's load as well.
	Threads int
	// Reference names the subject that ratios refer to; "" stands for the first.
	Reference string
}

// The defaults of LatencyOptions.
const (
	DefaultRuns   = 50
	DefaultWarmup = 5
)

func (o LatencyOptions) withDefaults(subjects []Subject) LatencyOptions {
	if len(o.Batches) == 0 {
		o.Batches = []int{1, 8}
	}
	if o.Runs <= 0 {
		o.Runs = DefaultRuns
	}
	if o.Warmup == 0 {
		o.Warmup = DefaultWarmup
	}
	if o.Threads <= 0 {
		o.Threads = 1
	}
	if o.Reference == "" {
		o.Reference = subjects[0].Name
	}
	return o
}

// LatencyReport is what Latency finds.
type LatencyReport struct {
	Engine    string         `json:"engine"`
	Threads   int            `json:"threads"` // inside a run
	Runs      int            `json:"runs"`    // rounds timed
	Warmup    int            `json:"warmup"`  // rounds before them
	Reference string         `json:"reference"`
	Subjects  []SubjectTimes `json:"subjects"`
}

// SubjectTimes are the times of one subject.
type SubjectTimes struct {
	Name     string       `json:"name"`
	Sessions int          `json:"sessions"` // that run one after the other
	Batches  []BatchTimes `json:"batches"`
}

// BatchTimes are the times of one subject with batches of one size: of the whole batch, not per sample.
type BatchTimes struct {
	Batch    int     `json:"batch"`
	MedianMS float64 `json:"latency_ms"`
	P95MS    float64 `json:"latency_p95_ms"`
	// Ratio is this subject's time over the reference's.
	Ratio Ratio `json:"ratio"`
	// RoundsMS are the times of the single rounds.
	RoundsMS []float64 `json:"-"`
}

// Latency times the subjects against each other on made-up data: standard normal numbers, or zeros and ones
// for integers; free sizes other than the batch are those of cost.Bind.
//
// In each round every subject has its turn, in an order that is random and the same in every call: a machine that
// slows down slows all of them, and none always follows the same other. A turn is one run that is not timed,
// which brings the subject's own weights back into the processor's caches, and one that is. Ratios are taken within
// a round. All sessions are open at the same time, so that all weights are in memory.
//
// Errors are those of Engine.Open and Session.Run, of kind fault.Usage (no such reference) and fault.Unsupported
// (inputs without shapes, fixed batches of different sizes).
func Latency(ctx context.Context, e calibrate.Engine, subjects []Subject, o LatencyOptions) (LatencyReport, error) {
	if len(subjects) == 0 {
		return LatencyReport{}, fault.New(fault.Usage, "no_subjects", "there is nothing to time")
	}
	o = o.withDefaults(subjects)
	reference := slices.IndexFunc(subjects, func(s Subject) bool { return s.Name == o.Reference })
	if reference < 0 {
		return LatencyReport{}, fault.New(fault.Usage, "no_reference", "there is no subject %q to refer to", o.Reference)
	}
	var err error
	if o.Batches, err = latencyBatches(subjects, o.Batches); err != nil {
		return LatencyReport{}, err
	}
	b := &bench{options: o}
	defer b.close()
	if err := b.open(ctx, e, subjects); err != nil {
		return LatencyReport{}, err
	}
	r := LatencyReport{Engine: e.Name(), Threads: o.Threads, Runs: o.Runs, Warmup: max(0, o.Warmup), Reference: o.Reference}
	for _, s := range subjects {
		r.Subjects = append(r.Subjects, SubjectTimes{Name: s.Name, Sessions: len(s.Models)})
	}
	for _, batch := range o.Batches {
		times, err := b.measure(ctx, batch)
		if err != nil {
			return LatencyReport{}, err
		}
		for i := range subjects {
			r.Subjects[i].Batches = append(r.Subjects[i].Batches, summarise(batch, times[i], times[reference]))
		}
	}
	return r, nil
}

// latencyBatches are the batch sizes that all models can run.
func latencyBatches(subjects []Subject, wish []int) ([]int, error) {
	fixed := 0
	for _, s := range subjects {
		for _, m := range s.Models {
			b, err := fixedBatch(m)
			if err != nil {
				return nil, err
			}
			if b > 0 && fixed > 0 && b != fixed {
				return nil, fault.New(fault.Unsupported, "different_batches", "it takes %d samples at once, another model %d", b, fixed).InFile(m.File)
			}
			fixed = max(fixed, b)
		}
	}
	if fixed > 0 {
		return []int{fixed}, nil
	}
	return wish, nil
}

// Times are the times of a subject with batches of that size; ok is false where they were not measured.
func (r LatencyReport) Times(subject string, batch int) (t BatchTimes, ok bool) {
	for _, s := range r.Subjects {
		for _, b := range s.Batches {
			if s.Name == subject && b.Batch == batch {
				return b, true
			}
		}
	}
	return BatchTimes{}, false
}
