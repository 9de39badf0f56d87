// Package ort runs ONNX models in ONNX Runtime, on the CPU or with CUDA. It is the only package that
// needs cgo; built without it, Open returns an error.
//
//	e, err := ort.Open(ort.Options{})           // finds the library, picks the device
//	s, err := e.Open(ctx, model, calibrate.SessionOptions{Threads: 1})
//	out, err := s.Run(ctx, map[string]*onnx.Tensor{"input": x})
//
// # What the library is given
//
// The binding cannot return float16 and bfloat16 outputs, nor rank-0 ones, and cannot feed rank-0 inputs or
// no inputs at all. Open therefore changes a private copy of the model where it has to: such outputs are
// cast to float32 and given a leading axis, such inputs lose one, and results are converted back, so that
// callers see the model's own names, types and shapes. Casting up is exact, and so is the way back.
//
// # Threads, devices and equal bytes
//
// With SessionOptions.Threads = 1 the result does not depend on the number of cores. On CUDA, TF32 is off
// always: it would cost three digits.
package ort

import (
	"github.com/onnx-zip/onnx-zip/calibrate"
)

var _ calibrate.Engine = (*Engine)(nil)

// Options says which library and which device to use. The zero value is useful: the library is searched
// for, and CUDA is used where it works.
type Options struct {
	// Library is the path of the shared library, or of the folder it lies in; "" searches for it.
	// See internal/ortlib for the order.
	Library string
	// Device is "auto" (or ""), "cpu", "cuda" or "cuda:N".
	Device string
	// Verbose lets ONNX Runtime write its warnings to standard error. It is silent otherwise: whatever
	// fails is returned as an error. The last Open decides for the whole process.
	Verbose bool
}
