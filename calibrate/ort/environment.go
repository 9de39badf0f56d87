//go:build cgo

package ort

import (
	"os"
	"sync"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	ort "github.com/yalue/onnxruntime_go"
)

// environment is the library as this process loaded it. A process can load one library only: its state
// is global, in the binding and in the library itself.
var environment struct {
	sync.Mutex
	loaded bool
	lib    ortlib.Library
}

// load finds and initialises the library, once; later calls get the loaded one. Naming another library
// than the loaded one is an error.
func load(o Options) (ortlib.Library, error) {
	environment.Lock()
	defer environment.Unlock()
	if environment.loaded && o.Library == "" {
		return environment.lib, setLogLevel(o.Verbose)
	}
	lib, err := ortlib.Locate(o.Library)
	if err != nil {
		return ortlib.Library{}, err
	}
	if environment.loaded {
		if !sameFile(lib.Path, environment.lib.Path) {
			return ortlib.Library{}, fault.New(fault.Runtime, "runtime_already_loaded",
				"this process has loaded %s already and cannot load another library", environment.lib.Path).
				InFile(lib.Path).WithHint("use one library per process")
		}
		return environment.lib, setLogLevel(o.Verbose)
	}
	if err := initialise(lib); err != nil {
		return ortlib.Library{}, err
	}
	// The binding's GetVersion reads through a dangling pointer unless initialisation succeeded.
	lib.Version = ort.GetVersion()
	environment.loaded, environment.lib = true, lib
	return lib, setLogLevel(o.Verbose)
}

func initialise(lib ortlib.Library) error {
	ort.SetSharedLibraryPath(lib.Path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return loadError(err, lib)
	}
	if err := ort.DisableTelemetry(); err != nil {
		return loadError(err, lib)
	}
	return nil
}

func setLogLevel(verbose bool) error {
	level := ort.LoggingLevel(ort.LoggingLevelFatal)
	if verbose {
		level = ort.LoggingLevelWarning
	}
	if err := ort.SetEnvironmentLogLevel(level); err != nil {
		return fault.Wrap(fault.Runtime, "runtime_failed", err, "the log level cannot be set")
	}
	return nil
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}
