package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/onnx-zip/onnx-zip/transform"
)

// variant is one way to merge a pair: a row of the tables.
type variant struct {
	name  string // in the tables, and what -rows looks at
	group string // the table that it belongs to
	// choice: it is there to choose defaults by, and is judged on validation images alone.
	choice   bool
	settings transform.Settings
	until    string
	// chosen: the program chooses how much is shared.
	chosen bool
}

// The tables.
const (
	groupMain    = "full width"
	groupCuts    = "cuts"
	groupBudgets = "budgets"
	groupMatch   = "matching"
)

// The rows that others are compared with.
const (
	rowEnsemble = "ensemble"
	rowGraft    = "control: A's trunk, heads refitted"
	rowHalves   = "control: random halves"
	rowDefault  = "default"
	rowApart    = "nothing shared, each shrunk"
)

// preset is a method's settings, changed by its options.
func preset(method string, changes ...func(*transform.Settings)) transform.Settings {
	s, err := transform.Preset(method)
	if err != nil {
		panic(err) // a method that is named in this file
	}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func refit(how string) func(*transform.Settings) {
	return func(s *transform.Settings) { s.Refit = how }
}

func represent(how string) func(*transform.Settings) {
	return func(s *transform.Settings) { s.Represent = how }
}

func alpha(a float64) func(*transform.Settings) {
	return func(s *transform.Settings) { s.Alpha = a }
}

func budget(x float64) func(*transform.Settings) {
	return func(s *transform.Settings) { s.Budget = x }
}

func narrow(s *transform.Settings) { s.Narrow = true }

// variants are all rows, in the order of the tables.
func variants() []variant {
	out := []variant{
		{name: rowGraft, group: groupMain, settings: preset("graft")},
		{name: rowHalves, group: groupMain, settings: preset("halves")},
	}
	for _, m := range []struct{ name, method string }{
		{"average", "average"}, {"permute", "permute"}, {"zipit (the paper's settings)", "zipit"}, {"zip, β = 1", "zip"},
	} {
		for _, r := range []struct{ name, refit string }{{"", "none"}, {" + repair", "repair"}, {" + least squares", "ls"}} {
			out = append(out, variant{name: m.name + r.name, group: groupMain, settings: preset(m.method, refit(r.refit))})
		}
	}
	out = append(out, variant{name: rowDefault, group: groupMain, settings: preset(transform.DefaultMethod)})
	for _, share := range []string{"25%", "50%", "75%"} {
		out = append(out, variant{name: rowDefault + " up to " + share, group: groupCuts, settings: preset(transform.DefaultMethod), until: share})
	}
	for _, x := range []float64{0.25, 0.5, 0.75, 1, 1.25, 1.5} {
		all := variant{name: fmt.Sprintf("%s, %gx", rowDefault, x), group: groupBudgets, settings: preset(transform.DefaultMethod, budget(x))}
		if x > 1 {
			chosen := all
			chosen.chosen = true
			all.name = fmt.Sprintf("all shared, %gx", x)
			out = append(out, chosen)
		}
		out = append(out, all,
			variant{name: fmt.Sprintf("random halves, %gx", x), group: groupBudgets, settings: preset("halves", budget(x))},
			variant{name: fmt.Sprintf("%s, %gx", rowApart, x), group: groupBudgets, settings: preset(rowEnsemble, budget(x), refit("ls"), narrow)})
	}
	return append(out, candidates()...)
}

// candidates are the matchings that the default is chosen from, at three budgets.
func candidates() []variant {
	ls := refit("ls")
	matchings := []struct {
		name     string
		settings transform.Settings
	}{
		{"halves", preset("halves")},
		{"average, mean", preset("average", ls)},
		{"average, select", preset("average", ls, represent("select"))},
		{"permute, mean", preset("permute", ls)},
		{"permute, select", preset("permute", ls, represent("select"))},
		{"zipit's, mean", preset("zipit", ls)},
		{"zipit's, select", preset("zipit", ls, represent("select"))},
	}
	for _, a := range []float64{1e-4, 0.3, 1} {
		for _, r := range []string{"mean", "select"} {
			matchings = append(matchings, struct {
				name     string
				settings transform.Settings
			}{fmt.Sprintf("zip, α = %g, %s", a, r), preset("zip", ls, alpha(a), represent(r))})
		}
	}
	for _, name := range transform.Matches { // whatever else can give a space any width
		s := preset(transform.DefaultMethod, ls, func(s *transform.Settings) { s.Match = name })
		if s.AnyWidth() && name != "zip" && name != "halves" {
			matchings = append(matchings, struct {
				name     string
				settings transform.Settings
			}{name, s})
		}
	}
	var out []variant
	for _, m := range matchings {
		for _, x := range []float64{1, 0.5, 0.25} {
			s := m.settings
			if x != 1 {
				s.Budget = x
			}
			if x != 1 && !s.AnyWidth() {
				continue // joins feature by feature: no other width
			}
			out = append(out, variant{name: m.name + fmt.Sprintf(", %gx", x), group: groupMatch, choice: true, settings: s})
		}
	}
	return out
}

// key is all that decides a variant's outcome beside models, data and program. Rows with other names, or from another
// preset, that come to the same share it.
func (v variant) key() string {
	s := v.settings
	s.Method = ""
	text, _ := json.Marshal(s) // numbers and strings
	if v.chosen {
		text = append(text, " chosen"...)
	}
	return string(text) + v.until
}

// args are those of onnx-zip merge: the method and what differs from its preset.
func (v variant) args() []string {
	s, base := v.settings, preset(v.settings.Method)
	args := []string{"--method", s.Method}
	add := func(flag, value string, differs bool) {
		if differs {
			args = append(args, flag, value)
		}
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	add("--match", s.Match, s.Match != base.Match)
	add("--represent", s.Represent, s.Represent != base.Represent)
	add("--refit", s.Refit, s.Refit != base.Refit && !s.Narrow)
	add("--narrow", "trunk", s.Budget > 1 && !s.Narrow && !v.chosen)
	add("--alpha", number(s.Alpha), s.Alpha != base.Alpha)
	add("--beta", number(s.Beta), s.Beta != base.Beta)
	add("--budget", number(s.Budget)+"x", s.Budget != 0)
	add("--until", v.until, v.until != "")
	return args
}
