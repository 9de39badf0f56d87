package ort

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// device is where a model runs.
type device struct {
	cuda  bool
	auto  bool // CUDA may be replaced by the CPU
	index int
}

// parseDevice reads "auto", "cpu", "cuda" and "cuda:N".
func parseDevice(s string) (device, error) {
	name, number, numbered := strings.Cut(s, ":")
	switch {
	case s == "" || s == "auto":
		return device{cuda: true, auto: true}, nil
	case s == "cpu":
		return device{}, nil
	case name == "cuda" && !numbered:
		return device{cuda: true}, nil
	case name == "cuda":
		if n, err := strconv.Atoi(number); err == nil && n >= 0 {
			return device{cuda: true, index: n}, nil
		}
	}
	return device{}, fault.New(fault.Usage, "unknown_device", "unknown device %q", s).
		WithHint("use auto, cpu, cuda or cuda:N")
}

func (d device) String() string {
	if d.cuda {
		return "CUDA:" + strconv.Itoa(d.index)
	}
	return "CPU"
}

// hasNVIDIA reports whether the machine shows an NVIDIA device. Without one, the CPU is what "auto" means
// and nothing to warn about.
func hasNVIDIA() bool {
	paths := []string{"/dev/nvidiactl", "/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1"}
	if runtime.GOOS == "windows" {
		paths = []string{os.Getenv("SystemRoot") + `\System32\nvcuda.dll`}
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}
