//go:build cgo

package ort

import (
	"context"
	"sync"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

// session implements calibrate.Session.
type session struct {
	model   *prepared
	native  *ort.DynamicAdvancedSession
	source  *source
	file    string
	profile string // where the profile goes, "" for none
	large   bool   // what it takes is worth giving back to the system
	lean    bool   // so is what a run takes
	// mu is held for reading during runs, and for writing by Close: the library would crash on a session
	// that is freed while it runs.
	mu sync.RWMutex
}

func (e *Engine) open(m *onnx.Model, o calibrate.SessionOptions) (*session, error) {
	if m == nil {
		return nil, fault.New(fault.Model, "invalid_model", "there is no model")
	}
	if o.Threads < 0 {
		return nil, fault.New(fault.Usage, "bad_threads", "%d threads", o.Threads).WithHint("give 1 or more, or 0 for the engine's choice")
	}
	types, err := outputTypes(m)
	if err != nil {
		return nil, err
	}
	p, err := prepare(m, types)
	if err != nil {
		return nil, err
	}
	options, err := sessionOptions(e.device, o)
	if err != nil {
		return nil, fault.Wrap(fault.Runtime, "runtime_failed", cleaned(err), "the session's options are refused")
	}
	defer options.Destroy()
	src, err := newSource(p.model)
	if err != nil {
		return nil, err
	}
	defer src.remove() // the library has read or mapped it
	native, err := src.session(p.boundInputs(), p.boundOutputs(), options)
	if err != nil {
		return nil, openError(err, m)
	}
	large := src.forget()
	return &session{model: p.trimmed(), native: native, source: src, file: m.File, profile: o.ProfilePath, large: large || o.Lean, lean: o.Lean}, nil
}

// sessionOptions fills in what every session needs. The caller destroys the result.
func sessionOptions(d device, o calibrate.SessionOptions) (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	set := []func() error{
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.SetIntraOpNumThreads(o.Threads) }, // 0: the library's choice
	}
	if o.Unoptimized {
		set = append(set, func() error {
			return options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelDisableAll)
		})
	}
	if o.Lean { // arenas keep the most that a run ever took
		set = append(set, func() error { return options.SetCpuMemArena(false) }, func() error { return options.SetMemPattern(false) })
	}
	if o.ProfilePath != "" {
		set = append(set, func() error { return options.EnableProfiling(o.ProfilePath) })
	}
	if d.cuda {
		set = append(set, func() error { return appendCUDA(options, d.index) })
	}
	for _, f := range set {
		if err := f(); err != nil {
			options.Destroy()
			return nil, err
		}
	}
	return options, nil
}

// Run computes the outputs. The feeds are read in place and must not change meanwhile. A cancelled ctx ends
// the run between two nodes, not within one; the session stays usable.
//
// Errors are ctx's, of kind fault.Data (feeds that do not fit) or of kind fault.Runtime.
func (s *session) Run(ctx context.Context, feeds map[string]*onnx.Tensor) (out map[string]*onnx.Tensor, err error) {
	defer guard(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := checkFeeds(s.model.inputs, feeds); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.native == nil {
		return nil, fault.New(fault.Internal, "session_closed", "the session is closed")
	}
	args, err := newArguments(s.model, feeds)
	if err != nil {
		return nil, err
	}
	defer args.release()
	if s.lean {
		defer trim()
	}
	values := make([]ort.Value, len(s.model.outputs))
	defer func() { destroy(values) }()
	if err := s.run(ctx, args.values, values); err != nil {
		return nil, err
	}
	out = make(map[string]*onnx.Tensor, len(values))
	for i, v := range values {
		if out[s.model.outputs[i].name], err = tensorOf(v, s.model.outputs[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// run calls the library, with a flag that ends the run when ctx does.
func (s *session) run(ctx context.Context, inputs, outputs []ort.Value) error {
	options, err := ort.NewRunOptions()
	if err != nil {
		return fault.Wrap(fault.Runtime, "runtime_failed", err, "the run's options are refused")
	}
	defer options.Destroy()
	terminated := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(terminated)
		options.Terminate() // it cannot fail on options that exist
	})
	err = s.native.RunWithOptions(inputs, outputs, options)
	if !stop() {
		<-terminated // the options are in use until then
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return runError(err, s.file)
}

// Close frees the session once its runs have ended. Closing twice does nothing.
func (s *session) Close() (err error) {
	defer guard(&err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.native == nil {
		return nil
	}
	native := s.native
	s.native = nil
	defer s.source.remove()
	if err := native.Destroy(); err != nil {
		return fault.Wrap(fault.Runtime, "runtime_failed", err, "the session cannot be freed")
	}
	if s.large {
		trim()
	}
	return nameProfile(s.profile)
}
