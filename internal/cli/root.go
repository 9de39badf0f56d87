package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const about = `onnx-zip merges trained ONNX models into one file with a head for each, without
training. Features of the models that mean the same are found on unlabelled
data and computed once.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:                        "onnx-zip",
		Short:                      "Merge trained ONNX models without training",
		Long:                       about,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		Args:                       a.unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.json {
				return fault.New(fault.Usage, "no_command", "no command was given").WithHint("`onnx-zip help` lists them")
			}
			cmd.SetOut(a.stderr.w)
			cmd.Help()
			return fault.New(fault.Usage, "no_command", "no command was given")
		},
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			a.started = cmd.Name() != "onnx-zip"
			a.stderr.quiet = a.quiet
		},
	}
	root.PersistentFlags().BoolVar(&a.json, "json", a.json, "print one JSON document instead of text")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no log lines but warnings")
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	root.PersistentFlags().SortFlags = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return flagError(cmd, err) })
	root.SetUsageFunc(a.usage)
	root.SetHelpFunc(a.help)
	root.AddCommand(a.mergeCommand(), a.sweepCommand(), a.inspectCommand(), a.evalCommand(), a.compareCommand(), a.extractCommand(),
		a.setupCommand(), a.doctorCommand(), a.versionCommand(), exitCodesTopic())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "Write a completion script for bash, zsh, fish or powershell"
		case "help":
			c.Short = "Explain a command, or `exit-codes`"
		}
	}
	return root
}

func (a *app) unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := fault.New(fault.Usage, "unknown_command", "there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return e.WithHint("did you mean %s?", strings.Join(near, " or "))
	}
	return e.WithHint("`onnx-zip help` lists the commands")
}

// flagError words what pflag found wrong.
func flagError(cmd *cobra.Command, err error) error {
	see := fmt.Sprintf("`%s --help` lists the flags", cmd.CommandPath())
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return fault.New(fault.Usage, "bad_flag", "%v", err).WithHint("%s", see)
	}
	e := fault.New(fault.Usage, "unknown_flag", "there is no flag %s", flagName(missing.GetSpecifiedName()))
	if near := nearestFlag(cmd, missing.GetSpecifiedName()); near != "" {
		return e.WithHint("did you mean --%s? %s", near, see)
	}
	return e.WithHint("%s", see)
}

func flagName(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearestFlag is the flag whose name differs least from name, "" where none is near.
func nearestFlag(cmd *cobra.Command, name string) (near string) {
	best := len(name)/3 + 2 // a typing error for every three letters
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := editDistance(name, f.Name); d < best {
			best, near = d, f.Name
		}
	})
	return near
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}

// usageError makes what cobra refused an error of the command line.
func usageError(err error, cmd *cobra.Command) error {
	var e *fault.Error
	if errors.As(err, &e) {
		return err
	}
	return fault.New(fault.Usage, "bad_command_line", "%v", err).WithHint("see `%s --help`", cmd.CommandPath())
}

// exitCodesTopic is made from the one table of exit codes.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("The exit code says which stage refused; the earliest one that fails decides.\n\n")
	for _, k := range fault.Kinds {
		meaning := strings.Join(wrap(k.Meaning, helpWidth-23), "\n"+strings.Repeat(" ", 23))
		fmt.Fprintf(&b, "  %3d  %-14s  %s\n", k.Kind, k.Name, meaning)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: b.String()}
}
