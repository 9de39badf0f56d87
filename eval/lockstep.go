package eval

import (
	"context"
	"runtime"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// runnable is a model with data in its own inputs' names and the outputs wanted.
type runnable struct {
	model   *onnx.Model
	src     calibrate.Source
	outputs []string
}

// lockstep runs two models over the same samples and calls each with their outputs, batch by batch, in order.
// Only a few batches of either exist at any moment.
func lockstep(ctx context.Context, e calibrate.Engine, a, b runnable, o Options, each func(samples int, a, b map[string]*onnx.Tensor) error) error {
	if a.src.Samples() != b.src.Samples() {
		return fault.New(fault.Data, "sample_count", "%d and %d samples for the two models", a.src.Samples(), b.src.Samples())
	}
	var err error
	if o.Batch, err = commonBatch(a.model, b.model, o.Batch); err != nil {
		return err
	}
	if o.Workers <= 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	follower := follow(ctx, e, b, o)
	defer follower.stop()
	return calibrate.Forward(ctx, e, a.model, a.src, o.forward(a.outputs), func(first calibrate.ForwardBatch) error {
		second, err := follower.next()
		if err != nil {
			return err
		}
		if first.From != second.From || first.To != second.To {
			return fault.New(fault.Internal, "different_batches", "batches [%d, %d) and [%d, %d)", first.From, first.To, second.From, second.To)
		}
		o.report(first.To, a.src.Samples())
		return each(first.To-first.From, first.Outputs, second.Outputs)
	})
}

// follower runs a model and hands its batches out one by one, when asked for.
type follower struct {
	batches chan calibrate.ForwardBatch // closed when the run has ended,
	failed  chan error                  // and how
	cancel  context.CancelFunc
}

func follow(ctx context.Context, e calibrate.Engine, r runnable, o Options) *follower {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{make(chan calibrate.ForwardBatch), make(chan error, 1), cancel}
	go func() {
		defer close(f.batches)
		f.failed <- calibrate.Forward(ctx, e, r.model, r.src, o.forward(r.outputs), func(batch calibrate.ForwardBatch) error {
			select {
			case f.batches <- batch:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return f
}

// next waits for the next batch. There must be one: the end of a run that went well is an error, too.
func (f *follower) next() (calibrate.ForwardBatch, error) {
	if batch, ok := <-f.batches; ok {
		return batch, nil
	}
	if err := <-f.failed; err != nil {
		return calibrate.ForwardBatch{}, err
	}
	return calibrate.ForwardBatch{}, fault.New(fault.Internal, "different_batches", "one model ran fewer batches than the other")
}

// stop ends the run and waits until it has ended.
func (f *follower) stop() {
	f.cancel()
	for range f.batches {
	}
}

// commonBatch is a batch size that both models can run: the one that either fixes, else the wish.
func commonBatch(a, b *onnx.Model, wish int) (int, error) {
	fixedA, err := fixedBatch(a)
	if err != nil {
		return 0, err
	}
	fixedB, err := fixedBatch(b)
	switch {
	case err != nil:
		return 0, err
	case fixedA > 0 && fixedB > 0 && fixedA != fixedB:
		return 0, fault.New(fault.Unsupported, "different_batches", "%s takes %d samples at once, %s takes %d", a.File, fixedA, b.File, fixedB).
			WithHint("export both with the same batch, or with a free one")
	case fixedA > 0 || fixedB > 0:
		return max(fixedA, fixedB), nil
	}
	return wish, nil
}
