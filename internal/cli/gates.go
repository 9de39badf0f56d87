package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// gate is a limit that a merge must keep.
type gate struct {
	Name   string  `json:"name"` // the flag's
	Limit  float64 `json:"limit"`
	Value  float64 `json:"value"`
	Passed bool    `json:"passed"`
	Head   string  `json:"head,omitempty"`   // the worst one
	Detail string  `json:"detail,omitempty"` // in words
}

// gateFlags are the limits asked for; a nil one was not.
type gateFlags struct {
	maxDrop, minJoint, minAgreement, minShared *float64
	scoreLimit                                 *float64
	strict, beatsControl                       bool
	allow                                      []string
}

func (f *gateFlags) define(s *pflag.FlagSet) {
	f.maxDrop, f.minJoint, f.minAgreement, f.minShared = new(float64), new(float64), new(float64), new(float64)
	f.scoreLimit = new(float64)
	s.Float64Var(f.maxDrop, "max-drop", 0, "`POINTS`: what a task may lose against its source (needs --test)")
	s.Float64Var(f.minJoint, "min-joint", 0, "`PERCENT`: least joint accuracy (needs --test)")
	s.Float64Var(f.minAgreement, "min-agreement", 0, "`PERCENT`: least agreement of each head with its source, top-1 on held-out --data, without labels")
	s.Float64Var(f.minShared, "min-shared", 0, "`PERCENT`: least share of the first model's FLOPs in the trunk")
	s.Float64Var(f.scoreLimit, "score-limit", 0, "`X`: least figure of the --score program, the greatest with --score-goal min")
	s.BoolVar(&f.beatsControl, "require-beats-control", false, "matching must do better than merges without it, by the outputs' error on held-out samples (needs refit ls)")
	s.BoolVar(&f.strict, "strict", false, "warnings fail as well")
	s.StringSliceVar(&f.allow, "allow", nil, "`CODE`: a warning that --strict lets pass (repeat)")
}

// settle drops the limits that were not asked for and checks the others.
func (f *gateFlags) settle(cmd *cobra.Command) error {
	for _, g := range []struct {
		name  string
		value **float64
	}{{"max-drop", &f.maxDrop}, {"min-joint", &f.minJoint}, {"min-agreement", &f.minAgreement}, {"min-shared", &f.minShared}} {
		if !cmd.Flags().Changed(g.name) {
			*g.value = nil
			continue
		}
		if v := **g.value; !(v >= 0 && v <= 100) {
			return usage("bad_flag", "--%s %g: the limit is a number from 0 to 100", g.name, v)
		}
	}
	if !cmd.Flags().Changed("score-limit") {
		f.scoreLimit = nil
	}
	if len(f.allow) > 0 && !f.strict {
		return usage("bad_flag", "--allow goes with --strict only")
	}
	return nil
}

// addGate adds a gate to the document.
func (a *app) addGate(g gate) {
	a.doc.Gates = append(a.doc.Gates, g)
	if a.doc.Gate == nil || a.doc.Gate.Passed && !g.Passed {
		a.doc.Gate = &a.doc.Gates[len(a.doc.Gates)-1]
	}
}

// gateError is the refusal by the gates that failed, nil where all were passed.
func (a *app) gateError() error {
	var failed []string
	for _, g := range a.doc.Gates {
		if !g.Passed {
			failed = append(failed, fmt.Sprintf("--%s: %s", g.Name, g.Detail))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fault.New(fault.Gate, "gate_failed", "%s; nothing was written", strings.Join(failed, "; ")).
		WithHint("--keep-rejected FILE saves what failed; an earlier cut (--until) loses less")
}

func gateShared(limit float64, share float64) gate {
	v := 100 * share
	return gate{Name: "min-shared", Limit: limit, Value: v, Passed: v >= limit,
		Detail: fmt.Sprintf("%.1f %% of the FLOPs are shared, %g %% were asked for", v, limit)}
}

func gateStrict(warnings []warning, allow []string) gate {
	g := gate{Name: "strict", Passed: true, Detail: "no warnings"}
	var codes []string
	for _, w := range warnings {
		if !slices.Contains(allow, w.Code) {
			g.Value++
			g.Passed = false
			if !slices.Contains(codes, w.Code) {
				codes = append(codes, w.Code)
			}
		}
	}
	if !g.Passed {
		g.Detail = fmt.Sprintf("%s (%s)", plural(int(g.Value), "warning"), strings.Join(codes, ", "))
	}
	return g
}

// gateDrop judges the task that lost most.
func gateDrop(limit float64, tasks []taskRow) gate {
	g := gate{Name: "max-drop", Limit: limit, Passed: true, Detail: "no task lost anything"}
	for _, t := range tasks {
		if t.Difference == nil {
			continue
		}
		if drop := -t.Difference.Points; g.Head == "" || drop > g.Value {
			g.Head, g.Value = t.Head, drop
			g.Passed = drop <= limit
			g.Detail = fmt.Sprintf("head %s lost %.1f points against its source, %g are allowed", t.Head, drop, limit)
			if drop <= 0 {
				g.Detail = "no task lost anything"
			}
		}
	}
	return g
}

func gateJoint(limit, joint float64) gate {
	v := 100 * joint
	return gate{Name: "min-joint", Limit: limit, Value: v, Passed: v >= limit,
		Detail: fmt.Sprintf("the joint accuracy is %.1f %%, %g %% were asked for", v, limit)}
}

// gateAgreement judges the head that agrees least.
func gateAgreement(limit float64, heads []agreementRow) gate {
	g := gate{Name: "min-agreement", Limit: limit, Passed: true}
	for _, h := range heads {
		if v := 100 * h.Top1.Value; g.Head == "" || v < g.Value {
			g.Head, g.Value, g.Passed = h.Head, v, v >= limit
			g.Detail = fmt.Sprintf("head %s agrees with its source on %.1f %% of %d samples, %g %% were asked for", h.Head, v, h.Top1.N, limit)
		}
	}
	return g
}

// gateControl holds the merge's error against that of the best control that shares a trunk: the other says nothing of the
// matching.
func gateControl(r *transform.Report) gate {
	g := gate{Name: "require-beats-control", Value: r.HeldOut.RelativeError(), Detail: "there was no control to compare with"}
	for _, c := range r.Controls {
		if c.Name == transform.ControlShrunk {
			continue
		}
		if e := c.HeldOut.RelativeError(); g.Limit == 0 || e < g.Limit {
			g.Limit, g.Passed = e, g.Value < e
			g.Detail = fmt.Sprintf("the outputs' relative error is %.3f, that of the control %q is %.3f", g.Value, c.Name, e)
		}
	}
	return g
}
