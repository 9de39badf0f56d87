package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/transform"
)

// print says what was chosen, and by what.
func (c *choosing) print(m *merging) {
	t := c.report.Chosen
	m.a.printf("%s\n", m.result.Shared)
	text := fmt.Sprintf("chosen of %s: %s", plural(len(c.tried), "merge"), t.Row.String())
	if c.mode == chooseNearest && len(t.HeldOut) == 0 {
		m.a.paragraph("%s; no calibration samples are left to choose by: give at least %d", text, 2*transform.HeldOut)
		return
	}
	if c.mode == chooseNearest {
		m.a.paragraph("%s; relative output error %.3f on %s", text, t.HeldOut.RelativeError(), plural(t.HeldOut[0].Samples, "held-out sample"))
		return
	}
	if t.LatencyMS > 0 {
		text += fmt.Sprintf(", %.3f ms", t.LatencyMS)
	}
	m.a.paragraph("%s; goals: %s%s; %s (%s); all figures below are of the other half", text, strings.Join(c.report.Goals, ", "), c.defaultWords(), t.verdict(), c.samples())
}

func (c *choosing) defaultWords() string {
	if c.report.Default {
		return " (by default)"
	}
	return ""
}

// samples says what the choice was made on.
func (c *choosing) samples() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.report.ChoiceSamples)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, c.report.ChoiceSamples[name]))
	}
	return "on one half of the data, samples: " + strings.Join(parts, ", ")
}

// printNearest shows the three that come nearest to the goals.
func (c *choosing) printNearest(m *merging) {
	c.noteSamples(m, &c.report.Nearest[0])
	m.a.paragraph("no merge of %d keeps %s%s; the nearest (%s):", len(c.tried), strings.Join(c.report.Goals, ", "), c.defaultWords(), c.samples())
	t := &table{left: map[int]bool{2: true, 3: true}}
	head := []string{"FLOPs", "budget", "cut"}
	for _, h := range headNames(m.p) {
		head = append(head, h+", points", h+" agrees, %")
	}
	t.add(append(head, "joint, %", "score", "misses by")...)
	for _, n := range c.report.Nearest {
		t.add(nearestCells(n, headNames(m.p))...)
	}
	m.a.printf("%s", t.withoutEmpty())
}

func nearestCells(n tried, heads []string) []string {
	cells := []string{fmt.Sprintf("%.3f", n.FLOPsRatio), budgetCell(n.Row), n.Cut}
	for _, h := range heads {
		drop, agrees := "", ""
		for _, one := range n.Tasks {
			if one.Head == h && one.Difference != nil {
				drop = points(*one.Difference)
			}
		}
		for _, one := range topRows(n.Agreement) {
			if one.Head == h {
				agrees = rate(*one.Top1)
			}
		}
		cells = append(cells, drop, agrees)
	}
	return append(cells, optionalRate(n.Joint), scoreCell(n.Row), fmt.Sprintf("%.2f", n.Misses))
}
