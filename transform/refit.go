package transform

import (
	"context"
	"math"
	"runtime"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
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
	if err := r.outputError(ctx, "none", plain, held, rep); err != nil {
		return nil, err
	}
	for _, way := range candidates[r.o.Settings.Refit] {
		if held.Samples() == 0 && way != "repair" {
			continue // nothing could judge it
		}
		m := *res.Merged
		m.Model = plain.Clone()
		if err := r.try(ctx, way, &m, fit, held, rep); err != nil {
			return nil, err
		}
		if err := r.outputError(ctx, way, m.Model, held, rep); err != nil {
			return nil, err
		}
		if held.Samples() == 0 || rep.Errors[way] <= rep.Errors["none"] {
			rep.Chosen, res.Merged.Model = way, m.Model
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

// outputError notes the relative error of the heads' outputs against the sources', over held-out samples:
// √(Σ|y − y_i|² / Σ|y_i|²), the mean over all outputs.
func (r *run) outputError(ctx context.Context, way string, m *onnx.Model, held calibrate.Source, rep *RefitReport) error {
	if held.Samples() == 0 {
		return nil
	}
	if r.truth == nil {
		side, err := r.p.SideBySide(r.o.Rename)
		if err != nil {
			return err
		}
		if r.truth, err = r.outputs(ctx, side.Model, held); err != nil {
			return err
		}
	}
	got, err := r.outputs(ctx, m, held)
	if err != nil {
		return err
	}
	total, count := 0.0, 0.0
	for name, want := range r.truth {
		var diff, norm float64
		for k, y := range want {
			d := float64(got[name][k]) - float64(y)
			diff += d * d
			norm += float64(y) * float64(y)
		}
		if norm > 0 {
			total += math.Sqrt(diff / norm)
			count++
		}
	}
	rep.Errors[way] = total / max(count, 1)
	return nil
}

// outputs runs a model over a source and returns its floating outputs.
func (r *run) outputs(ctx context.Context, m *onnx.Model, src calibrate.Source) (map[string][]float32, error) {
	out := map[string][]float32{}
	o := calibrate.ForwardOptions{Batch: r.o.Batch, Workers: r.o.Workers}
	err := calibrate.Forward(ctx, r.e, m, src, o, func(b calibrate.ForwardBatch) error {
		for name, t := range b.Outputs {
			if !t.DType.IsFloat() {
				continue
			}
			v, err := t.Float32s()
			if err != nil {
				return err
			}
			out[name] = append(out[name], v...)
		}
		return nil
	})
	return out, err
}
