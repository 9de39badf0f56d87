package report_test

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/transform"
)

// sweepPage has a row of each kind, one merge that collapsed, and one that failed; all names are name.
func sweepPage(name string) *report.SweepPage {
	row := func(kind, method string, ratio float64, correct int) sweep.Row {
		joint, agrees := eval.RateOf(correct/2, 1000), float64(correct)/1000
		return sweep.Row{
			Key: method, Kind: kind, Name: name, Method: method, Cut: name, FLOPs: int64(1000 * ratio), FLOPsRatio: ratio, ParamsRatio: ratio, Joint: &joint,
			Tasks:   []sweep.Task{{Head: name, Accuracy: eval.RateOf(correct, 1000)}},
			HeldOut: transform.Judgement{{Head: name, RelativeError: 0.125, Agreement: &agrees, Samples: 1000}},
		}
	}
	rows := []sweep.Row{
		row(sweep.KindCandidate, "best", 0.25, 943), row(sweep.KindControl, "graft", 0.5, 921), row(sweep.KindCandidate, "zip", 0.5, 938),
		row(sweep.KindCandidate, "best", 0.5, 951), row(sweep.KindCandidate, "permute", 0.51, 930), row(sweep.KindCandidate, "average", 0.5, 227),
		row(sweep.KindEnsemble, "ensemble", 1, 958), {Kind: sweep.KindSource, Name: name + " alone", FLOPsRatio: 0.5, Tasks: []sweep.Task{{Head: name, Accuracy: eval.RateOf(958, 1000)}}},
		{Kind: sweep.KindCandidate, Name: name, Failed: &sweep.Failure{Code: "budget_too_small", Message: "no width of " + name}},
	}
	sweep.MarkFront(rows, "tasks")
	return &report.SweepPage{
		Title: name, Heads: []string{name}, Shared: "shared trunk: " + name, Rank: "tasks", Labelled: true, Complete: true, Samples: "of " + name, Rows: rows,
		Warnings: []report.Warning{{Code: "few_samples", Where: name, Message: name}}, Command: []string{"onnx-zip", "sweep", name},
		Files: []report.File{{What: name, Path: name, SHA256: "abc"}}, Versions: []report.Pair{{Name: "onnx-zip", Value: name}},
	}
}

func TestSweepPage(t *testing.T) {
	content, err := sweepPage("good").HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, content)
	for _, want := range []string{
		"mean accuracy of the tasks against FLOPs", "joint accuracy against FLOPs", "good alone", "94.3 %", "[92.7,\u00a095.6]", "0.250", "graft (control)",
		"Triangles at its foot are below 92 %", "no width of good", "budget_too_small", "few_samples", "good alone, its own task only: 95.8 %",
		"good: 22.7 % at 0.500 of the ensemble", "abc",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if n := strings.Count(string(content), `class="m0 best"`); n != 4 { // two of each
		t.Errorf("%d marks of the method best are on a front", n)
	}
	if strings.Contains(text, "interrupted") {
		t.Error("it says that it was interrupted")
	}
}

// A score has its own axis; where a lower one is better, the axis runs downwards.
func TestSweepPageOfScores(t *testing.T) {
	p := sweepPage("a")
	p.Rank = "score"
	for i := range p.Rows {
		if p.Rows[i].Kind != sweep.KindSource {
			p.Rows[i].Score = &score.Result{Key: "loss", Goal: score.Min, Value: 1200000 - 100000*float64(i)}
		}
	}
	sweep.MarkFront(p.Rows, "score")
	content, err := p.HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, content)
	for _, want := range []string{"score against FLOPs", "mean accuracy of the tasks against FLOPs", "loss 1200000 at 0.250", "600000", "1100000"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if best, worst := strings.Index(text, "600000"), strings.Index(text, "1100000"); worst > best || strings.Contains(text, "-600000") {
		t.Error("the axis does not run from the worst to the best loss")
	}
}

func TestSweepPageEscapesNames(t *testing.T) {
	content, err := sweepPage(hostile).HTML()
	if err != nil {
		t.Fatal(err)
	}
	if text := read(t, content); !strings.Contains(text, `<script>alert(1)</script>&amp;`) || strings.ContainsAny(text, "\x00\x1b\u202e") {
		t.Error("the name is not shown as text")
	}
}

// Nothing that is missing breaks the page: no labels, no classes, nothing finished, all equal.
func TestSweepPageWithoutFigures(t *testing.T) {
	agreement := sweepPage("a")
	agreement.Labelled, agreement.Rank, agreement.Complete = false, "agreement", false
	for i := range agreement.Rows {
		agreement.Rows[i].Tasks, agreement.Rows[i].Joint = nil, nil
	}
	equal := sweepPage("a")
	equal.Rows = []sweep.Row{equal.Rows[0], equal.Rows[0]}
	for name, p := range map[string]*report.SweepPage{"agreement": agreement, "empty": {}, "equal": equal} {
		content, err := p.HTML()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := read(t, content)
		for _, no := range []string{"NaN", "Inf", "%!"} {
			if strings.Contains(string(content), no) {
				t.Errorf("%s: %q is on the page", name, no)
			}
		}
		if name == "agreement" && (!strings.Contains(text, "mean agreement with the sources against FLOPs") || !strings.Contains(text, "interrupted")) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
