//go:build cgo

package ort

import (
	"errors"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// The messages are ONNX Runtime's own, of releases 1.24.3 and 1.24.4.
func TestMessages(t *testing.T) {
	m := &onnx.Model{File: "f.onnx"}
	for _, c := range []struct {
		message string
		kind    fault.Kind
		node    string
		cause   string
	}{
		{"Error creating C session: Could not find an implementation for Relu(14) node with name 'r'",
			fault.Unsupported, "r", "Could not find an implementation for Relu(14) node with name 'r'"},
		{"Error creating C session: Type Error: Type (tensor(int64)) of output arg (y) of node (n) does not match expected type (tensor(float)).",
			fault.Model, "n", "Type Error: Type (tensor(int64)) of output arg (y) of node (n) does not match expected type (tensor(float))."},
		{"Error creating C session: Node (mm) Op (MatMul) [ShapeInferenceError] Incompatible dimensions for matrix multiplication",
			fault.Model, "mm", "Node (mm) Op (MatMul) [ShapeInferenceError] Incompatible dimensions for matrix multiplication"},
		{"Error creating C session: /onnxruntime_src/onnxruntime/core/graph/model.cc:181 onnxruntime::Model::Model(onnx::ModelProto&&, " +
			"const onnxruntime::ModelOptions&) Unsupported model IR version: 99, max supported IR version: 13",
			fault.Unsupported, "", "Unsupported model IR version: 99, max supported IR version: 13"},
		{"something new", fault.Runtime, "", "something new"},
		{"", fault.Runtime, "", ""},
	} {
		e := fault.As(openError(errors.New(c.message), m))
		if e.Kind != c.kind || e.Node != c.node || e.Err.Error() != c.cause || e.File != "f.onnx" {
			t.Errorf("%q:\nkind %d, node %q, cause %q", c.message, e.Kind, e.Node, e.Err)
		}
	}
}

func TestMemoryHint(t *testing.T) {
	e := fault.As(runError(errors.New("Error running network: Failed to allocate memory for requested buffer of size 1"), ""))
	if e.Code != "out_of_memory" || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}

func TestTooOldLibraryWithoutVersion(t *testing.T) {
	e := fault.As(loadError(errors.New("Platform-specific initialization failed: Error setting ORT API base: 2"), ortlib.Library{Path: "/x"}))
	if e.Code != "runtime_too_old" || e.File != "/x" {
		t.Errorf("%+v", e)
	}
}

func TestMissingCUDALibrary(t *testing.T) {
	cause := fault.Wrap(fault.Runtime, "runtime_failed", cleaned(errors.New(
		"/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1952 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() "+
			"[ONNXRuntimeError] : 1 : FAIL : Failed to load library /d/libonnxruntime_providers_cuda.so with error: "+
			"libcublasLt.so.12: cannot open shared object file: No such file or directory")), "refused")
	err := cudaMissing(ortlib.Library{CUDADir: "/d", Version: "1.24.4"}, cause)
	const want = "the CUDA provider in /d does not work: Failed to load library /d/libonnxruntime_providers_cuda.so with error: " +
		"libcublasLt.so.12: cannot open shared object file: No such file or directory"
	if err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	f := func() (err error) {
		defer guard(&err)
		var p *onnx.Model
		_ = p.File
		return nil
	}
	if e := fault.As(f()); e.Kind != fault.Runtime || e.Code != "runtime_panic" {
		t.Errorf("%+v", e)
	}
}
