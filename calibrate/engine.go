// Package calibrate measures what flows through models: it runs them in an engine over unlabelled data
// and accumulates second moments of the values that it is told to tap.
//
// It knows nothing of feature spaces: callers name values and axes. Engines live in packages of their
// own (calibrate/ort, calibrate/gorgonnx), so that this package builds without cgo.
package calibrate

import (
	"context"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Engine runs ONNX models.
type Engine interface {
	// Name says which engine this is and where it runs, for reports: "ONNX Runtime 1.24.3, CPU".
	Name() string
	// Open prepares a model for running. Errors are of kind fault.Runtime (the engine or device failed),
	// fault.Unsupported (this engine cannot run this model) or fault.Model (the model is invalid).
	Open(ctx context.Context, m *onnx.Model, o SessionOptions) (Session, error)
}

// SessionOptions is how a model is prepared. The zero value is useful: every optimisation, threads as
// the engine sees fit.
type SessionOptions struct {
	// Threads is the number of threads inside one Run; 0 leaves it to the engine. 1 makes the result
	// independent of the machine's number of cores.
	Threads int
	// Unoptimized switches graph optimisations off.
	Unoptimized bool
	// Lean gives the memory of a run back to the system when it ends, for sessions of which many are open at once; runs
	// are slower.
	Lean bool
	// ProfilePath, where set, asks for a profile of the run in that file.
	ProfilePath string
}

// Session is a model ready to run. Run may be called from several goroutines at once.
type Session interface {
	// Run computes the model's outputs, by name. Cancelling ctx ends the run with ctx's error.
	Run(ctx context.Context, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error)
	// Close frees the session; it must not be used afterwards.
	Close() error
}

// Source yields calibration or test samples in batches. It can be read any number of times, and Batch may
// be called from several goroutines at once.
type Source interface {
	// Samples is the number of samples.
	Samples() int
	// Batch returns the samples [from, to) as feeds, by input name, the first axis counting samples.
	Batch(from, to int) (map[string]*onnx.Tensor, error)
}
