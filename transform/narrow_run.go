package transform

import (
	"context"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// narrowHeads plans the widths of trunk and heads, chooses what each model keeps behind the trunk, and goes on with the models
// that have only that.
func (r *run) narrowHeads(ctx context.Context) error {
	if r.src == nil || r.src.Samples() == 0 {
		return fault.New(fault.Data, "no_data", "what explains a feature is seen on data only: calibration data is needed").
			WithHint("give unlabelled inputs with --data FILE.npz")
	}
	return r.narrowBy(func(a *alone) (as merge.Assignments, err error) {
		var stats *Statistics
		if err := r.timed("capture", func() (err error) {
			stats, err = r.o.Shared.measure(ctx, r.e, a.tapper(), r.o.measured(r.src), false, true, r.o.capture())
			return err
		}); err != nil {
			return nil, err
		}
		stats.Products = r.products
		err = r.timed("match", func() (err error) {
			as, err = a.choose(ctx, stats, r.o.Settings, r.widths)
			return err
		})
		return as, err
	})
}

// foreseeNarrow does the same without data, whichever features are kept: to tell what a merge needs.
func (r *run) foreseeNarrow() error {
	return r.narrowBy(func(a *alone) (merge.Assignments, error) { return a.any(r.widths), nil })
}

// narrowBy narrows the models to the features that choose keeps.
func (r *run) narrowBy(choose func(*alone) (merge.Assignments, error)) error {
	n, err := r.p.narrow(r.trunk)
	if err != nil {
		return err
	}
	if err := r.timed("match", func() (err error) {
		r.widths, err = n.planWidths(r.o.Settings, r.o.Rename)
		return err
	}); err != nil {
		return err
	}
	for _, a := range n.alone {
		if a.as, err = choose(a); err != nil {
			return err
		}
	}
	r.p, r.trunk, r.widths, err = n.apply(r.o, r.widths)
	return err
}
