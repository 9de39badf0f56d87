package sweep_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/transform"
)

func names(t *testing.T, g sweep.Grid) (out []string) {
	t.Helper()
	cs, err := g.Candidates()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		out = append(out, c.Kind+": "+c.Name())
	}
	return out
}

func TestCandidates(t *testing.T) {
	cuts := []sweep.Cut{{Until: "cut:2", Label: "cut:2"}, {Label: "all"}}
	got := names(t, sweep.Grid{Cuts: cuts, Budgets: []float64{0, 0.5}, Methods: []string{"best", "average", "halves", "ensemble", "best"}})
	want := []string{
		"ensemble: ensemble", "control: graft until cut:2", "control: graft", "control: halves until cut:2", "control: halves 0.5x until cut:2", "control: halves", "control: halves 0.5x",
		"candidate: best until cut:2", "candidate: best 0.5x until cut:2", "candidate: best", "candidate: best 0.5x",
		"candidate: average until cut:2", "candidate: average",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	cs, err := sweep.Grid{Cuts: cuts, Methods: []string{"best"}, Seed: 7, Base: "a"}.Candidates()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		if c.Settings.Seed != 7 || (c.Settings.Base == "a") != (c.Method == "graft") {
			t.Errorf("%s: %+v", c.Name(), c.Settings)
		}
	}
	if _, err := (sweep.Grid{Cuts: cuts, Methods: []string{"magic"}}).Candidates(); err == nil {
		t.Error("there is no method magic")
	}
}

func TestChooseCuts(t *testing.T) {
	var valid []transform.CutInfo
	for k, share := range []float64{0.01, 0.14, 0.3, 0.35, 0.62, 0.85, 0.97} {
		valid = append(valid, transform.CutInfo{Number: k + 1, FLOPsShare: share})
	}
	for _, c := range []struct {
		n    int
		full float64
		want []string
	}{{4, 1, []string{"cut:2", "cut:4", "cut:5", "cut:6", ""}}, {1, 1, []string{"cut:5", ""}}, {4, 0.14, []string{"cut:1", ""}}, {3, 0.01, []string{""}}} {
		var got []string
		for _, cut := range sweep.ChooseCuts(valid, c.full, c.n) {
			got = append(got, cut.Until)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d of trunks up to %g: %q, want %q", c.n, c.full, got, c.want)
		}
	}
}

func TestSplitCuts(t *testing.T) {
	for list, want := range map[string][]string{
		"auto": {"auto"}, "20%, cut:7,full": {"20%", "cut:7", "full"}, "V1,V2": {"V1,V2"}, "/Relu_3,60%": {"/Relu_3,60%"},
	} {
		if got := sweep.SplitCuts(list); !slices.Equal(got, want) {
			t.Errorf("%s: %q", list, got)
		}
	}
}

func row(name string, flops int64, tasks ...int) sweep.Row {
	r := sweep.Row{Key: name, Kind: sweep.KindCandidate, Name: name, FLOPs: flops}
	for _, correct := range tasks {
		r.Tasks = append(r.Tasks, sweep.Task{Accuracy: eval.RateOf(correct, 100)})
	}
	return r
}

