package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// checkReport refuses a page that could not be written, before any work is done.
func (m *merging) checkReport() error {
	f := m.f
	if f.report == "" {
		return nil
	}
	if f.report == "-" {
		return usage("no_output", "a report cannot be written to standard output").WithHint("name a file: --report merged.html")
	}
	for _, other := range append([]string{f.output, f.keepRejected}, m.files...) {
		if other != "" && filepath.Clean(other) == filepath.Clean(f.report) {
			return usage("same_file", "--report %s names a model's file", f.report).WithHint("name another file: --report merged.html")
		}
	}
	return onnx.CheckOutput(f.report, f.force)
}

// writeReport writes the page after a merge that succeeded or that a gate refused (refusal), where one was asked for.
func (m *merging) writeReport(refusal error) error {
	if m.f.report == "" || m.f.dryRun {
		return refusal
	}
	page, err := m.page()
	if err == nil {
		var content []byte
		if content, err = page.HTML(); err == nil {
			err = report.Write(m.f.report, content, m.f.force)
		}
	}
	switch {
	case err == nil:
		m.result.ReportFile = m.f.report
		m.a.info("the report is in %s", m.f.report)
	case refusal != nil: // the earliest stage that fails decides
		m.a.warn(warning{Code: "report_not_written", Message: err.Error()})
	default:
		return fault.As(err).WithHint("the merged model was written all the same: %s", m.f.output)
	}
	return refusal
}

// page gathers what the report shows. Parts that there are no figures for stay empty.
func (m *merging) page() (*report.Page, error) {
	r := &m.result
	p := &report.Page{
		Output: m.f.output, Written: r.Output != "", Rejected: r.Rejected, Verdict: m.a.doc.Verdict, Reason: m.a.doc.Reason,
		Shared: r.Shared, Exact: r.Exact, JudgedOn: r.JudgedOn, Merge: r.Report, Checks: r.Checks,
		Command: append([]string{"onnx-zip"}, m.a.args...), Settings: m.pageSettings(), Versions: m.pageVersions(),
	}
	m.pageHeads(p)
	m.pageControls(p)
	for _, g := range m.a.doc.Gates {
		p.Gates = append(p.Gates, report.Gate{Name: g.Name, Detail: g.Detail, Passed: g.Passed})
	}
	for _, w := range m.a.doc.Warnings {
		p.Warnings = append(p.Warnings, report.Warning{Code: w.Code, Where: strings.Trim(w.File+" "+w.Head, " "), Message: w.Message})
	}
	for _, stage := range sortedStages(m.seconds) {
		p.Seconds = append(p.Seconds, report.Stage{Name: stage, Seconds: m.seconds[stage]})
	}
	var err error
	if p.Files, err = m.pageFiles(); err != nil {
		return nil, err
	}
	return p, m.pageNetworks(p)
}

func sortedStages(seconds map[string]float64) []string {
	var stages []string
	for stage := range seconds {
		stages = append(stages, stage)
	}
	slices.SortFunc(stages, func(x, y string) int {
		return cmp.Or(cmp.Compare(stageOrder(x), stageOrder(y)), cmp.Compare(x, y))
	})
	return stages
}

// pageHeads is a row for each head: what labels say of it, and what its source's own outputs say.
func (m *merging) pageHeads(p *report.Page) {
	s := m.result.Scores
	for _, src := range m.sources {
		h := report.Head{Name: src.Head, File: src.Model.File}
		for _, row := range m.result.Agreement {
			if row.Head != src.Head {
				continue
			}
			if row.Top1 != nil && row.Source == src.Logits {
				h.Agreement = row.Top1
			}
			if d := row.Error.RelativeL2; d != nil && (h.Deviation == nil || *d > *h.Deviation) {
				h.Deviation = d // of several outputs, the one that is furthest off
			}
		}
		if s != nil {
			for _, t := range s.Tasks {
				if t.Head == src.Head {
					h.Accuracy = &report.Score{Merged: t.Accuracy, Source: t.Source, Difference: t.Difference}
				}
			}
		}
		p.Heads = append(p.Heads, h)
	}
	if s == nil {
		return
	}
	p.JointSkipped = s.JointSkipped
	if s.Joint != nil {
		p.Joint, p.JointSkipped = &report.Score{Merged: *s.Joint, Source: s.EnsembleJoint, Difference: s.JointDifference}, ""
		for _, r := range s.JointRules {
			if r.Rule != "softmax" { // that is Joint
				p.JointRules = append(p.JointRules, report.JointRule{Rule: r.Rule, Score: report.Score{Merged: r.Accuracy, Source: r.Ensemble, Difference: r.Difference}})
			}
		}
	}
}

// pageControls are the controls' accuracies.
func (m *merging) pageControls(p *report.Page) {
	for _, c := range m.result.Controls {
		for _, h := range c.Heads {
			if h.Accuracy == nil {
				continue
			}
			if p.Controls == nil {
				p.Controls = map[string]map[string]*eval.Rate{}
			}
			if p.Controls[c.Name] == nil {
				p.Controls[c.Name] = map[string]*eval.Rate{}
			}
			p.Controls[c.Name][h.Head] = h.Accuracy
		}
	}
}

