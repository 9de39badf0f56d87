package transform

import (
	"context"
	"math"
	"runtime"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// RefitReport is what the refit did. A refit has candidates, from the strongest that was asked for to leaving
// the merge as it is; the first that does not raise the error of the heads' outputs is kept.
type RefitReport struct {
	Asked  string `json:"asked"`
	Chosen string `json:"chosen"` // ls, repair, repair_guarded, none
	// Errors are the relative errors of the heads' outputs against their sources on held-out samples, for
	// each candidate that was tried, "none" always among them.
	Errors  map[string]float64 `json:"relative_error"`
	HeldOut int                `json:"held_out_samples"`
	Repairs []refit.Outcome    `json:"repairs,omitempty"`
	Fits    []refit.Fit        `json:"fits,omitempty"`
	// Enough is the number of samples that would do for every node, where some node had too few.
	Enough int `json:"samples_wanted,omitempty"`
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
	plain := res.Merged.Model.Clone()
	verdict, err := r.judge(ctx, plain, held)
	if err != nil {
		return nil, err
	}
	rep.Errors["none"], res.Report.HeldOut = verdict.RelativeError(), verdict
	for _, way := range candidates[r.o.Settings.Refit] {
		if held.Samples() == 0 && way != "repair" {
			continue // nothing could judge it
		}
		m := *res.Merged
		m.Model = plain.Clone()
		if err := r.try(ctx, way, &m, fit, held, rep); err != nil {
			return nil, err
		}
		verdict, err := r.judge(ctx, m.Model, held)
		if err != nil {
			return nil, err
		}
		rep.Errors[way] = verdict.RelativeError()
		if held.Samples() == 0 || rep.Errors[way] <= rep.Errors["none"] {
			rep.Chosen, res.Merged.Model, res.Report.HeldOut = way, m.Model, verdict
			return rep, nil
		}
	}
	return rep, nil
}

// try refits m one way.
func (r *run) try(ctx context.Context, way string, m *merge.Merged, fit, held calibrate.Source, rep *RefitReport) (err error) {
	switch way {
	case "ls":
		rep.Fits, err = r.p.LeastSquares(ctx, r.e, r.trunk, r.as, m, fit, held, r.refitOptions())
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
	o.Batch = r.o.Batch
	o.Workers = r.o.Workers
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}
