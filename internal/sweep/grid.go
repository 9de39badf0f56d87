package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/transform"
)

// Kinds of rows. Sources and the ensemble are what a merge is compared with, controls are merges without a matching.
const (
	KindCandidate = "candidate"
	KindControl   = "control"
	KindEnsemble  = "ensemble"
	KindSource    = "source"
)

// Ensemble is the method that puts the sources side by side.
const Ensemble = "ensemble"

// Controls are the methods that need no matching: they are made whatever else is asked for.
var Controls = []string{"graft", "halves"}

// Cut is a place to end the trunk at.
type Cut struct {
	Until string  // for transform.Options.Until; "" shares all that can be shared
	At    string  // the values there, however the cut was named
	Label string  // for people: "60 %", "all", or what was asked for
	FLOPs float64 // share of the first model's FLOPs that lies in the trunk
}

// Candidate is one merge of a sweep.
type Candidate struct {
	Kind     string
	Method   string
	Settings transform.Settings // with the budget, 0 where every space keeps its width
	Cut      Cut
}

// Name tells a candidate from the others of its sweep.
func (c Candidate) Name() string {
	name := c.Method
	if c.Settings.Budget > 0 {
		name += fmt.Sprintf(" %gx", c.Settings.Budget)
	}
	if c.Cut.Until != "" {
		name += " until " + c.Cut.Label
	}
	if c.Settings.Narrow && c.Method != Ensemble {
		name += ", all narrowed"
	}
	return name
}

// Shrunk is the ensemble of models that are shrunk, each by itself, until they need a budget's FLOPs together.
func Shrunk(budget float64, seed uint64) Candidate {
	s, err := transform.Preset(Ensemble)
	if err != nil {
		panic(err) // it is a preset
	}
	s.Refit, s.Narrow, s.Budget, s.Seed = "ls", true, budget, seed
	return Candidate{Kind: KindControl, Method: Ensemble, Settings: s, Cut: Cut{Label: "nothing"}}
}

// Grid is what a sweep crosses.
type Grid struct {
	Cuts    []Cut
	Budgets []float64 // FLOPs relative to one source; 0: every space keeps its width
	Methods []string
	Seed    uint64
	Models  float64 // how many there are: budgets of as many sources are the ensemble's
	Base    string  // head whose trunk the control "graft" keeps
}

// Candidates lists the grid's merges, the ensemble and the controls first. Methods that join one feature of each model
// have one width only: budgets do not apply to them, and they are made once for each cut.
func (g Grid) Candidates() ([]Candidate, error) {
	var out []Candidate
	add := func(kind, method string, cut Cut, budget float64) error {
		s, err := transform.Preset(method)
		if err != nil {
			return err
		}
		s.Seed, s.Budget = g.Seed, budget
		if s.Represent == "base" {
			s.Base = g.Base
		}
		c := Candidate{Kind: kind, Method: method, Settings: s, Cut: cut}
		if !slices.ContainsFunc(out, func(o Candidate) bool { return o.Settings == c.Settings && o.Cut.Until == c.Cut.Until }) {
			out = append(out, c)
		}
		return nil
	}
	if err := add(KindEnsemble, Ensemble, Cut{}, 0); err != nil {
		return nil, err
	}
	for _, b := range g.Budgets {
		if b > 0 && b < g.Models {
			out = append(out, Shrunk(b, g.Seed))
		}
	}
	for _, method := range append(slices.Clone(Controls), g.Methods...) {
		if method == Ensemble {
			continue
		}
		kind := KindCandidate
		if slices.Contains(Controls, method) {
			kind = KindControl
		}
		for _, cut := range g.Cuts {
			for _, budget := range g.budgets(method) {
				if err := add(kind, method, cut, budget); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// budgets are those that a method can have.
func (g Grid) budgets(method string) []float64 {
	if s, err := transform.Preset(method); err == nil && !s.AnyWidth() || len(g.Budgets) == 0 {
		return []float64{0}
	}
	return g.Budgets
}

// ChooseCuts takes n of the valid cuts, their shares of the FLOPs as evenly spread as they are, and sharing all that
// can be shared, whose share is full.
func ChooseCuts(cuts []transform.CutInfo, full float64, n int) []Cut {
	var out []Cut
	for k := range n {
		want := full * float64(k+1) / float64(n+1)
		best := -1
		for i, c := range cuts {
			if c.FLOPsShare > 0 && c.FLOPsShare < full && (best < 0 || math.Abs(c.FLOPsShare-want) < math.Abs(cuts[best].FLOPsShare-want)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		c := cuts[best]
		cut := Cut{Until: fmt.Sprintf("cut:%d", c.Number), Label: fmt.Sprintf("cut:%d (%.0f %%)", c.Number, 100*c.FLOPsShare), FLOPs: c.FLOPsShare}
		if !slices.ContainsFunc(out, func(o Cut) bool { return o.Until == cut.Until }) {
			out = append(out, cut)
		}
	}
	return append(out, Cut{Label: "all", FLOPs: full})
}

// SplitCuts reads a list of cuts: "20%,cut:7,full" is three, "V1,V2" is one that names two values.
func SplitCuts(list string) []string {
	parts := strings.Split(list, ",")
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "auto" && p != "full" && !strings.HasPrefix(p, "cut:") && !strings.HasSuffix(p, "%") {
			return []string{list}
		}
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
