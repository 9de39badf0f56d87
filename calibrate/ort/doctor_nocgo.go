//go:build !cgo

package ort

import (
	"context"

	"github.com/onnx-zip/onnx-zip/internal/ortlib"
)

// examine can at least say whether there is a library.
func (r *Report) examine(_ context.Context, o Options) {
	r.Library, r.Err = ortlib.Locate(o.Library)
	if r.Err == nil {
		r.Err = errNoCgo()
	}
}
