package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is the width that help is written for.
const helpWidth = 80

// group is some flags of a command under a heading.
type group struct {
	title string
	flags *pflag.FlagSet
}

// addGroup adds flags to cmd under a heading; define gets the set to define them in.
func (a *app) addGroup(cmd *cobra.Command, title string, define func(*pflag.FlagSet)) {
	set := pflag.NewFlagSet(title, pflag.ContinueOnError)
	set.SortFlags = false
	define(set)
	cmd.Flags().AddFlagSet(set)
	a.groups[cmd] = append(a.groups[cmd], group{title, set})
}

// help prints the whole help of a command or topic.
func (a *app) help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintln(w, strings.TrimRight(text, "\n"))
	if cmd.Runnable() || cmd.HasSubCommands() {
		fmt.Fprintln(w)
		a.writeUsage(w, cmd)
	}
}

func (a *app) usage(cmd *cobra.Command) error {
	a.writeUsage(cmd.OutOrStderr(), cmd)
	return nil
}

func (a *app) writeUsage(w io.Writer, cmd *cobra.Command) {
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "Usage:\n  %s COMMAND [flags]\n", cmd.CommandPath())
		writeCommands(w, cmd)
	} else {
		fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	for _, g := range a.groups[cmd] {
		fmt.Fprintf(w, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(helpWidth))
	}
	if len(a.groups[cmd]) == 0 && cmd.HasAvailableLocalFlags() && cmd.HasParent() {
		fmt.Fprintf(w, "\nFlags:\n%s", cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
	}
	fmt.Fprintf(w, "\nEverywhere:\n%s", cmd.Root().PersistentFlags().FlagUsagesWrapped(helpWidth))
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\n`onnx-zip COMMAND --help` explains a command, `onnx-zip help exit-codes` the exit codes.\n")
	}
}

func writeCommands(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\nCommands:\n")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(w, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
}
