package cli

import "github.com/spf13/cobra"

func (a *app) evalCommand() *cobra.Command    { return &cobra.Command{Use: "eval", Run: func(*cobra.Command, []string) {}} }
func (a *app) compareCommand() *cobra.Command { return &cobra.Command{Use: "compare", Run: func(*cobra.Command, []string) {}} }
func (a *app) setupCommand() *cobra.Command   { return &cobra.Command{Use: "setup", Run: func(*cobra.Command, []string) {}} }
func (a *app) doctorCommand() *cobra.Command  { return &cobra.Command{Use: "doctor", Run: func(*cobra.Command, []string) {}} }
func (a *app) mergeCommand() *cobra.Command   { return &cobra.Command{Use: "merge", Run: func(*cobra.Command, []string) {}} }
