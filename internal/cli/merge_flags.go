package cli

import (
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mergeFlags are the flags of merge.
type mergeFlags struct {
	output, keepRejected string
	report               string
	force, dryRun        bool
	data, test, classes  []string
	dataset              dataFlags
	heads, rename        []string
	mapInput             []string
	normalize            []string
	weight               []string
	inputShape           []string
	method, until        string
	budget, narrow       string
	minimize             string
	joint                string
	noControls           bool
	mask                 string
	dataFree             bool
	match, represent     string
	base, refit          string
	alpha, beta          float64
	seed                 uint64
	engine               engineFlags
	memory, scratch      string
	gates                gateFlags
	score                scoreFlags
	into                 intoFlags
}

const mergeLong = `Merges trained models into one file with a head for each. Features of the models
that say the same are found by what they compute on unlabelled data (--data),
and computed once; where the models stem from one checkpoint and share a trunk
bit for bit, no data is needed. The merged file is loaded again and verified
before it gets its name; nothing is left where a gate or the verification fails.

Beside it two merges are made that need no matching, refitted alike: graft (the
first model's trunk as it is) and halves (random features of every model); and
shrunk: the models side by side, each shrunk, at the same FLOPs. The verdict
says where that is nearer to the sources, but does not turn on it: it shares
nothing.

The verdict at the end follows from the figures that are printed:
  not worth it  a task loses more than 10 points against its source; without
                --test: a head agrees with its source on less than 80 %; or
                parameters and FLOPs are both 95 % of the ensemble's or more;
                or a control does better at some head and the merge at none
  unknown       without --test: no agreement was measured, or less than 90 %
  worth it      otherwise; it names a control that would do as well
Better means: with --test, in accuracy, at a head or on the mean of all, and the
paired difference's interval excludes 0; else outputs whose relative error is
5 % smaller. A control does as well where neither is better at any head.

--until auto and --budget auto look for the cheapest merge that keeps the gates
--max-drop, --min-joint, --min-agreement or --score-limit; without any of them,
a drop of 0.5 points on --test or, without labels, an agreement of 99.5 %. It is
chosen on one half of the data and reported on the other. Where no merge keeps
them, the exit code is 9, and the nearest three are shown. --until auto with a
fixed budget shares as much as comes nearest to the sources' outputs on held-out
calibration data: all, up to a cut behind which heads are narrowed too, or
nothing. A budget above 1x does so by itself. Sharing nothing is nearer the more
FLOPs there are, and slower at the same FLOPs: more nodes.`

const mergeExample = `  onnx-zip merge a.onnx b.onnx --data calib.npz -o merged.onnx
  onnx-zip merge a.onnx b.onnx --data calib.npz -o merged.onnx --until 60% \
      --test test.npz --classes a=0,2,3,5,8 --classes b=1,4,6,7,9 --max-drop 3
  onnx-zip merge a.onnx b.onnx -o both.onnx --method ensemble
  onnx-zip merge a.onnx -o small.onnx --data calib.npz --budget 0.5x
  onnx-zip merge a.onnx b.onnx --data calib.npz -o merged.onnx --test test.npz \
      --classes a=0,2,3,5,8 --classes b=1,4,6,7,9 \
      --budget auto --until auto --max-drop 1
  onnx-zip merge --into merged.onnx --replace b=b2.onnx --data calib.npz \
      -o new.onnx`

func (a *app) mergeCommand() *cobra.Command {
	f := &mergeFlags{}
	cmd := &cobra.Command{
		Use: "merge A B [C…] -o OUT", Short: "Merge models into one file",
		Long: mergeLong, Example: mergeExample, DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.into.given() {
				return nil
			}
			return atLeast(1, "onnx-zip merge a.onnx b.onnx --data calib.npz -o merged.onnx")(cmd, args)
		},
		ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, files []string) error {
			m := &merging{a: a, f: f, files: files, seconds: map[string]float64{}}
			if f.into.given() {
				return (&attaching{merging: m}).start(cmd)
			}
			if err := m.checkFlags(cmd); err != nil {
				return err
			}
			return m.run(cmd.Context())
		},
	}
	a.addGroup(cmd, "Output", f.defineOutput)
	a.addGroup(cmd, "Heads of a merged file", f.into.define)
	a.addGroup(cmd, "Data", func(s *pflag.FlagSet) {
		f.defineData(s)
		s.BoolVar(&f.dataFree, "data-free", false, "no --data: match features by their weights, correct variances as far as weights tell; loses more (docs/data-free.md)")
	})
	a.addGroup(cmd, "Names", func(s *pflag.FlagSet) {
		defineNames(s, &f.heads, &f.mapInput)
		s.StringArrayVar(&f.rename, "rename", nil, "`HEAD:OLD=NEW`: name an output (default: HEAD_OLD)")
	})
	a.addGroup(cmd, "Shapes", func(s *pflag.FlagSet) { defineInputShape(s, &f.inputShape) })
	a.addGroup(cmd, "Method", f.defineMethod)
	a.addGroup(cmd, "Your own metric", f.score.define)
	a.addGroup(cmd, "Gates (a failed one leaves nothing and exits with 9)", f.gates.define)
	a.addGroup(cmd, "Machine", f.defineMachine)
	f.completions(cmd)
	return cmd
}

