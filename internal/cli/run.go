package cli

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/spf13/cobra"
)

// Deps are the engines that commands run models in.
type Deps struct {
	// Open opens ONNX Runtime.
	Open func(EngineOptions) (calibrate.Engine, error)
	// Doctor examines what Open would find; library is a path that the user named, or "".
	Doctor func(ctx context.Context, library string) Runtime
	// Second is the independent engine of `compare --engine go`.
	Second calibrate.Engine
}

// EngineOptions are those of Deps.Open.
type EngineOptions struct {
	Library string // path of the shared library or its folder; "" searches
	Device  string // auto, cpu, cuda, cuda:N
	Verbose bool
}

// Runtime is what Deps.Doctor finds out; the fields are those of calibrate/ort.Report.
type Runtime struct {
	Library   ortlib.Library // empty where none was found
	Err       error          // why it does not work; nil where it does
	API       int            // the C API's version that is asked for
	Providers []string       // that work here
	NoCUDA    string         // why CUDA does not work; "" where it does
	NVIDIA    bool           // whether the machine shows an NVIDIA device
	CPUs      int            // processors that this process may use
}

// app is one run of the command line.
type app struct {
	deps   Deps
	stdout io.Writer
	stderr *console

	json, quiet, verbose bool
	args                 []string // the command line, without the program's name

	started bool // a command's own code was reached: what fails before is wrong usage
	groups  map[*cobra.Command][]group
	doc     document
	kept    string // what an interruption leaves to go on from, in words; "" for nothing
}

// Run runs one command line and returns the process's exit code. Cancelling ctx ends it; the cause of the
// cancellation, if it is an error of package fault, decides the code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, d Deps) (code int) {
	a := &app{deps: d, args: args, stdout: stdout, stderr: newConsole(stderr), groups: map[*cobra.Command][]group{}}
	a.doc = document{Schema: schema, Version: version(), Warnings: []warning{}}
	a.json = asksForJSON(args) // also where the arguments cannot be parsed
	defer func() {
		if r := recover(); r != nil {
			code = a.finish(ctx, fault.New(fault.Internal, "panic", "%v\n%s", r, debug.Stack()))
		}
	}()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if isText(cmd) {
		a.json = false
	}
	a.doc.Command = commandName(cmd)
	if err != nil && !a.started {
		err = usageError(err, cmd)
	}
	return a.finish(ctx, err)
}

// asksForJSON looks for --json without parsing anything else.
func asksForJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// isText reports whether a command writes text for people or shells whatever the flags.
func isText(cmd *cobra.Command) bool {
	path := cmd.CommandPath()
	for _, word := range []string{"help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd} {
		if strings.HasPrefix(path, "onnx-zip "+word) {
			return true
		}
	}
	help := cmd.Flags().Lookup("help")
	return help != nil && help.Changed
}

func commandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "onnx-zip"), " ")
}

// finish reports err, if any, and returns the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	a.stderr.endProgress()
	if err != nil && ctx.Err() != nil {
		err = a.interruption(ctx)
	}
	e := fault.As(err)
	a.doc.OK = e == nil
	if e != nil {
		a.doc.ExitCode = int(e.Kind)
		a.doc.Error = errorObjectOf(e)
		a.stderr.fail(err, e)
	}
	if a.json {
		if werr := a.doc.write(a.stdout); werr != nil && e == nil {
			e = fault.Wrap(fault.Output, "output_failed", werr, "standard output cannot be written")
			a.stderr.fail(e, e)
			return int(e.Kind)
		}
	}
	return a.doc.ExitCode
}

// interruption is why ctx was cancelled, and what is left of the work.
func (a *app) interruption(ctx context.Context) error {
	e := fault.New(fault.Interrupted, "interrupted", "interrupted; nothing was written")
	var cause *fault.Error
	if errors.As(context.Cause(ctx), &cause) {
		e = cause
	}
	if a.kept == "" {
		return e
	}
	return fault.New(e.Kind, e.Code, "%s; %s", e.Code, a.kept).WithHint("the same command goes on where it ended")
}
