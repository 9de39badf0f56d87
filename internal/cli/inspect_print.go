package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

func (a *app) printInspection(in *inspection) {
	a.printf("%s\n", in.Shared)
	a.showPrefixes(in.Prefixes)
	a.showForms(in.Forms)
	for _, m := range in.Models {
		a.printModel(m)
	}
	if in.Origin != nil {
		a.printOrigin(in)
	}
	a.printDifference(in.Difference)
	a.printSpaces(in)
	a.printEnds(in)
	a.printCuts(in)
	a.printProofs(in.Proofs)
	if in.Picture != "" {
		a.printf("\nwrote %s\n", in.Picture)
	}
}

func (a *app) printModel(m modelInfo) {
	a.printf("\nmodel %s: %s, %d nodes, opset %d, %s → %s\n", m.Head, m.File, m.Nodes, m.Opset,
		strings.Join(m.Inputs, ", "), strings.Join(m.Outputs, ", "))
	if m.Provenance == nil {
		return
	}
	a.printf("made by onnx-zip:\n")
	for _, key := range slices.Sorted(maps.Keys(m.Provenance)) {
		a.printf("  %-18s %s\n", key, m.Provenance[key])
	}
}

func (a *app) printOrigin(in *inspection) {
	o := in.Origin
	verdict := "independent"
	if o.Verdict == "same_origin" {
		verdict = "same origin"
	}
	a.printf("\norigin: %s (%.1f %% of the common weights are bit-identical, cosine %.2f)\n", verdict, 100*o.Identical, o.Cosine)
	if in.Exact {
		a.printf("The shared trunk is identical: merging loses nothing and needs no data.\n")
	}
}

func (a *app) printDifference(d *difference) {
	if d == nil {
		return
	}
	a.printf("\nfirst difference: %s\n", d.Why)
	for _, s := range d.Sides {
		what := "no node there"
		if s.Op != "" {
			what = fmt.Sprintf("%s %q", s.Op, s.Node)
		}
		a.printf("  %s: %s\n", s.File, what)
	}
}

func (a *app) printSpaces(in *inspection) {
	if len(in.Spaces) == 0 {
		a.printf("\nno feature spaces\n")
		return
	}
	t := &table{left: map[int]bool{1: true, 3: true, 5: true}}
	t.add("space", "name", "dim", "mode", "cosine", "reason")
	if in.Origin == nil {
		t.rows[0][4] = ""
	}
	pinned := 0
	for _, s := range in.Spaces {
		why := s.Why
		if s.Identical && len(in.Models) > 1 {
			why = strings.TrimPrefix(why+"; identical in all models", "; ")
		}
		if s.Mode == space.Pinned.String() {
			pinned++
		}
		t.add(fmt.Sprint(s.ID), s.Name, report.Dims(s.Dim, s.Dims), s.Mode, cosineOf(in.Origin, s.Name), why)
	}
	title := "\n"
	if in.Shares == (transform.Shares{}) && in.Origin == nil && len(in.Models) > 1 {
		title = "\nspaces of each model by itself:\n"
	}
	a.printf("%s%s", title, t)
	if pinned == len(in.Spaces) && !in.Exact {
		a.printf(`
Every space is pinned, so no features can be matched: an operator that onnx-zip
has no rule for, or one that depends on the features' order, touches each of
them (the reasons are above). Only bit-identical parts can be shared;
--method ensemble puts the models side by side.
`)
	}
}

// printEnds lists where the trunk ends, where that is in more than the one place that the first line names.
func (a *app) printEnds(in *inspection) {
	const enough = 6
	if len(in.Ends) < 2 {
		return
	}
	a.printf("\nthe trunk ends at\n")
	for _, e := range in.Ends[:min(enough, len(in.Ends))] {
		a.printf("  %s: %s\n", e.Node, e.Why)
	}
	if more := len(in.Ends) - enough; more > 0 {
		a.printf("  and in %d more places (--json)\n", more)
	}
}

func (a *app) printCuts(in *inspection) {
	if len(in.Cuts) == 0 {
		return
	}
	t := &table{left: map[int]bool{1: true}}
	t.add("cut", "after value", "FLOPs", "params", "gathers")
	for _, c := range in.Cuts {
		t.add(fmt.Sprintf("cut:%d", c.Number), c.Value, percent(c.FLOPsShare), percent(c.ParamsShare), fmt.Sprint(c.Gathers))
	}
	a.printf("\ncuts for merge --until, and the share of the first model that lies before them:\n%s", t)
}

// cosineOf is the cosine of a space's weights, "" where there is none.
func cosineOf(o *transform.Origin, space string) string {
	if o == nil {
		return ""
	}
	for _, s := range o.Spaces {
		if s.Space == space {
			return fmt.Sprintf("%.2f", s.Cosine)
		}
	}
	return ""
}