func (f *mergeFlags) defineOutput(s *pflag.FlagSet) {
	s.StringVarP(&f.output, "output", "o", "", "`FILE`: where the merged model goes (required)")
	s.BoolVar(&f.force, "force", false, "replace files that exist")
	s.StringVar(&f.report, "report", "", "`FILE.html`: where a page with all figures and pictures goes, also when a gate fails")
	s.StringVar(&f.keepRejected, "keep-rejected", "", "`FILE`: where a model goes that a gate refused")
	s.BoolVar(&f.dryRun, "dry-run", false, "check models and data, then stop")
}

func (f *mergeFlags) defineData(s *pflag.FlagSet) {
	s.StringArrayVar(&f.data, "data", nil, "`[HEAD=]FILE`: unlabelled inputs, .npz or .npy (repeat)")
	s.IntVar(&f.dataset.samples, "samples", 0, "`N`: use so many of them (default: all)")
	s.StringArrayVar(&f.test, "test", nil, "`[HEAD=]FILE`: labelled data to judge by, .npz (repeat); with HEAD= the labels number that head's own classes")
	s.StringArrayVar(&f.classes, "classes", nil, "`HEAD=LIST`: the class of each of its outputs, as a=0,3,4 or a=@FILE (repeat)")
	s.StringVar(&f.mask, "mask", "", "`NAME`: the input [samples, tokens] whose zeros mark tokens that count in no statistics (default: found by its use in attention; none: every token counts)")
	f.dataset.define(s)
	defineNormalize(s, &f.normalize)
}

func (f *mergeFlags) defineMethod(s *pflag.FlagSet) {
	s.StringVar(&f.method, "method", transform.DefaultMethod, "`NAME`: a preset of the settings below (default: best): "+strings.Join(transform.Methods(), ", "))
	s.StringVar(&f.until, "until", "", "`CUT`: end the trunk there: cut:7 (see inspect), a share of the FLOPs (60%), or values (V1,V2; b:V for head b's names); auto chooses")
	s.StringVar(&f.budget, "budget", "", "`SIZE`: FLOPs of the merged model relative to one source, like 0.5x or 1.25x (default: every space keeps its width); below 1x a single model can be given, to be shrunk; auto chooses")
	s.StringVar(&f.narrow, "narrow", narrowTrunk, "`PART`: what a budget makes narrower: trunk, or all: behind the trunk, each model keeps some of its own features (default: trunk)")
	s.StringVar(&f.minimize, "minimize", "flops", "`COST`: of auto: flops or latency (default: flops)")
	s.StringVar(&f.joint, "joint", "", "`RULE`: add an output over all classes of all heads: standardised (--joint alone), softmax, or task-id with --data HEAD=FILE for each head")
	s.Lookup("joint").NoOptDefVal = transform.JointRules[0]
	s.StringVar(&f.match, "match", "", "`NAME`: who joins whom: "+strings.Join(transform.Matches, ", ")+"; auto takes identity, permute, subset or zip for each space, whichever leaves least unexplained on held-out samples")
	s.StringVar(&f.represent, "represent", "", "`NAME`: what a merged feature imitates: "+strings.Join(transform.Represents, ", "))
	s.StringSliceVar(&f.weight, "weight", nil, "`HEAD=X`: how much a model counts where features of several have to become one, as a=3,b=1 (default: 1)")
	s.StringVar(&f.base, "base", "", "`HEAD`: whose trunk is kept by --represent base and --method graft (default: the first)")
	s.StringVar(&f.refit, "refit", "", "`NAME`: correction of the merged weights: "+strings.Join(transform.Refits, ", "))
	s.BoolVar(&f.noControls, "no-controls", false, "with refit ls: do not make the merges that need no matching, against which this one is judged")
	s.Float64Var(&f.alpha, "alpha", 0, "`X`: zip: factor for each further merge into a feature (default: 0.3)")
	s.Float64Var(&f.beta, "beta", 0, "`X`: zip: share of merges within one model (default: 1, zipit 0.125)")
	s.Uint64Var(&f.seed, "seed", 0, "`N`: seed of random choices (default: 0)")
}

func (f *mergeFlags) defineMachine(s *pflag.FlagSet) {
	f.engine.define(s)
	s.StringVar(&f.memory, "memory", "", "`SIZE`: of values held in memory (default: 512MiB)")
	s.StringVar(&f.scratch, "scratch", "", "`FOLDER`: for what exceeds it (default: the system's)")
}

