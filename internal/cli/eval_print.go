package cli

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/report"
)

func (e *evaluation) print() {
	if e.a.json {
		return
	}
	for i, m := range e.result.Models {
		if i > 0 {
			e.a.printf("\n")
		}
		e.a.printf("%s\n%s", m.File, sizeTable(m))
		if m.Scores != nil {
			e.a.printf("\n%s", m.Scores.table("accuracy"))
			if m.Scores.Joint == nil && len(m.Heads) > 1 {
				e.a.printf("no joint accuracy: %s\n", m.Scores.JointSkipped)
			}
		}
		e.printAgreement(m)
		if m.Deployment != nil {
			e.printDeployment(m.Deployment)
		}
	}
	e.printTogether()
	if e.result.Latency != nil {
		e.printLatency(e.result.Latency)
	}
}

func sizeTable(m evalModel) *table {
	t := &table{}
	if m.Sources == nil {
		t.add("parameters", report.Count(m.Size.Params))
		t.add("FLOPs", report.Count(m.Size.FLOPs))
		t.add("file", report.Count(m.Size.FileBytes)+"B")
		return t
	}
	row := func(name string, a, b int64, unit string) {
		t.add(name, report.Count(a)+unit, report.Count(b)+unit, fmt.Sprintf("%.3f", float64(a)/float64(max(b, 1))))
	}
	t.add("", "this file", "sources", "ratio")
	row("parameters", m.Size.Params, m.Sources.Params, "")
	row("FLOPs", m.Size.FLOPs, m.Sources.FLOPs, "")
	row("files", m.Size.FileBytes, m.Sources.FileBytes, "B")
	return t
}

func (e *evaluation) printAgreement(m evalModel) {
	if len(m.Agreement) == 0 {
		return
	}
	t := &table{}
	t.add("output", "same top-1 as its source, %", "samples", "relative difference")
	for _, r := range m.Agreement {
		top := "no classifier"
		if r.Top1 != nil {
			top = rate(*r.Top1)
		}
		t.add(r.Merged, top, fmt.Sprint(r.Samples), relative(r.Error))
	}
	e.a.printf("\n%s", t)
}

// relative is ‖m-s‖/‖s‖, where it exists.
func relative(d eval.Deviation) string {
	if d.RelativeL2 == nil {
		return "-"
	}
	return fmt.Sprintf("%.2g", *d.RelativeL2)
}

func (e *evaluation) printDeployment(d *eval.DeploymentReport) {
	e.a.printf("\none input for all heads: time of a run, ms\n")
	t := &table{}
	t.add("batch", "merged", "ensemble", "separate sessions", "merged/ensemble", "merged/separate")
	for _, r := range d.AllHeads {
		ensemble, ratio := "-", "-"
		if r.EnsembleMS != nil {
			ensemble, ratio = ms(*r.EnsembleMS), ratioText(*r.VersusEnsemble)
		}
		t.add(fmt.Sprint(r.Batch), ms(r.MergedMS), ensemble, ms(r.SeparateMS), ratio, ratioText(r.VersusSeparate))
	}
	e.a.printf("%s\nrouted requests, one head each: time of a run, ms\n", t)
	t = &table{}
	t.add("head", "batch", "merged", "its source", "merged/source", "of it for the other heads")
	for _, r := range d.Routed {
		t.add(r.Head, fmt.Sprint(r.Batch), ms(r.MergedMS), ms(r.SourceMS), ratioText(r.VersusSource), ms(r.OtherHeadsMS))
	}
	e.a.printf("%s", t)
	e.printLatency(&d.Latency)
	e.a.printf("source:H is the source of head H alone, merged:H the merged file cut to that head\n")
}

func (e *evaluation) printLatency(r *eval.LatencyReport) {
	t := &table{}
	t.add("latency", "batch", "median ms", "p95 ms", "ratio to "+r.Reference)
	for _, s := range r.Subjects {
		for _, b := range s.Batches {
			t.add(s.Name, fmt.Sprint(b.Batch), ms(b.MedianMS), ms(b.P95MS), ratioText(b.Ratio))
		}
	}
	e.a.printf("\n%s%d interleaved runs, %s inside a run, %s\n", t, r.Runs, plural(r.Threads, "thread"), r.Engine)
}

func ms(x float64) string { return fmt.Sprintf("%.3f", x) }

func ratioText(r eval.Ratio) string { return fmt.Sprintf("%.2f [%.2f, %.2f]", r.Value, r.Low, r.High) }
