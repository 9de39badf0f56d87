package main

import (
	"fmt"
	"io"
	"strings"
)

// prototypes are the shares of the gap that a prototype closed on such pairs, in percent: what the default has to reach.
var prototypes = map[string]float64{"vgg": 92, "resnet20w16": 80, "resnet20w32": 93}

// goals writes what the tables have to show, and whether they do.
func (b *benchmark) goals(w io.Writer, families []*family) {
	fmt.Fprintf(w, `
## What was to be shown

*closed*: of the gap, at 1x, by joint accuracy with softmax and with standardised logits, and of a prototype of least squares where it was measured on such pairs (softmax; other trainings).
*%[1]s*: the same with widths that are planned for the FLOPs of one source, not each model's own. *halves*: the default against random halves with least squares, points
of joint accuracy at each budget, with intervals. *apart*: the models side by side, each shrunk, at the FLOPs of one source. *half*: the default at 0.5x against A's trunk with refitted heads at 1x. *cuts*: the worst cut against the
full merge, by softmax, and with standardised logits. A goal is missed where the value is on the wrong side; a star marks differences whose interval holds zero.

| pairs | closed | %[1]s | apart | halves at 1x | 0.75x | 0.5x | 0.25x | half | cuts | missed |
|---|---|---|---|---|---|---|---|---|---|---|
`, "`--budget 1x`")
	for _, f := range families {
		g := goalLine{b: b, f: f}
		full := g.row(rowDefault)
		if !full.measured() {
			continue
		}
		g.closed(full)
		g.planned(g.row(rowDefault + ", 1x"))
		g.planned(g.row(rowApart + ", 1x"))
		g.compare("halves", full, g.row(rowHalves))
		for _, x := range []string{"0.75x", "0.5x", "0.25x"} {
			g.compare("halves at "+x, g.row(rowDefault+", "+x), g.row("random halves, "+x))
		}
		g.compare("half", g.row(rowDefault+", 0.5x"), g.row(rowGraft))
		g.cuts(full)
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.Title, strings.Join(g.cells, " | "), orDash(strings.Join(g.missed, ", ")))
	}
}

// goalLine gathers the cells of one family.
type goalLine struct {
	b             *benchmark
	f             *family
	cells, missed []string
}

func (g *goalLine) row(name string) row { return g.b.rowOf(g.f, named(name), testFile) }

func (g *goalLine) closed(full row) {
	graft, ensemble := g.row(rowGraft), g.row(rowEnsemble)
	cell := gaps(full, graft, ensemble)
	if wanted, ok := prototypes[g.f.Family]; ok && cell != "" {
		share := 100 * gap(full, graft, ensemble, softmax)
		cell += fmt.Sprintf(" (%.0f %%)", wanted)
		if share < wanted {
			g.missed = append(g.missed, "closed")
		}
	}
	g.cells = append(g.cells, cell)
}

// planned adds what the default closes with planned widths.
func (g *goalLine) planned(r row) {
	g.cells = append(g.cells, gaps(r, g.row(rowGraft), g.row(rowEnsemble)))
}

// compare adds the difference of two rows, which is to be positive.
func (g *goalLine) compare(name string, a, b row) {
	d, ok := a.against(b, func(r result) bits { return r.Softmax })
	if !ok {
		g.cells = append(g.cells, "")
		return
	}
	g.cells = append(g.cells, g.cell(d))
	if d.points < 0 {
		g.missed = append(g.missed, name)
	}
}

// cell is a difference, with the number of its seeds where some are missing.
func (g *goalLine) cell(d difference) string {
	if d.seeds == len(g.f.pairs) {
		return d.String()
	}
	return fmt.Sprintf("%s, %d of %d seeds", d, d.seeds, len(g.f.pairs))
}

// cuts adds the cuts that do worst against the full merge, by both joint rules. Their goal is missed beyond the interval only.
func (g *goalLine) cuts(full row) {
	var cells []string
	for _, rule := range []struct {
		name string
		of   func(result) bits
	}{{"softmax", func(r result) bits { return r.Softmax }}, {"standardised", func(r result) bits { return r.Standardised }}} {
		worst, ok := g.worstCut(full, rule.of)
		if !ok {
			continue
		}
		cells = append(cells, g.cell(worst))
		if worst.high < 0 {
			g.missed = append(g.missed, "cuts by "+rule.name)
		}
	}
	g.cells = append(g.cells, strings.Join(cells, "; "))
}

func (g *goalLine) worstCut(full row, of func(result) bits) (worst difference, found bool) {
	for _, v := range variants() {
		if v.group != groupCuts {
			continue
		}
		d, ok := g.row(v.name).against(full, of)
		if ok && (!found || d.points < worst.points) {
			worst, found = d, true
		}
	}
	return worst, found
}