func TestFront(t *testing.T) {
	single, failed := row("single", 1, 100), row("failed", 1)
	single.Kind, failed.Failed = sweep.KindSource, &sweep.Failure{Code: "budget_too_small"}
	rows := []sweep.Row{
		row("dear", 30, 90, 90), row("cheap", 10, 80, 60), single, row("as dear and worse", 20, 70, 80), row("better", 20, 80, 80),
		row("worse", 25, 79, 80), failed, row("as good and dearer", 28, 80, 80), row("twin", 20, 80, 80),
	}
	sweep.MarkFront(rows, sweep.DefaultMeasure(rows))
	var front []string
	for _, r := range rows {
		if r.Front {
			front = append(front, r.Name)
		}
	}
	if want := []string{"dear", "cheap", "better"}; !slices.Equal(front, want) {
		t.Errorf("the front is %q, want %q", front, want)
	}
	near, far := row("near", 20, 80), row("far", 20, 80)
	near.HeldOut, far.HeldOut = transform.Judgement{{RelativeError: 0.1}}, transform.Judgement{{RelativeError: 0.2}}
	twins := []sweep.Row{far, near}
	sweep.MarkFront(twins, "tasks")
	if twins[0].Front || !twins[1].Front {
		t.Error("of two equal rows the one that is nearer to the sources is not marked")
	}
	sweep.Sort(rows)
	if rows[0].Name != "single" || rows[len(rows)-1].Name != "failed" || !slices.IsSortedFunc(rows[:len(rows)-1], func(a, b sweep.Row) int { return int(a.FLOPs - b.FLOPs) }) {
		t.Errorf("wrong order: %v", rows)
	}
}

func TestFigures(t *testing.T) {
	share, joint := 0.95, eval.RateOf(61, 100)
	r := row("a", 1, 90, 80)
	r.Joint, r.HeldOut = &joint, transform.Judgement{{Head: "a", RelativeError: 0.2, Agreement: &share, Samples: 40}, {Head: "b", RelativeError: 0.4, Samples: 40}}
	for measure, want := range map[string]float64{"tasks": 0.85, "joint": 0.61, "agreement": 0.95, "error": 0.7} {
		if got, ok := r.Figure(measure); !ok || got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s is %g, %t; want %g", measure, got, ok, want)
		}
		if sweep.MeasureWords(measure) == "" {
			t.Errorf("%s has no words", measure)
		}
		if _, ok := (sweep.Row{}).Figure(measure); ok {
			t.Errorf("nothing was measured, but there is a figure for %s", measure)
		}
	}
	if a := r.Agreements(); len(a) != 1 || a[0].Top1.Correct != 38 {
		t.Errorf("agreements %v", a)
	}
	if got := sweep.DefaultMeasure([]sweep.Row{{HeldOut: r.HeldOut[1:]}}); got != "error" {
		t.Errorf("without classes %s", got)
	}
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	j, err := sweep.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []sweep.Row{row("one", 1, 50), row("two", 2, 60), row("one", 3, 70)} {
		if err := j.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	// a crash in the middle of a line
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"key":"thr`)
	f.Close()
	if j, err = sweep.OpenJournal(path); err != nil {
		t.Fatal(err)
	}
	if r, ok := j.Finished("one"); !ok || r.FLOPs != 3 || r.Tasks[0].Accuracy.Correct != 70 {
		t.Errorf("one is %+v, %t", r, ok)
	}
	if _, ok := j.Finished("thr"); ok {
		t.Error("half a line counts")
	}
	if err := j.Add(row("four", 4)); err != nil {
		t.Fatal(err)
	}
	j.Close()
	content, _ := os.ReadFile(path)
	if n := strings.Count(string(content), "\n"); n != 4 || strings.Contains(string(content), "thr") {
		t.Errorf("the file holds %d lines:\n%s", n, content)
	}

	if err := os.WriteFile(path, []byte("dear diary\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sweep.OpenJournal(path); fault.As(err) == nil || fault.As(err).Code != "not_a_journal" {
		t.Errorf("a file of something else: %v", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "dear diary\n" {
		t.Errorf("it was changed to %q", content)
	}
	if _, err := sweep.OpenJournal(filepath.Join(path, "below")); fault.As(err) == nil || fault.As(err).Kind != fault.Output {
		t.Errorf("no folder: %v", err)
	}
}

func TestKey(t *testing.T) {
	a, err := sweep.Key("x", map[string]int{"a": 1, "b": 2}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := sweep.Key("x", map[string]int{"b": 2, "a": 1}, 0.5)
	c, _ := sweep.Key("x", map[string]int{"a": 1, "b": 2}, 0.25)
	if a != b || a == c {
		t.Errorf("keys %s, %s, %s", a, b, c)
	}
}
