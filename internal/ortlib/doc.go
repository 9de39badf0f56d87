// Package ortlib finds the ONNX Runtime shared library on this machine, and installs it where it is
// missing. It loads nothing and needs no cgo.
//
//	lib, err := ortlib.Locate("")                      // what calibrate/ort opens
//	lib, err := ortlib.Setup(ctx, ortlib.Options{}, log) // what `onnx-zip setup` does
package ortlib

// Version is the release of ONNX Runtime that Setup fetches.
const Version = "1.24.3"

// MinVersion is the oldest release that the engine's binding can talk to. Its C API is version 24.
const MinVersion = "1.24"
