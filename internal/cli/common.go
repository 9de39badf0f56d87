package cli

import (
	"os"
	"runtime/debug"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// engineFlags say where models run.
type engineFlags struct {
	device, library string
	threads, batch  int
}

func (f *engineFlags) define(s *pflag.FlagSet) {
	f.defineDevice(s)
	s.IntVar(&f.threads, "threads", 0, "`N`: runs at once (default: one for each core); no result depends on it")
	s.IntVar(&f.batch, "batch", 0, "`N`: samples in a run (default: 32)")
}

// defineDevice are the flags of a command that chooses its batches itself.
func (f *engineFlags) defineDevice(s *pflag.FlagSet) {
	s.StringVar(&f.device, "device", "auto", "`DEVICE`: auto, cpu, cuda or cuda:N (default: auto)")
	s.StringVar(&f.library, "onnxruntime", "", "`LIBRARY`: ONNX Runtime to use, a file or its folder")
}

func (f *engineFlags) check() error {
	if f.threads < 0 || f.batch < 0 {
		return usage("bad_flag", "--threads and --batch cannot be negative")
	}
	return nil
}

// openEngine opens ONNX Runtime and warns where the device asked for is not the one used.
func (a *app) openEngine(f engineFlags) (calibrate.Engine, error) {
	e, err := a.deps.Open(EngineOptions{Library: f.library, Device: f.device, Verbose: a.verbose})
	if err != nil {
		return nil, err
	}
	if s, ok := e.(interface{ Fallback() string }); ok && s.Fallback() != "" {
		a.warn(warning{Code: "provider_fallback", Message: "the CPU is used: " + s.Fallback()})
	}
	a.debug("engine: %s", e.Name())
	return e, nil
}

// loadModels loads files in order.
func (a *app) loadModels(files []string) ([]*onnx.Model, error) {
	var models []*onnx.Model
	size := int64(0)
	for _, file := range files {
		m, err := onnx.Load(file)
		if err != nil {
			return nil, err
		}
		a.debug("loaded %s", file)
		size += m.Bytes()
		models = append(models, m)
	}
	if size > largeModels && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(largeGCPercent)
	}
	return models, nil
}

// Where models take more than largeModels together, the heap is they and a few large matrices, which the collector is quick to look
// through: it runs earlier than when the heap has doubled.
const largeModels, largeGCPercent = 256 << 20, 40

// completeModels offers .onnx files.
func completeModels(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"onnx"}, cobra.ShellCompDirectiveFilterFileExt
}

// complete offers fixed values for a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// completeFiles offers files with these endings for a flag.
func completeFiles(cmd *cobra.Command, flag string, endings ...string) {
	must(cmd.MarkFlagFilename(flag, endings...))
}

// must guards what can only fail by a mistake in this package.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// outputNames lists a model's outputs.
func outputNames(m *onnx.Model) []string {
	var names []string
	for _, v := range m.Graph().GetOutput() {
		names = append(names, v.GetName())
	}
	return names
}

// logitsOf is the output of m that holds class scores: the only one, else the first of the shape
// [samples, classes]. classes is 0 where the model leaves it open.
func logitsOf(m *onnx.Model, among []string) (name string, classes int, err error) {
	for _, v := range m.Graph().GetOutput() {
		if among != nil && !contains(among, v.GetName()) {
			continue
		}
		dtype, dims, ok := onnx.TensorType(v)
		only := len(among) == 1 || among == nil && len(m.Graph().GetOutput()) == 1
		if only && dims == nil || ok && dtype.IsFloat() && len(dims) == 2 {
			if len(dims) >= 2 && dims[1].Size > 0 {
				classes = int(dims[1].Size)
			}
			return v.GetName(), classes, nil
		}
	}
	return "", 0, fault.New(fault.Unsupported, "no_logits", "no output has the shape [samples, classes]").InFile(m.File).
		WithHint("accuracy and top-1 agreement need a classifier")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
