//go:build cgo

package ort

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Engine is ONNX Runtime on one device. Several may be open at once; they share the loaded library.
type Engine struct {
	lib      ortlib.Library
	device   device
	fallback string
}

// Open finds and loads the library and prepares the device.
//
// Errors are of kind fault.Runtime (no library, one that does not fit, another one loaded already, or
// "cuda_missing" where CUDA was asked for and does not work) and fault.Usage (an unknown device).
func Open(o Options) (e *Engine, err error) {
	defer guard(&err)
	d, err := parseDevice(o.Device)
	if err != nil {
		return nil, err
	}
	lib, err := load(o)
	if err != nil {
		return nil, err
	}
	e = &Engine{lib: lib}
	if !d.cuda {
		return e, nil
	}
	err = e.useCUDA(d.index)
	switch {
	case err == nil:
		return e, nil
	case !d.auto:
		return nil, err
	case hasNVIDIA():
		e.fallback = err.Error()
	}
	return e, nil
}

// Name is "ONNX Runtime 1.24.3, CPU".
func (e *Engine) Name() string { return fmt.Sprintf("ONNX Runtime %s, %v", e.lib.Version, e.device) }

// Fallback says why the CPU is used although the device was left open ("auto") and the machine has an
// NVIDIA device; "" otherwise.
func (e *Engine) Fallback() string { return e.fallback }

// Library is the loaded library.
func (e *Engine) Library() ortlib.Library { return e.lib }

// Open prepares m for running; m itself stays as it is.
//
// Errors are of kind fault.Unsupported (an operator, opset or type that ONNX Runtime does not have),
// fault.Model (it calls the model invalid), fault.Runtime (all else) and, for models that need a temporary
// file because of their size, fault.Output.
func (e *Engine) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (s calibrate.Session, err error) {
	defer guard(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opened, err := e.open(m, o)
	if err != nil {
		return nil, err // not opened itself: a nil *session in s would not be a nil Session
	}
	return opened, nil
}

// guard turns a panic of the binding into an error: whatever a model makes it do, the caller goes on.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fault.New(fault.Runtime, "runtime_panic", "the ONNX Runtime binding panicked: %v\n%s", r, debug.Stack())
	}
}
