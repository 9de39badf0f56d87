//go:build !cgo

package ort

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Engine cannot be had in this build.
type Engine struct{}

func errNoCgo() error {
	return fault.New(fault.Runtime, "built_without_cgo", "this program was built without cgo and cannot load ONNX Runtime").
		WithHint("use a release build, or build with CGO_ENABLED=1 and a C compiler")
}

// Open fails: ONNX Runtime is loaded through cgo.
func Open(Options) (*Engine, error) { return nil, errNoCgo() }

// Name is "ONNX Runtime, not in this build".
func (*Engine) Name() string { return "ONNX Runtime, not in this build" }

// Fallback is "".
func (*Engine) Fallback() string { return "" }

// Library is empty.
func (*Engine) Library() ortlib.Library { return ortlib.Library{} }

// Open fails, as the package's Open does.
func (*Engine) Open(context.Context, *onnx.Model, calibrate.SessionOptions) (calibrate.Session, error) {
	return nil, errNoCgo()
}
