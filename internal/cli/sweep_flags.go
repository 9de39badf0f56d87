package cli

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sweepFlags are the flags of sweep: of merge those of data, names and machine.
type sweepFlags struct {
	mergeFlags
	cuts, budgets, methods []string
	rank                   string
	keep                   bool

	cutList     []string
	budgetList  []float64 // 0: every space keeps its width
	memoryBytes int64
}

const sweepLong = `Merges the models in many ways and shows what each costs and how well it does:
every method at every cut and, where a method can have any width, at every
budget. Statistics are measured once for all of them. The models alone, the
ensemble and two controls that match nothing (one model's trunk with refitted
heads; random halves of the features) are always there to compare with.

The folder gets results.jsonl, a line for each merge as soon as it is finished:
the same command goes on where it was interrupted, and makes only what is
missing. sweep.json holds all figures, sweep.html shows them as a picture of
accuracy against FLOPs. A merge that cannot be made is a row with the reason.

A row is on the Pareto front (*) if no other does better for as few FLOPs.
Whoever picks the best of many rows by the same test data flatters it: judge
the choice again on data that was not used here.`

const sweepExample = `  onnx-zip sweep a.onnx b.onnx --data calib.npz --test test.npz \
      --classes a=0,2,3,5,8 --classes b=1,4,6,7,9 -o results
  onnx-zip sweep a.onnx b.onnx --data calib.npz -o results \
      --methods best,zip --budgets own,0.5x --cuts full,60%`

func (a *app) sweepCommand() *cobra.Command {
	f := &sweepFlags{}
	cmd := &cobra.Command{
		Use: "sweep A B [C…] -o FOLDER", Short: "Merge in many ways and compare them",
		Long: sweepLong, Example: sweepExample, DisableFlagsInUseLine: true,
		Args:              atLeast(2, "onnx-zip sweep a.onnx b.onnx --data calib.npz -o results"),
		ValidArgsFunction: completeModels,
		RunE:              func(cmd *cobra.Command, files []string) error { return a.sweep(cmd, files, f) },
	}
	a.addGroup(cmd, "Output", func(s *pflag.FlagSet) {
		s.StringVarP(&f.output, "output", "o", "", "`FOLDER`: where results go; what it holds is not made again (required)")
		s.BoolVar(&f.keep, "keep", false, "write the models of the Pareto front, verified, to FOLDER/models")
		s.StringVar(&f.rank, "rank", "", "`FIGURE`: what the front is of: "+strings.Join(sweep.Measures, ", ")+" (default: tasks, the mean of the tasks' accuracies; with --score its figure; without --test agreement, else error)")
	})
	a.addGroup(cmd, "Grid", func(s *pflag.FlagSet) {
		s.StringSliceVar(&f.methods, "methods", []string{"best", "zip", "permute", "average", "graft", "halves", "zipit"}, "`A,B,…`: presets of merge (default: best,zip,permute,average,graft,halves,zipit)")
		s.StringSliceVar(&f.budgets, "budgets", []string{"own", "0.25x", "0.5x", "0.75x", "1x", "1.25x", "1.5x"}, "`X,…`: FLOPs relative to one source, own for every space as it is (default: own,0.25x,0.5x,0.75x,1x,1.25x,1.5x); for best, zip and halves, others keep their widths")
		s.StringArrayVar(&f.cuts, "cuts", []string{"auto"}, "`CUT,…`: where trunks end, as --until of merge: cut:7, 60%; full for all; values in a flag of their own (repeat); auto chooses some and full (default: auto)")
		s.Uint64Var(&f.seed, "seed", 0, "`N`: seed of random choices (default: 0)")
	})
	a.addGroup(cmd, "Data", f.defineData)
	a.addGroup(cmd, "Your own metric", f.score.define)
	a.addGroup(cmd, "Names", func(s *pflag.FlagSet) { defineNames(s, &f.heads, &f.mapInput) })
	a.addGroup(cmd, "Shapes", func(s *pflag.FlagSet) { defineInputShape(s, &f.inputShape) })
	a.addGroup(cmd, "Machine", f.defineMachine)
	complete(cmd, "methods", transform.Methods()...)
	complete(cmd, "rank", sweep.Measures...)
	complete(cmd, "score-goal", score.Max, score.Min)
	complete(cmd, "device", "auto", "cpu", "cuda")
	must(cmd.MarkFlagDirname("output"))
	completeFiles(cmd, "data", "npz", "npy")
	completeFiles(cmd, "test", "npz")
	return cmd
}

// check refuses what no model can mend, before any work is done.
func (f *sweepFlags) check() (err error) {
	switch {
	case f.output == "":
		return usage("no_output", "-o FOLDER is missing").WithHint("say where results shall go: -o results")
	case f.dataset.samples < 0:
		return usage("bad_flag", "--samples %d cannot be negative", f.dataset.samples)
	case f.rank != "" && !slices.Contains(sweep.Measures, f.rank):
		return usage("bad_flag", "there is no --rank %q", f.rank).WithHint("choose one of %s", strings.Join(sweep.Measures, ", "))
	case (f.rank == "tasks" || f.rank == "joint") && len(f.test) == 0:
		return usage("rank_needs_test", "--rank %s needs labelled data", f.rank).WithHint("give it with --test FILE.npz, or use --rank agreement")
	case f.rank == "score" && f.score.command == "":
		return usage("bad_flag", "--rank score goes with --score only")
	case len(f.methods) == 0 || len(f.budgets) == 0:
		return usage("bad_flag", "--methods and --budgets cannot be empty")
	}
	for _, m := range f.methods {
		if _, err := transform.Preset(m); err != nil {
			return err
		}
	}
	if f.budgetList, err = parseBudgets(f.budgets); err != nil {
		return err
	}
	for _, list := range f.cuts {
		f.cutList = append(f.cutList, sweep.SplitCuts(list)...)
	}
	if f.memoryBytes, err = parseSize("memory", f.memory); err != nil {
		return err
	}
	return f.engine.check()
}

// parseBudgets reads a list of sizes and "own".
func parseBudgets(list []string) (out []float64, err error) {
	for _, text := range list {
		b := 0.0
		if text != "own" {
			if b, err = transform.ParseBudget(text); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out, nil
}
