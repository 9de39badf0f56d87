package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// hostile is a name as a file from somewhere may hold it.
const hostile = "\"><script>alert(1)</script>&amp;<!-- ]]> ' \x00\x1b[31m\xff\u202e{{.}}"

// read parses strictly, as XML, and returns the text; scripts and addresses elsewhere are errors.
func read(t *testing.T, content []byte) string {
	t.Helper()
	var text strings.Builder
	d := xml.NewDecoder(strings.NewReader(string(content)))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch x := token.(type) {
		case xml.CharData:
			text.Write(x)
		case xml.StartElement:
			if x.Name.Local == "script" || x.Name.Local == "link" || x.Name.Local == "img" {
				t.Errorf("there is an element %s", x.Name.Local)
			}
			for _, a := range x.Attr {
				if n := a.Name.Local; n == "href" || n == "src" || strings.HasPrefix(n, "on") {
					t.Errorf("element %s has the attribute %s=%q", x.Name.Local, n, a.Value)
				}
			}
		}
	}
}

func ptr[T any](x T) *T { return &x }

// full is a page with every part, all names being name.
func full(name string) *report.Page {
	rate := eval.RateOf(958, 1000)
	score := &report.Score{Merged: rate, Source: &rate, Difference: &eval.Diff{N: 1000, Points: -0.4, Low: -1.2, High: 0.3}}
	judgement := transform.Judgement{{Head: name, Output: name, RelativeError: 0.125, Agreement: ptr(0.984), Samples: 64}}
	return &report.Page{
		Output: name, Written: true, Verdict: "worth_it", Reason: "because " + name, Shared: "shared trunk: " + name,
		Heads: []report.Head{{Name: name, File: name, Accuracy: score, Agreement: &rate, Deviation: ptr(0.046)}},
		Joint: score, JudgedOn: "held-out calibration data", Controls: map[string]map[string]*eval.Rate{"halves": {name: ptr(eval.RateOf(907, 1000))}},
		Sizes:    []report.Size{{Name: name, Params: 1000, FLOPs: 2000, Kind: "source"}, {Name: "merged", Params: 1100, FLOPs: 2100, Kind: "merged"}},
		Networks: []report.Network{{Head: name, Cells: []report.Cell{{Name: name, Op: name, FLOPs: 9, Shared: true}, {Name: name, Op: "Gemm", End: 1}}}},
		Merge: &transform.Report{
			Trunk:    transform.TrunkReport{Nodes: 1, FLOPsShare: 0.9999, ParamsShare: 0.5, Ends: []transform.EndReport{{Node: name, Why: "an end of " + name}}},
			Prefixes: []transform.PrefixReport{{Heads: []string{name, name}, Nodes: []string{name, name}, FLOPs: 1568}},
			Spaces:   []transform.SpaceReport{{Name: name, Dim: 32, Width: 40, Mode: "zip", Why: name, Across: 20, Within: 15, Alone: 5}},
			Cost:     transform.CostReport{Params: 1082442, EnsembleParams: 2163594, ParamsRatio: 0.5003, FLOPs: 7, EnsembleFLOPs: 14, FLOPsRatio: 0.5},
			HeldOut:  judgement,
			Controls: []transform.Control{{Name: "halves", Why: name, HeldOut: judgement}},
			Refit: &transform.RefitReport{
				Asked: "ls", Chosen: "ls", Errors: map[string]float64{"none": 0.817, "ls": 0.05}, HeldOut: 64, Enough: 3136,
				Fits: []refit.Fit{{Node: name, Before: 0.26, After: 0.0039, Lambda: 0.001, Samples: 8064, Enough: 9000}, {Node: name, Before: 1e-15, After: 1e-15}},
			},
			Operators: []string{name},
		},
		Checks:   []transform.Check{{Name: name, Deviation: 1.4e-7, Limit: 1e-5, Passed: true}},
		Gates:    []report.Gate{{Name: "max-drop", Detail: name}},
		Warnings: []report.Warning{{Code: "few_samples", Where: name, Message: name}},
		Command:  []string{"onnx-zip", "merge", name}, Settings: []report.Pair{{Name: "method", Value: name}},
		Files: []report.File{{What: name, Path: name, SHA256: "abc"}}, Versions: []report.Pair{{Name: "onnx-zip", Value: name}},
		Seconds: []report.Stage{{Name: "look_at_data", Seconds: 1.25}},
	}
}

func TestPageShowsItsFigures(t *testing.T) {
	content, err := full("good").HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, content)
	for _, want := range []string{
		"worth it", "because good", "shared trunk: good", "95.8 %", "[94.4,\u00a096.9], n\u00a0=\u00a01000", "−0.4 [−1.2,\u00a0+0.3]",
		"98.4 %", "0.046", "0.125", "halves", "90.7 %", "1\u202f082\u202f442", "0.500", "> 99.9 %", "an end of good", "32 → 40", "20 / 15 / 5",
		"least squares", "0.817", "0.004", "left alone", "3136", "1.4·10⁻⁷", "few_samples", "look at data", "1.25", "abc",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

func TestPageEscapesNames(t *testing.T) {
	content, err := full(hostile).HTML()
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, content)
	if !strings.Contains(text, `<script>alert(1)</script>&amp;`) {
		t.Error("the name is not shown as text")
	}
	if strings.ContainsAny(text, "\x00\x1b\u202e") {
		t.Error("control characters are left")
	}
}

// What there are no figures for is left out, and nothing fails for lack of it.
func TestPageWithoutFigures(t *testing.T) {
	exact := full("a")
	exact.Heads = []report.Head{{Name: "a", File: "a.onnx"}}
	exact.Joint, exact.Exact, exact.Merge.Refit, exact.Merge.Controls, exact.Merge.HeldOut = nil, true, nil, nil, nil
	for name, p := range map[string]*report.Page{
		"empty": {}, "refused early": {Output: "a.onnx", Shared: "shared trunk: 3 %", Gates: []report.Gate{{Name: "min-shared", Detail: "3 %"}}, Networks: []report.Network{{Head: "a"}}},
		"exact": exact,
	} {
		content, err := p.HTML()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := read(t, content)
		for _, no := range []string{"How well each head does", "Refit", "NaN", "Inf"} {
			if strings.Contains(text, no) {
				t.Errorf("%s: %q is on the page", name, no)
			}
		}
		if name == "refused early" && !strings.Contains(text, "refused by a gate") {
			t.Error("it does not say that a gate refused it")
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.html")
	if err := report.Write(path, []byte("one"), false); err != nil {
		t.Fatal(err)
	}
	err := report.Write(path, []byte("two"), false)
	if e := fault.As(err); e == nil || e.Kind != fault.Output || e.Code != "output_exists" {
		t.Errorf("a file that exists: %v", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "one" {
		t.Errorf("it holds %q", got)
	}
	if err := report.Write(path, []byte("three"), true); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "three" {
		t.Errorf("it holds %q", got)
	}
	if e := fault.As(report.Write(filepath.Join(dir, "no", "a.html"), nil, true)); e == nil || e.Kind != fault.Output {
		t.Errorf("no folder: %v", e)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
