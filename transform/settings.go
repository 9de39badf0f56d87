package transform

import (
	"sort"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform/match"
)

// Settings are the choices of a merge on its three axes. Start from Preset and change what you like.
type Settings struct {
	Method    string  `json:"method"`           // the preset they started from
	Match     string  `json:"match"`            // who joins whom: zip, subset, auto, zipit, permute, identity, random, halves, full, none
	Represent string  `json:"represent"`        // what a merged feature imitates: mean, select, base; a subset's imitate what is kept
	Base      string  `json:"base,omitempty"`   // with represent=base: the head whose features stay as they are
	Refit     string  `json:"refit"`            // none, repair, ls
	Alpha     float64 `json:"alpha"`            // repeated-merge penalty of zip (zipit: the paper's α)
	Beta      float64 `json:"beta"`             // same-model budget of zip (zipit: the paper's β)
	Budget    float64 `json:"budget,omitempty"` // FLOPs relative to one source; 0: every space keeps its width
	// Narrow spends the budget behind the trunk too: each model keeps some of its own features there.
	Narrow bool   `json:"narrow,omitempty"`
	Seed   uint64 `json:"seed"` // of random matching and of the choice of samples
	// DataFree merges without any data: features are matched by their weights, and refit repair corrects variances as
	// far as weights tell. Least squares is not possible then.
	DataFree bool `json:"data_free,omitempty"`
}

// presets are the methods, each a point on the three axes.
var presets = map[string]Settings{
	"best":     {Match: "subset", Represent: "mean", Refit: "ls", Alpha: 0.3, Beta: 1},
	"average":  {Match: "identity", Represent: "mean", Refit: "none"},
	"permute":  {Match: "permute", Represent: "mean", Refit: "repair"},
	"zip":      {Match: "zip", Represent: "mean", Refit: "repair", Alpha: 0.3, Beta: 1},
	"zipit":    {Match: "zipit", Represent: "mean", Refit: "repair", Alpha: 0.3, Beta: 0.125},
	"graft":    {Match: "permute", Represent: "base", Refit: "ls"},
	"halves":   {Match: "halves", Represent: "select", Refit: "ls"},
	"ensemble": {Match: "none", Represent: "mean", Refit: "none"},
}

// DefaultMethod is the method where none is asked for.
const DefaultMethod = "best"

// Preset returns the settings of a method.
func Preset(method string) (Settings, error) {
	s, ok := presets[method]
	if !ok {
		return s, fault.New(fault.Usage, "unknown_method", "there is no method %q", method).
			WithHint("methods: %s", strings.Join(Methods(), ", "))
	}
	s.Method = method
	return s, nil
}

// Methods lists the presets' names.
func Methods() []string {
	var names []string
	for name := range presets {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Matches, Represents and Refits list the values of the axes.
var (
	Matches    = []string{"zip", "subset", MatchAuto, "zipit", "permute", "identity", "random", "halves", "full", "none"}
	Represents = []string{"mean", "select", "base"}
	Refits     = []string{"none", "repair", "ls"}
)

// needsData reports whether the settings need statistics of a trunk.
func (s Settings) needsData() bool {
	switch s.Match {
	case "none", "full":
		return false
	case "identity", "random", "halves":
		return s.Refit != "none" || s.Represent == "select"
	}
	return true
}

// measuredTie is what the rounding of covariances that are summed in float32 (package calibrate) leaves of a correlation:
// features of one model that are alike up to it are not told apart from a feature and its copy.
const measuredTie = 1e-6

func (s Settings) matchOptions() match.Options {
	return match.Options{Alpha: s.Alpha, Beta: s.Beta, Seed: s.Seed, Tie: measuredTie}
}

func (s Settings) check() error {
	for _, c := range []struct {
		axis, value string
		allowed     []string
	}{{"match", s.Match, Matches}, {"represent", s.Represent, Represents}, {"refit", s.Refit, Refits}} {
		ok := false
		for _, a := range c.allowed {
			ok = ok || a == c.value
		}
		if !ok {
			return fault.New(fault.Usage, "unknown_setting", "there is no --%s %q", c.axis, c.value).
				WithHint("choose one of %s", strings.Join(c.allowed, ", "))
		}
	}
	if s.DataFree && s.Match == MatchAuto {
		return fault.New(fault.Usage, "needs_data", "--match auto needs data: the matchings are judged on held-out samples").
			WithHint("use --match zip, permute or identity without data")
	}
	if s.DataFree && s.Refit == "ls" {
		return fault.New(fault.Usage, "needs_data", "least squares needs data").WithHint("use --refit repair or none, or give data")
	}
	if s.DataFree && s.Match == "subset" {
		return fault.New(fault.Usage, "needs_data", "what explains a feature is seen on data only").WithHint("use --match zip, or give data")
	}
	if s.Narrow && (s.Budget == 0 || s.Refit != "ls") {
		return fault.New(fault.Usage, "narrow_alone", "heads are narrowed to a budget, and refitted by least squares").
			WithHint("give --budget, and --refit ls")
	}
	if s.Budget != 0 && !s.AnyWidth() && !(s.Narrow && s.Match == "none") {
		return fault.New(fault.Usage, "fixed_width", "--match %s pairs feature by feature: a budget cannot change its widths", s.Match).
			WithHint("with --budget, choose --match subset or zip")
	}
	return nil
}

// AnyWidth reports whether the matching can give a space another width than the sources': only one that joins any
// number of features can.
func (s Settings) AnyWidth() bool {
	return s.Match == "zip" || s.Match == "subset" || s.Match == "halves" || s.Match == MatchAuto
}
