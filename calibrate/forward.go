package calibrate

import (
	"context"
	"runtime"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// ForwardOptions says how Forward runs. The zero value is useful.
type ForwardOptions struct {
	// Outputs names the values wanted: any of the graph, nil for the model's own outputs. What they do
	// not need is not computed.
	Outputs []string
	// Batch, Workers and Threads are those of CaptureOptions.
	Batch, Workers, Threads int
}

// ForwardBatch is what Forward hands out: the outputs of the samples [From, To), by name, and what went in.
// Each output's first axis counts the samples, as far as the model keeps them apart.
type ForwardBatch struct {
	From, To       int
	Feeds, Outputs map[string]*onnx.Tensor
}

// Forward runs m over src and calls each with every batch, in order and one at a time; an error of each
// ends the run and is returned. Batches run in parallel, but at most Workers of them are held at once.
//
// A model with a fixed batch axis gets its last batch filled up with copies of the last sample; their
// outputs are cut off again.
//
// Errors are those of Capture.
func Forward(ctx context.Context, e Engine, m *onnx.Model, src Source, o ForwardOptions, each func(ForwardBatch) error) error {
	r, err := forwardModel(m, o.Outputs)
	if err != nil {
		return err
	}
	ix, err := onnx.NewIndex(r.Graph())
	if err != nil {
		return err
	}
	f, err := newFeeder(src, ix.Inputs(), orDefault(o.Batch, DefaultBatch))
	if err != nil {
		return err
	}
	s, err := e.Open(ctx, r, SessionOptions{Threads: orDefault(o.Threads, 1)})
	if err != nil {
		return err
	}
	defer s.Close()
	run := func(ctx context.Context, i int) (ForwardBatch, error) { return f.forward(ctx, s, i) }
	emit := func(_ int, b ForwardBatch) error { return each(b) }
	workers := orDefault(o.Workers, runtime.GOMAXPROCS(0))
	return InOrder(ctx, f.batches(), workers, workers, run, emit)
}

// forwardModel returns m itself, or the part of it that computes the wanted outputs.
func forwardModel(m *onnx.Model, outputs []string) (*onnx.Model, error) {
	if outputs == nil {
		return m, nil
	}
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	for _, name := range outputs {
		if !ix.Has(name) {
			return nil, fault.New(fault.Internal, "bad_output", "the model has no such value").AtValue(name)
		}
	}
	r, _, err := restrict(m, ix, outputs, nil)
	if err != nil {
		return nil, err
	}
	for _, name := range outputs {
		v := ix.Output(name)
		if v == nil {
			v = &onnx.ValueInfo{Name: &name} // the engine infers its type
		}
		r.Graph().Output = append(r.Graph().Output, v)
	}
	return r, nil
}

// forward runs batch i.
func (f *feeder) forward(ctx context.Context, s Session, i int) (ForwardBatch, error) {
	from, to := f.bounds(i)
	feeds, err := f.padded(from, to)
	if err != nil {
		return ForwardBatch{}, err
	}
	out, err := s.Run(ctx, feeds)
	if err != nil {
		return ForwardBatch{}, err
	}
	for name, t := range feeds {
		feeds[name] = f.cut(t, to-from)
	}
	for name, t := range out {
		out[name] = f.cut(t, to-from)
	}
	return ForwardBatch{from, to, feeds, out}, nil
}

// cut takes away what padded has added.
func (f *feeder) cut(t *onnx.Tensor, samples int) *onnx.Tensor {
	if samples == f.batch || !f.fixed || len(t.Dims) == 0 || t.Dims[0] != int64(f.batch) {
		return t
	}
	dims := append([]int64{int64(samples)}, t.Dims[1:]...)
	return &onnx.Tensor{DType: t.DType, Dims: dims, Raw: t.Raw[:len(t.Raw)/f.batch*samples]}
}