func (f *mergeFlags) completions(cmd *cobra.Command) {
	complete(cmd, "method", transform.Methods()...)
	complete(cmd, "minimize", "flops", "latency")
	complete(cmd, "narrow", narrowTrunk, narrowAll)
	complete(cmd, "match", transform.Matches...)
	complete(cmd, "represent", transform.Represents...)
	complete(cmd, "refit", transform.Refits...)
	complete(cmd, "score-goal", score.Max, score.Min)
	complete(cmd, "joint", transform.JointRules...)
	complete(cmd, "device", "auto", "cpu", "cuda")
	completeFiles(cmd, "output", "onnx")
	completeFiles(cmd, "report", "html")
	completeFiles(cmd, "data", "npz", "npy")
	completeFiles(cmd, "test", "npz")
}

// settings resolves the method and what was changed of it.
func (f *mergeFlags) settings(cmd *cobra.Command) (transform.Settings, error) {
	s, err := transform.Preset(f.method)
	if err != nil {
		return s, err
	}
	changed := cmd.Flags().Changed
	for _, axis := range []struct {
		flag, value string
		set         *string
		allowed     []string
	}{{"match", f.match, &s.Match, transform.Matches}, {"represent", f.represent, &s.Represent, transform.Represents}, {"refit", f.refit, &s.Refit, transform.Refits}} {
		if !changed(axis.flag) {
			continue
		}
		if !contains(axis.allowed, axis.value) {
			return s, usage("unknown_setting", "there is no --%s %q", axis.flag, axis.value).WithHint("choose one of %s", strings.Join(axis.allowed, ", "))
		}
		*axis.set = axis.value
	}
	if f.dataFree {
		if err := f.withoutData(&s, changed); err != nil {
			return s, err
		}
	}
	if s.Match == "subset" && s.Represent == "base" {
		return s, usage("bad_flag", "--represent base has no meaning with --match subset: merged features are those that are kept").
			WithHint("use --match permute or identity, or --method graft")
	}
	for _, factor := range []struct {
		flag  string
		value float64
		set   *float64
	}{{"alpha", f.alpha, &s.Alpha}, {"beta", f.beta, &s.Beta}} {
		if !changed(factor.flag) {
			continue
		}
		if s.Match != "zip" && s.Match != "zipit" {
			return s, usage("bad_flag", "--%s has no meaning with --match %s", factor.flag, s.Match).WithHint("it belongs to zip and zipit")
		}
		if !(factor.value >= 0 && factor.value <= 1) {
			return s, usage("bad_flag", "--%s %g: it is a number from 0 to 1", factor.flag, factor.value)
		}
		*factor.set = factor.value
	}
	s.Seed, s.Base = f.seed, f.base
	if f.base != "" && s.Represent != "base" {
		return s, usage("bad_flag", "--base has no meaning with --represent %s", s.Represent).WithHint("it belongs to --represent base and --method graft")
	}
	if f.gates.beatsControl && s.Refit != "ls" {
		return s, usage("bad_flag", "--require-beats-control needs --refit ls, not %s", s.Refit)
	}
	if f.gates.beatsControl && f.noControls {
		return s, usage("bad_flag", "--require-beats-control and --no-controls contradict each other")
	}
	return s, nil
}

// withoutData makes settings that need no data: what a method would choose by data and was not asked for by a flag is
// replaced.
func (f *mergeFlags) withoutData(s *transform.Settings, given func(flag string) bool) error {
	switch {
	case len(f.data) > 0:
		return usage("bad_flag", "--data-free and --data contradict each other").WithHint("with data a merge is better: leave --data-free out")
	case given("refit") && s.Refit == "ls":
		return usage("needs_data", "--refit ls needs data").WithHint("use --refit repair or none with --data-free")
	case s.Refit == "ls":
		s.Refit = "repair"
	}
	switch {
	case s.Match == "subset" && !given("match"):
		s.Match = "zip"
	case s.Match == "subset":
		return usage("needs_data", "--match subset needs data: what explains a feature is seen on data only").WithHint("use --match zip with --data-free")
	}
	if s.Match == transform.MatchAuto {
		return usage("needs_data", "--match auto needs data: matchings are judged on held-out samples").WithHint("use --match zip, permute or identity with --data-free")
	}
	s.DataFree = true
	return nil
}

// settingsLine is the resolved settings for people.
func settingsLine(s transform.Settings) string {
	match := s.Match
	if match == "zip" || match == "zipit" {
		match += fmt.Sprintf(" (alpha %g, beta %g)", s.Alpha, s.Beta)
	}
	free := ""
	if s.DataFree {
		free = ", by weights alone (no data)"
	}
	represent := ", represent " + s.Represent
	switch {
	case s.Match == "subset":
		represent = "" // what is kept
	case s.Represent == "base":
		represent += " (" + s.Base + ")"
	}
	return fmt.Sprintf("method %s: match %s%s, refit %s, seed %d%s", s.Method, match, represent, s.Refit, s.Seed, free)
}
