package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
)

// print is the table for people.
func (w *sweeping) print() {
	if w.a.json {
		return
	}
	w.a.printf("\n%s", w.table())
	w.a.paragraph("* no other row has a better figure for as few FLOPs; the figure: %s. FLOPs and parameters are relative to the ensemble (%s FLOPs, %s parameters)",
		sweep.MeasureWords(w.out.Rank), report.Count(w.ensembleFLOPs()), report.Count(w.ensembleParams()))
	if n := w.samplesLine(); n != "" {
		w.a.paragraph("%s", n)
	}
	for _, f := range sweep.Failures(w.out.Rows) {
		w.a.paragraph("not made: %s: %s (%s)", strings.Join(f.Names, ", "), f.Message, f.Code)
	}
	w.a.printf("results: %s in %s\n", "results.jsonl, sweep.json, sweep.html", w.out.Folder)
}

// table has a row for each model that there is.
func (w *sweeping) table() *table {
	heads := headNames(w.p)
	labelled := w.yard.ref != nil
	joint := slices.ContainsFunc(w.out.Rows, func(r sweep.Row) bool { return r.Joint != nil })
	t := &table{left: map[int]bool{3: true, 5: true}}
	head := []string{"", "FLOPs", "params", "method", "budget", "cut"}
	for _, h := range heads {
		if labelled {
			head = append(head, h+", %")
		} else {
			head = append(head, h+" agrees, %")
		}
	}
	if joint {
		head = append(head, "joint, %")
	}
	if !labelled {
		head = append(head, "error")
	}
	if w.program != nil {
		head = append(head, "score")
	}
	t.add(append(head, "s")...)
	for _, r := range w.out.Rows {
		if r.Failed != nil {
			continue
		}
		mark := ""
		if r.Front {
			mark = "*"
		}
		cells := []string{mark, fmt.Sprintf("%.3f", r.FLOPsRatio), fmt.Sprintf("%.3f", r.ParamsRatio), r.Words(), budgetCell(r), r.Cut}
		for _, h := range heads {
			cells = append(cells, headCell(r, h, labelled))
		}
		if joint {
			cells = append(cells, optionalRate(r.Joint))
		}
		if !labelled {
			cells = append(cells, errorCell(r))
		}
		if w.program != nil {
			cells = append(cells, scoreCell(r))
		}
		t.add(append(cells, secondsCell(r))...)
	}
	return t
}

func budgetCell(r sweep.Row) string {
	switch {
	case r.Kind == sweep.KindSource || r.Kind == sweep.KindEnsemble:
		return ""
	case r.Budget == 0:
		return "own"
	}
	return fmt.Sprintf("%gx", r.Budget)
}

// headCell is how a row does on one task: its accuracy, or its agreement with the source.
func headCell(r sweep.Row, head string, labelled bool) string {
	if labelled {
		for _, t := range r.Tasks {
			if t.Head == head {
				return rate(t.Accuracy)
			}
		}
		return ""
	}
	for _, a := range r.Agreements() {
		if a.Head == head {
			return rate(a.Top1)
		}
	}
	return ""
}

func optionalRate(r *eval.Rate) string {
	if r == nil {
		return ""
	}
	return rate(*r)
}

func errorCell(r sweep.Row) string {
	if len(r.HeldOut) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", r.HeldOut.RelativeError())
}

func scoreCell(r sweep.Row) string {
	if r.Score == nil {
		return ""
	}
	return score.Number(r.Score.Value)
}

func secondsCell(r sweep.Row) string {
	if r.Kind == sweep.KindSource {
		return ""
	}
	return fmt.Sprintf("%.1f", r.Seconds)
}

// samplesLine says what the figures are of.
func (w *sweeping) samplesLine() string {
	var parts []string
	if w.yard.ref != nil {
		var counts []string
		for _, t := range w.yard.ref.Tasks {
			counts = append(counts, fmt.Sprintf("%s %d", t.Head, t.Accuracy.N))
		}
		if w.yard.ref.Joint.Softmax != nil {
			counts = append(counts, fmt.Sprintf("joint %d", w.yard.ref.Joint.Softmax.Accuracy.N))
		}
		parts = append(parts, "accuracy with 95 % intervals; test samples: "+strings.Join(counts, ", "))
	} else if n := w.heldOutSamples(); n > 0 {
		parts = append(parts, fmt.Sprintf("agreement: same top-1 as the source on %s of the calibration data, with 95 %% intervals", plural(n, "held-out sample")))
	}
	return strings.Join(parts, "; ")
}

func (w *sweeping) heldOutSamples() int {
	for _, r := range w.out.Rows {
		if len(r.HeldOut) > 0 {
			return r.HeldOut[0].Samples
		}
	}
	return 0
}

// ensembleFLOPs and ensembleParams are those of the sources together.
func (w *sweeping) ensembleFLOPs() (n int64) {
	for _, r := range w.out.Rows {
		if r.Kind == sweep.KindSource {
			n += r.FLOPs
		}
	}
	return n
}

func (w *sweeping) ensembleParams() (n int64) {
	for _, r := range w.out.Rows {
		if r.Kind == sweep.KindSource {
			n += r.Params
		}
	}
	return n
}
