package ort

import (
	"context"
	"runtime"

	"github.com/onnx-zip/onnx-zip/internal/ortlib"
)

// APIVersion is the version of ONNX Runtime's C API that the binding asks for: a library of release 1.N has
// all versions up to N.
const APIVersion = 24

// Report is what `onnx-zip doctor` prints about ONNX Runtime.
type Report struct {
	Library   ortlib.Library // empty where none was found
	Err       error          // why there is no library, or none that loads; nil where it works
	API       int            // the C API's version that is asked for
	Providers []string       // the execution providers that work here: "CPU", "CUDA"
	NoCUDA    string         // why CUDA does not work; "" where it does
	NVIDIA    bool           // whether the machine shows an NVIDIA device
	CPUs      int            // processors that this process may use
}

// Doctor looks at what the options lead to, whatever fails on the way. It loads the library, and runs one
// node on the CPU and one on CUDA.
func Doctor(ctx context.Context, o Options) Report {
	r := Report{API: APIVersion, NVIDIA: hasNVIDIA(), CPUs: runtime.NumCPU()}
	r.examine(ctx, o)
	return r
}
