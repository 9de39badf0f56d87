package cli

import "github.com/onnx-zip/onnx-zip/transform"

// Values of --narrow.
const (
	narrowTrunk = "trunk"
	narrowAll   = "all"
)

// narrowed reads --narrow into settings that have their budget. An ensemble has nothing but heads: a budget is theirs, and they
// are refitted.
func (f *mergeFlags) narrowed(s *transform.Settings, changed func(flag string) bool) error {
	switch {
	case f.narrow != narrowTrunk && f.narrow != narrowAll:
		return usage("bad_flag", "--narrow %s: there is no such part", f.narrow).WithHint("choose one of %s, %s", narrowTrunk, narrowAll)
	case f.narrow == narrowAll && f.budget == "":
		return usage("bad_flag", "--narrow all needs a budget").WithHint("give it like --budget 1x")
	case f.budget == "":
		return nil
	case s.Match == "none" && changed("narrow") && f.narrow == narrowTrunk:
		return usage("bad_flag", "--method %s has no trunk that a budget could make narrower", s.Method).WithHint("leave --narrow out")
	case s.Match == "none" && f.narrow == narrowTrunk:
		f.narrow = narrowAll
	}
	if s.Narrow = f.narrow == narrowAll; !s.Narrow {
		return nil
	}
	if s.Match == "none" && !changed("refit") {
		s.Refit = "ls"
	}
	if s.DataFree || s.Refit != "ls" {
		return usage("bad_flag", "--narrow all needs --refit ls: what is left of a model has to be fitted").WithHint("give data, and leave --refit out")
	}
	return nil
}
