package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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
		fmt.Fprintf(w, "\n%s:\n%s", g.title, flagLines(g.flags))
	}
	if len(a.groups[cmd]) == 0 && cmd.HasAvailableLocalFlags() && cmd.HasParent() {
		fmt.Fprintf(w, "\nFlags:\n%s", flagLines(cmd.LocalNonPersistentFlags()))
	}
	fmt.Fprintf(w, "\nFor every command:\n%s", flagLines(cmd.Root().PersistentFlags()))
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\n`onnx-zip help COMMAND` explains a command, `help exit-codes` the codes.\n")
	}
}

// commandOrder is the order in which people need them.
var commandOrder = []string{"merge", "sweep", "inspect", "eval", "compare", "setup", "doctor", "version", "completion", "help"}

func writeCommands(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "\nCommands:\n")
	rank := func(c *cobra.Command) int { return slices.Index(commandOrder, c.Name()) }
	list := slices.Clone(cmd.Commands())
	slices.SortStableFunc(list, func(a, b *cobra.Command) int { return rank(a) - rank(b) })
	for _, c := range list {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(w, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
}

const (
	helpWidth  = 80 // columns that help is written for
	helpColumn = 28 // where the descriptions of flags begin
)

// flagLines lists flags with their descriptions, wrapped. What a flag takes is named by a prefix of its
// description: "`FILE`: write the merged model to it".
func flagLines(set *pflag.FlagSet) string {
	var b strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		left := "      --" + f.Name
		if f.Shorthand != "" {
			left = "  -" + f.Shorthand + ", --" + f.Name
		}
		name, text, ok := strings.Cut(strings.TrimPrefix(f.Usage, "`"), "`: ")
		if !ok {
			name, text = "", f.Usage
		}
		left = strings.TrimRight(left+" "+name, " ")
		if len(left) > helpColumn-2 {
			b.WriteString(left + "\n")
			left = ""
		}
		for _, line := range wrap(text, helpWidth-helpColumn) {
			fmt.Fprintf(&b, "%-*s%s\n", helpColumn, left, line)
			left = ""
		}
	})
	return b.String()
}

// wrap breaks text at blanks into lines of so many columns.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
