package cli

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// intoFlags are the flags of merge that edit a merged file.
type intoFlags struct {
	file               string
	replace, add, drop []string
}

func (f *intoFlags) define(s *pflag.FlagSet) {
	s.StringVar(&f.file, "into", "", "`MERGED`: change heads of this merged file; its trunk and all other heads stay byte for byte")
	s.StringArrayVar(&f.replace, "replace", nil, "`HEAD=FILE`: fit this model to the trunk in place of the head (repeat)")
	s.StringArrayVar(&f.add, "add", nil, "`HEAD=FILE`: fit this model to the trunk as another head (repeat)")
	s.StringArrayVar(&f.drop, "drop", nil, "`HEAD`: take the head out, with what it alone uses (repeat)")
}

// given is true where any of them was.
func (f *intoFlags) given() bool {
	return f.file != "" || len(f.replace)+len(f.add)+len(f.drop) > 0
}

// notInto are the flags of merge that say how models are matched: an edit has nothing to match.
var notInto = []string{"method", "match", "represent", "refit", "base", "alpha", "beta", "seed", "until", "budget", "narrow", "joint", "heads",
	"min-shared", "min-joint", "require-beats-control", "no-controls", "report", "input-shape", "mask", "minimize", "weight",
	"score", "score-key", "score-goal", "score-timeout", "score-limit", "normalize"}

// check refuses combinations that mean nothing.
func (f *intoFlags) check(cmd *cobra.Command, files []string) error {
	switch {
	case f.file == "":
		return usage("no_into", "--replace, --add and --drop change heads of a merged file").WithHint("name it with --into MERGED")
	case len(files) > 0:
		return usage("arguments", "--into takes its models from --replace and --add, not %q", files[0])
	case len(f.replace)+len(f.add)+len(f.drop) == 0:
		return usage("nothing_to_do", "--into %s changes nothing", f.file).WithHint("say what: --replace HEAD=FILE, --add HEAD=FILE, --drop HEAD")
	}
	for _, name := range notInto {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			return usage("bad_flag", "--%s has no meaning with --into: the trunk stays as it is", name)
		}
	}
	return nil
}

// edit reads the flags, against the heads of the file, and loads the models.
func (f *intoFlags) edit(a *app, merged *onnx.Model) (transform.Edit, error) {
	heads := transform.Heads(merged)
	e := transform.Edit{Drop: f.drop}
	seen := map[string]bool{}
	once := func(head string) error {
		if seen[head] {
			return usage("same_head", "two changes of head %s", head)
		}
		seen[head] = true
		return nil
	}
	known := func(flag, value, head string) error {
		if heads != nil && !slices.Contains(heads, head) {
			return usage("unknown_head", "--%s %s: there is no head %q", flag, value, head).InFile(merged.File).
				WithHint("the heads are %s; --add HEAD=FILE adds one", strings.Join(heads, ", "))
		}
		return once(head)
	}
	for _, head := range f.drop {
		if err := known("drop", head, head); err != nil {
			return e, err
		}
	}
	for _, list := range []struct {
		flag   string
		values []string
	}{{"replace", f.replace}, {"add", f.add}} {
		for _, value := range list.values {
			head, file, ok := strings.Cut(value, "=")
			if !ok || head == "" || file == "" || notInHead.MatchString(head) {
				return e, usage("bad_flag", "--%s %s: the form is HEAD=FILE", list.flag, value).WithHint("a head's name has letters, digits and underscores")
			}
			var err error
			switch {
			case list.flag == "replace":
				err = known(list.flag, value, head)
			case slices.Contains(heads, head):
				err = usage("same_head", "--add %s: there is a head %s already", value, head).WithHint("--replace %s puts the model in its place", value)
			default:
				err = once(head)
			}
			if err != nil {
				return e, err
			}
			m, err := onnx.Load(file)
			if err != nil {
				return e, err
			}
			e.Fit = append(e.Fit, transform.NewHead{Head: head, Model: m})
		}
	}
	return e, nil
}