// pageNetworks counts the sources and says which of their nodes are shared.
func (m *merging) pageNetworks(p *report.Page) error {
	trunk := m.trunk
	if m.res != nil {
		trunk = m.res.Trunk
	}
	for i, src := range m.p.Sources.Base().Models {
		c, err := cost.AtBatch(src.Model, 1)
		if err != nil {
			return err
		}
		p.Sizes = append(p.Sizes, report.Size{Name: src.Head, Params: c.Params, FLOPs: c.FLOPs, Kind: "source"})
		n := report.Network{Head: src.Head}
		ends := endsOf(src.Index, trunk, i)
		for _, node := range src.Index.Order {
			one, _ := c.Node(node)
			n.Cells = append(n.Cells, report.Cell{
				Name: one.Name, Op: one.Op, FLOPs: one.FLOPs, Params: one.Params, Shared: trunk.Shares(m.p.Sources, i, node), End: ends[node],
			})
		}
		p.Networks = append(p.Networks, n)
	}
	if p.Merge != nil {
		c := p.Merge.Cost
		p.Sizes = append(p.Sizes, report.Size{Name: "ensemble", Params: c.EnsembleParams, FLOPs: c.EnsembleFLOPs, Kind: "ensemble"},
			report.Size{Name: "merged", Params: c.Params, FLOPs: c.FLOPs, Kind: "merged"})
	}
	return nil
}

// endsOf numbers the nodes of the first model at which the trunk ends: a node, or the values of a cut.
func endsOf(ix *onnx.Index, t *merge.Trunk, model int) map[*onnx.Node]int {
	out := map[*onnx.Node]int{}
	if model > 0 {
		return out
	}
	for k, end := range t.Ends {
		for _, n := range ix.Order {
			if onnx.NodeName(n) == end.Node {
				out[n] = k + 1
			}
		}
		for _, value := range strings.Split(end.Node, ",") {
			if n := ix.Producer(value); n != nil {
				out[n] = k + 1
			}
		}
	}
	return out
}

func (m *merging) pageSettings() []report.Pair {
	s := m.o.Settings
	all := func(n int) string {
		if n > 0 {
			return fmt.Sprint(n)
		}
		return "all"
	}
	pairs := []report.Pair{{Name: "method", Value: settingsLine(s)}, {Name: "cut (--until)", Value: cmp.Or(m.o.Until, "none: all that can be shared")}}
	if s.Budget > 0 {
		pairs = append(pairs, report.Pair{Name: "budget", Value: fmt.Sprintf("%gx the FLOPs of one source", s.Budget)})
	}
	if c := m.result.Choice; c != nil && c.Chosen != nil {
		pairs = append(pairs, report.Pair{Name: "chosen", Value: fmt.Sprintf("%s, of %s; goals: %s", c.Chosen.Name, plural(len(c.Tried), "merge"), cmp.Or(strings.Join(c.Goals, ", "), "none"))})
	}
	if d := m.result.Data; d != nil {
		pairs = append(pairs, report.Pair{Name: "calibration samples", Value: fmt.Sprintf("%d (asked for: %s)", d.Samples, all(m.f.dataset.samples))})
	}
	for _, t := range m.scorer.tests {
		pairs = append(pairs, report.Pair{Name: "test samples", Value: fmt.Sprintf("%d of %s", len(t.labels), filepath.Base(t.file))})
	}
	return pairs
}

func (m *merging) pageVersions() []report.Pair {
	pairs := []report.Pair{{Name: "onnx-zip", Value: m.a.doc.Version}}
	if m.engine != nil {
		pairs = append(pairs, report.Pair{Name: "engine", Value: m.engine.Name()})
	}
	return append(pairs, report.Pair{Name: "platform", Value: fmt.Sprintf("%s/%s, %s", runtime.GOOS, runtime.GOARCH, plural(runtime.NumCPU(), "processor"))})
}

// pageFiles are the files that were read and written, with what tells whether they are the same ones.
func (m *merging) pageFiles() ([]report.File, error) {
	var out []report.File
	add := func(what, path string) error {
		sum, err := fileSHA256(path)
		out = append(out, report.File{What: what, Path: path, SHA256: sum})
		return err
	}
	for i, file := range m.files {
		if err := add("model "+m.p.Sources.Models[i].Head, file); err != nil {
			return nil, err
		}
	}
	for _, f := range m.dataFiles {
		if err := add("calibration data", f.Rest); err != nil {
			return nil, err
		}
	}
	for _, t := range m.scorer.tests {
		if err := add("test data", t.file); err != nil {
			return nil, err
		}
	}
	if m.result.Output != "" {
		out = append(out, report.File{What: "merged model", Path: m.result.Output, SHA256: m.result.FileSHA256})
	}
	return out, nil
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fault.Wrap(fault.Output, "report_failed", err, "cannot be read again for the report").InFile(path)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fault.Wrap(fault.Output, "report_failed", err, "cannot be read again for the report").InFile(path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
