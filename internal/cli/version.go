package cli

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/spf13/cobra"
)

// release is set by the release build: -ldflags "-X …/internal/cli.release=v1.2.3".
var release string

// version is the release, else what the module system knows, else "devel".
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// versionInfo is the result of `version`.
type versionInfo struct {
	Version     string `json:"version"`
	Go          string `json:"go"`
	Platform    string `json:"platform"`
	ONNXRuntime string `json:"onnxruntime"`     // the release that setup fetches
	Minimum     string `json:"onnxruntime_min"` // the oldest that works
	API         int    `json:"onnxruntime_api"` // the version of its C API
	Binding     string `json:"onnxruntime_go"`  // the Go binding's version
	Revision    string `json:"revision,omitempty"`
}

func (a *app) versionInfo() versionInfo {
	v := versionInfo{
		Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		ONNXRuntime: ortlib.Version, Minimum: ortlib.MinVersion, API: runtimeAPI(), Binding: moduleVersion("github.com/yalue/onnxruntime_go"),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

// runtimeAPI is the version of ONNX Runtime's C API: release 1.N has version N.
func runtimeAPI() int {
	_, minor, _ := strings.Cut(ortlib.MinVersion, ".")
	n := 0
	for _, digit := range minor {
		n = 10*n + int(digit-'0')
	}
	return n
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the versions of this program and of what it needs",
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			v := a.versionInfo()
			a.doc.Result = v
			a.printf("onnx-zip %s\n%s, %s\nONNX Runtime %s or newer (C API %d); `onnx-zip setup` fetches %s\n",
				v.Version, v.Go, v.Platform, v.Minimum, v.API, v.ONNXRuntime)
			return nil
		},
	}
}
