package eval

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Options says how models are run over data. The zero value is useful; Batch, Workers and Threads are those
// of calibrate.ForwardOptions.
type Options struct {
	Batch, Workers, Threads int
	// Progress, where set, is called after each batch with the number of samples done. Calls do not overlap.
	Progress func(done, total int)
}

func (o Options) forward(outputs []string) calibrate.ForwardOptions {
	return calibrate.ForwardOptions{Outputs: outputs, Batch: o.Batch, Workers: o.Workers, Threads: o.Threads}
}

func (o Options) report(done, total int) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// Head is what one head said about every sample.
type Head struct {
	Task  Task
	Width int   // the number of its outputs
	Top   []Top // by sample
}

// Predict runs m over src. What the tasks' outputs do not need is not computed.
//
// Errors are those of calibrate.Forward, of kind fault.Usage (tasks that the model does not have, or with another
// number of classes) and fault.Unsupported (an output that holds no logits).
func Predict(ctx context.Context, e calibrate.Engine, m *onnx.Model, tasks []Task, src calibrate.Source, o Options) ([]Head, error) {
	tasks, err := resolve(m, tasks)
	if err != nil {
		return nil, err
	}
	heads := make([]Head, len(tasks))
	var outputs []string
	for i, t := range tasks {
		heads[i].Task = t
		if !slices.Contains(outputs, t.Output) {
			outputs = append(outputs, t.Output)
		}
	}
	err = calibrate.Forward(ctx, e, m, src, o.forward(outputs), func(b calibrate.ForwardBatch) error {
		for i := range heads {
			if err := heads[i].add(b); err != nil {
				return fault.As(err).InFile(m.File)
			}
		}
		o.report(b.To, src.Samples())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// add appends the samples of a batch.
func (h *Head) add(b calibrate.ForwardBatch) error {
	rows, width, err := logits(b.Outputs[h.Task.Output], b.To-b.From, h.Task.Output)
	if err != nil {
		return err
	}
	if n := len(h.Task.Classes); h.Task.Classes != nil && n != width {
		return fault.New(fault.Usage, "class_count", "head %q has %d outputs, %d classes are named", h.Task.Head, width, n).
			AtValue(h.Task.Output)
	}
	h.Width = width
	for ; len(rows) > 0; rows = rows[width:] {
		h.Top = append(h.Top, topOf(rows[:width]))
	}
	return nil
}

// logits reads an output of so many samples as rows of class scores: [samples, classes], or the same with axes
// of size 1 behind.
func logits(t *onnx.Tensor, samples int, name string) (rows []float64, width int, err error) {
	if t == nil {
		return nil, 0, fault.New(fault.Runtime, "bad_output", "the engine returned nothing").AtValue(name)
	}
	if !isLogits(t, samples) {
		return nil, 0, fault.New(fault.Unsupported, "no_logits", "dims %v for %d samples are no class scores", t.Dims, samples).
			AtValue(name).WithHint("name the output that holds the logits, shape [samples, classes]")
	}
	rows, err = t.Float64s()
	if err != nil {
		return nil, 0, fault.As(err).AtValue(name)
	}
	return rows, int(t.Dims[1]), nil
}

func isLogits(t *onnx.Tensor, samples int) bool {
	if len(t.Dims) < 2 || t.Dims[0] != int64(samples) || t.Dims[1] < 1 {
		return false
	}
	for _, d := range t.Dims[2:] {
		if d != 1 {
			return false
		}
	}
	return true
}
