package main

import (
	"fmt"
	"io"
)

// choice writes the table that the default is chosen by: candidates on images that are neither trained on nor reported on.
func (b *benchmark) choice(w io.Writer, families []*family) {
	ready := b.compared(families)
	if len(ready) == 0 {
		return
	}
	fmt.Fprint(w, `
## The choice of the default

Least squares after every matching, on the 10,000 *validation* images (the last of the training file, which no model was trained on): joint accuracy / mean of
the tasks, means over the seeds. The last column is the mean of both figures over all pairs of the line, by which the default is chosen, at all budgets together.

| matching |`)
	for _, f := range ready {
		fmt.Fprintf(w, " %s |", f.Family)
	}
	fmt.Fprint(w, " mean |\n|---|")
	for range ready {
		fmt.Fprint(w, "---|")
	}
	fmt.Fprint(w, "---|\n")
	for _, v := range candidates() {
		b.choiceLine(w, ready, v)
	}
}

// compared are the families of which at least two candidates were tried.
func (b *benchmark) compared(families []*family) []*family {
	var out []*family
	for _, f := range families {
		tried := 0
		for _, v := range candidates() {
			if b.rowOf(f, v, validFile).measured() {
				tried++
			}
		}
		if tried > 1 {
			out = append(out, f)
		}
	}
	return out
}

// choiceLine writes a candidate's line, unless no pair was merged that way. Means are of lines without gaps only.
func (b *benchmark) choiceLine(w io.Writer, ready []*family, v variant) {
	sum, n := 0.0, 0.0
	line := fmt.Sprintf("| %s |", v.name)
	for _, f := range ready {
		r := b.rowOf(f, v, validFile)
		if !r.measured() {
			line += " – |"
			continue
		}
		joint, own := r.mean(softmax), r.mean(tasks)
		cell := fmt.Sprintf(" %.1f / %.1f", joint, own)
		if len(r.seeds) < len(f.pairs) {
			cell += fmt.Sprintf(" (%d of %d seeds)", len(r.seeds), len(f.pairs))
		}
		line += cell + " |"
		sum += (joint + own) / 2
		n++
	}
	switch {
	case n == 0:
		return
	case n < float64(len(ready)):
		line += " – |"
	default:
		line += fmt.Sprintf(" %.2f |", sum/n)
	}
	fmt.Fprintln(w, line)
}
