package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/onnx-zip/onnx-zip/eval"
)

// print writes the table and what has to be known to read it.
func (p *pair) print(name string, rows []row, times eval.LatencyReport) {
	out := p.d.out
	fmt.Fprintf(out, "\n%s_a knows %s;\n%s_b knows %s.\n", name, strings.Join(p.names[0], ", "), name, strings.Join(p.names[1], ", "))
	fmt.Fprintf(out, "Trained from different initialisations. %d unlabelled images to merge by, %d labelled ones to judge.\n\n", p.calib.Samples(), len(p.labels))
	line(out, "", "accuracy, %", "", "", "million", "", "time / ensemble's", "")
	line(out, "", "joint", "task A", "task B", "params", "FLOPs", "batch 1", "batch 8")
	for _, r := range rows {
		one, _ := times.Times(r.timed, 1)
		eight, _ := times.Times(r.timed, 8)
		line(out, r.name, percent(r.joint), percent(r.a), percent(r.b), millions(r.size.Params, 2), millions(r.size.FLOPs, 0),
			fmt.Sprintf("%.2f", one.Ratio.Value), fmt.Sprintf("%.2f", eight.Ratio.Value))
		if r.remark != "" {
			fmt.Fprintf(out, "    (%s)\n", r.remark)
		}
	}
	p.notes(rows[len(rows)-1], times)
}

// notes says how far the numbers can be trusted; best is the row of the ensemble.
func (p *pair) notes(best row, times eval.LatencyReport) {
	one, _ := times.Times(ensemble, 1)
	eight, _ := times.Times(ensemble, 8)
	half := func(r *eval.Rate) float64 { return 100 * (r.High - r.Low) / 2 }
	fmt.Fprintf(p.d.out, `
Judge by the tasks. The ensemble's joint accuracy is no ceiling: no head ever saw the other's classes, and each is
sure of itself on them, so that a merge can have a higher one and still be worse in each task. The first control shares
no feature of B: a merge that does not beat it in task B is not worth its trouble. The second shares nothing at all: with as
many FLOPs it comes nearer to both models, in more nodes, which take more time.
Task: among its own %d classes, n = %d; joint: among all, without knowing the task, n = %d. Where the ensemble stands,
a 95 %% interval is ± %.1f points for a task, ± %.1f for joint.
Times: medians of %d interleaved runs, %d thread, of %s; the ensemble's are %.1f ms and %.1f ms.
Networks of the same size differ in weights only and were timed once.
`, len(p.classes[0]), best.a.N, best.joint.N, max(half(best.a), half(best.b)), half(best.joint),
		times.Runs, times.Threads, times.Engine, one.MedianMS, eight.MedianMS)
}

// widths are those of the columns, the first flush left.
var widths = []int{36, 8, 8, 8, 9, 7, 9, 9}

func line(out io.Writer, cells ...string) {
	var b strings.Builder
	for i, c := range cells {
		pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(c)))
		switch {
		case i == 0:
			b.WriteString(c + pad)
		case i+1 < len(cells) && cells[i+1] == "" && c != "" && utf8.RuneCountInString(c) > widths[i]-1: // a heading over columns
			b.WriteString("  " + c)
		default:
			b.WriteString(pad + c)
		}
	}
	fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
}

func percent(r *eval.Rate) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*r.Value)
}

func millions(n int64, digits int) string { return fmt.Sprintf("%.*f", digits, float64(n)/1e6) }
