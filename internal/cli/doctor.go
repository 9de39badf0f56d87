package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/spf13/cobra"
)

// diagnosis is the result of doctor.
type diagnosis struct {
	versionInfo
	Library   *libraryInfo `json:"library"` // null where none was found
	Working   bool         `json:"working"`
	Tried     []triedInfo  `json:"tried,omitempty"` // where nothing was found
	Providers []string     `json:"providers"`
	NoCUDA    string       `json:"no_cuda,omitempty"` // why CUDA does not work
	NVIDIA    bool         `json:"nvidia_device"`
	CPUs      int          `json:"cpus"`
	Cache     string       `json:"cache"` // the folder that setup fills
	Second    string       `json:"second_engine,omitempty"`
}

type libraryInfo struct {
	Path    string `json:"path"`
	Origin  string `json:"origin"`
	Version string `json:"version"`
	HasCUDA bool   `json:"has_cuda"`
}

type triedInfo struct {
	Origin string `json:"origin"`
	Where  string `json:"where"`
	Reason string `json:"reason"`
}

func (a *app) doctorCommand() *cobra.Command {
	library := ""
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what is installed, what works, and what is missing",
		Long: `Looks for ONNX Runtime, loads it and runs one node on each device. Says where it
looked, which library is used and why CUDA does not work. Exits with 6 where no
ONNX Runtime works.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), library) },
	}
	cmd.Flags().StringVar(&library, "onnxruntime", "", "`LIBRARY`: look at this one, a file or its folder")
	return cmd
}

func (a *app) doctor(ctx context.Context, library string) error {
	r := a.deps.Doctor(ctx, library)
	d := &diagnosis{
		versionInfo: a.versionInfo(), Working: r.Err == nil, Providers: append([]string{}, r.Providers...),
		NoCUDA: r.NoCUDA, NVIDIA: r.NVIDIA, CPUs: r.CPUs, Cache: cacheFolder(),
	}
	if r.Library.Path != "" {
		d.Library = &libraryInfo{r.Library.Path, r.Library.Origin, r.Library.Version, r.Library.HasCUDA}
	}
	var search *ortlib.SearchError
	if errors.As(r.Err, &search) {
		for _, t := range search.Tried {
			d.Tried = append(d.Tried, triedInfo(t))
		}
	}
	if a.deps.Second != nil {
		d.Second = a.deps.Second.Name()
	}
	a.doc.Result = d
	a.printDiagnosis(d)
	if r.Err == nil {
		return nil
	}
	e := fault.As(r.Err)
	if search != nil {
		e = fault.New(e.Kind, e.Code, "%s", e.Message).WithHint("%s", e.Hint) // the places are listed already
	}
	return e
}

// cacheFolder is where setup installs.
func cacheFolder() string {
	base := os.Getenv(ortlib.EnvCache)
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		base = filepath.Join(user, "onnx-zip")
	}
	return filepath.Join(base, "onnxruntime")
}

func (a *app) printDiagnosis(d *diagnosis) {
	t := &table{left: map[int]bool{1: true}}
	t.add("onnx-zip", d.Version+", "+d.Go+", "+d.Platform+", binding "+d.Binding)
	if d.Library != nil {
		t.add("ONNX Runtime", strings.TrimSpace(d.Library.Version+" "+d.Library.Path)+" ("+d.Library.Origin+")")
	} else {
		t.add("ONNX Runtime", "none found")
	}
	t.add("works on", orNothing(strings.Join(d.Providers, ", ")))
	if d.NoCUDA != "" {
		t.add("CUDA", strings.ReplaceAll(d.NoCUDA, "\n", " "))
	}
	t.add("NVIDIA", map[bool]string{true: "this machine shows a device", false: "no device here"}[d.NVIDIA])
	t.add("cores", report.Count(int64(d.CPUs)))
	t.add("cache", d.Cache)
	if d.Second != "" {
		t.add("second engine", d.Second)
	}
	a.printf("%s", t)
	if len(d.Tried) == 0 {
		return
	}
	a.printf("\nlooked in:\n")
	for _, p := range d.Tried {
		a.printf("  %s: %s\n", p.Origin, p.Reason)
		if p.Where != "-" {
			a.printf("    %s\n", strings.Join(filepath.SplitList(p.Where), "\n    "))
		}
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
