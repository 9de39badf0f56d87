package transform

import (
	"context"
	"math"
	"runtime"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// RefitReport is what the refit did. A refit has candidates, from the strongest that was asked for to leaving
// the merge as it is; the first that does not raise the error of the heads' outputs is kept. With few samples
// least squares has to beat repair too.
type RefitReport struct {
	Asked  string `json:"asked"`
	Chosen string `json:"chosen"` // ls, repair, repair_guarded, none
	// Errors are the relative errors of the heads' outputs against their sources on held-out samples, for
	// each candidate that was tried, "none" always among them.
	Errors  map[string]float64 `json:"relative_error"`
	HeldOut int                `json:"held_out_samples"`
	// Repairs or Fits are what the chosen way did to each node.
	Repairs []refit.Outcome `json:"repairs,omitempty"`
	Fits    []refit.Fit     `json:"fits,omitempty"`
	// Enough is the number of samples that would do for every node, where least squares had too few.
	Enough int `json:"samples_wanted,omitempty"`
	// Ways counts what least squares did to the nodes: ls, repair, none. Few lists the nodes that had few positions.
	Ways map[string]int `json:"nodes_by_way,omitempty"`
	Few  []FewSamples   `json:"few_samples,omitempty"`
	// Memory and Scratch are the most bytes that least squares kept between its steps, in memory and in its scratch file.
	Memory  int64 `json:"memory_bytes,omitempty"`
	Scratch int64 `json:"scratch_bytes,omitempty"`
}

// FewSamples is a node that had too few positions to be sure of a least-squares fit.
type FewSamples struct {
	Node   string `json:"node"`
	Way    string `json:"way"`            // what the held-out samples chose for it: ls, repair, none
	Wanted int    `json:"samples_wanted"` // calibration samples that would do for this node
}

// countWays fills in what became of the nodes that least squares looked at.
func (rep *RefitReport) countWays(samples int) {
	if len(rep.Fits) == 0 {
		return
	}
	rep.Ways = map[string]int{}
	for _, f := range rep.Fits {
		rep.Ways[f.Way]++
		if n := enough([]refit.Fit{f}, samples); n > 0 {
			rep.Few = append(rep.Few, FewSamples{f.Node, f.Way, n})
		}
	}
}

// candidates are the ways to refit, in the order in which they are tried.
//
// A repair is not judged node by node at first: it undoes the loss of variance that averaging brings, and a
// node's squared error against the averaged sources does not see that loss (docs/refit.md has the measurements).
// Only where repairing everything makes the outputs worse, each node is judged by its own error.
var candidates = map[string][]string{
	"ls":     {"ls", "repair", "repair_guarded"},
	"repair": {"repair", "repair_guarded"},
}

// refit corrects the merged model and keeps what is best on held-out samples.
func (r *run) refit(ctx context.Context, res *Result) (*RefitReport, error) {
	fit, held := splitSource(r.src, HeldOut)
	rep := &RefitReport{Asked: r.o.Settings.Refit, Chosen: "none", Errors: map[string]float64{}, HeldOut: held.Samples()}
	plain := *res.Merged
	verdict, err := r.judge(ctx, plain.Model, held)
	if err != nil {
		return nil, err
	}
	res.Report.HeldOut = verdict
	if held.Samples() > 0 {
		rep.Errors["none"] = verdict.RelativeError()
	} else if rep.Asked == "ls" {
		rep.Enough = 2 * HeldOut
	}
	for _, way := range candidates[rep.Asked] {
		if held.Samples() == 0 && way != "repair" {
			continue // nothing could judge it
		}
		if rep.Chosen != "none" && (way != "repair" || r.src.Samples() >= fewSamples) {
			break
		}
		m := plain
		m.Model = plain.Model.Clone()
		if err := r.candidate(ctx, way, &m, fit, held, rep, res); err != nil {
			return nil, err
		}
	}
	rep.countWays(fit.Samples())
	if r.sources != nil {
		rep.Memory, rep.Scratch = r.sources.Used()
	}
	return rep, nil
}

// candidate refits m one way and keeps it if it is the best so far.
func (r *run) candidate(ctx context.Context, way string, m *merge.Merged, fit, held calibrate.Source, rep *RefitReport, res *Result) error {
	made := *rep
	err := r.try(ctx, way, m, fit, held, &made)
	if err != nil && way != "repair" && fault.As(err).Code == "too_few_samples" {
		return nil // not one batch to judge it by
	}
	if err != nil {
		return err
	}
	verdict, err := r.judge(ctx, m.Model, held)
	if err != nil {
		return err
	}
	rep.Enough = made.Enough
	if held.Samples() > 0 {
		rep.Errors[way] = verdict.RelativeError()
	}
	if held.Samples() == 0 || rep.Errors[way] <= rep.Errors[rep.Chosen] {
		rep.Chosen, rep.Fits, rep.Repairs = way, made.Fits, made.Repairs
		res.Merged.Model, res.Report.HeldOut = m.Model, verdict
	}
	return nil
}

// fewSamples is the number of samples below which least squares is compared with repair as well, not only with
// leaving the merge as it is.
const fewSamples = 100

// try refits m one way.
func (r *run) try(ctx context.Context, way string, m *merge.Merged, fit, held calibrate.Source, rep *RefitReport) (err error) {
	if way != "ls" {
		if err := r.p.measureNodes(ctx, r.e, r.trunk, fit, r.o.capture(), r.o.Shared, r.stats); err != nil {
			return err
		}
	}
	switch way {
	case "ls":
		rep.Fits, err = r.leastSquares(ctx, r.as, m)
		rep.Enough = enough(rep.Fits, fit.Samples())
	case "repair":
		rep.Repairs, err = r.p.Repair(ctx, r.e, r.trunk, r.as, r.stats, m, fit, nil, r.refitOptions())
	case "repair_guarded":
		rep.Repairs, err = r.p.Repair(ctx, r.e, r.trunk, r.as, r.stats, m, fit, held, r.refitOptions())
	}
	return err
}

// enough is the number of samples at which every node would have had enough positions, 0 where all have.
func enough(fits []refit.Fit, samples int) int {
	n := 0.0
	for _, f := range fits {
		if f.Enough > 0 && f.Samples > 0 {
			n = max(n, float64(samples)*f.Enough/f.Samples)
		}
	}
	return int(math.Ceil(n))
}

func (r *run) refitOptions() refit.Options {
	o := r.o.Refit
	o.Batch, o.Mask = r.o.Batch, r.o.Mask
	o.Workers = r.o.Workers
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}
