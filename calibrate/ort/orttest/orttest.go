// Package orttest gives tests an engine that runs models for real.
package orttest

import (
	"sync"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/internal/fault"
)

var open = sync.OnceValues(func() (*ort.Engine, error) { return ort.Open(ort.Options{Device: "cpu"}) })

// Engine returns ONNX Runtime on the CPU, opened once per process. Without the library the test fails: a
// test that skips itself proves nothing. Only a build without cgo skips, since it never can run one.
func Engine(t testing.TB) calibrate.Engine {
	t.Helper()
	e, err := open()
	if err == nil {
		return e
	}
	if fault.As(err).Code == "built_without_cgo" {
		t.Skip(err)
	}
	t.Fatalf("%v\nrun `make setup` to install ONNX Runtime", err)
	return nil
}
