package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/report"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
)

// attaching is one run of merge --into: data, gates and files are handled as in any merge.
type attaching struct {
	*merging
	merged *onnx.Model
	in     *transform.Into
	edited *transform.IntoResult
}

// intoReport is what was done to a merged file.
type intoReport struct {
	File      string                `json:"file"`
	SHA256    string                `json:"sha256"`
	Untouched []string              `json:"untouched_heads"` // byte for byte as before, the trunk too
	Dropped   []string              `json:"dropped_heads"`   // replaced ones among them
	New       []*transform.IntoHead `json:"new_heads"`
}

// intoSettings is the settings part of the JSON document.
type intoSettings struct {
	Into    string   `json:"into"`
	Heads   []string `json:"heads"` // of the new file
	Samples int      `json:"samples"`
	Threads int      `json:"threads"`
	Batch   int      `json:"batch"`
	Device  string   `json:"device"`
}

// start checks the flags, then goes through the stages.
func (m *attaching) start(cmd *cobra.Command) error {
	f := m.f
	if err := m.checkOutputs(); err != nil {
		return err
	}
	if err := f.into.check(cmd, m.files); err != nil {
		return err
	}
	if err := f.engine.check(); err != nil {
		return err
	}
	if f.dataset.samples < 0 {
		return usage("bad_flag", "--samples %d cannot be negative", f.dataset.samples)
	}
	if err := f.gates.settle(cmd); err != nil {
		return err
	}
	if len(f.test) == 0 && f.gates.maxDrop != nil {
		return usage("gate_needs_test", "--max-drop needs labelled data").WithHint("give it with --test FILE.npz, or use --min-agreement")
	}
	m.o = transform.Options{Batch: f.engine.batch, Workers: f.engine.threads}
	m.o.Refit.Scratch = f.scratch
	var err error
	if m.o.Refit.Memory, err = parseSize("memory", f.memory); err != nil {
		return err
	}
	return m.run(cmd.Context())
}

func (m *attaching) run(ctx context.Context) error {
	m.a.doc.Result, m.result.Seconds = &m.result, m.seconds
	if err := m.timed("prepare", func() error { return m.prepare(ctx) }); err != nil {
		return err
	}
	sets := &datasets{a: m.a, flags: m.f.dataset}
	defer sets.Close()
	if err := m.timed("read_data", func() error { return m.readData(sets) }); err != nil {
		return err
	}
	if err := m.openEngine(); err != nil {
		return err
	}
	if len(m.sources) > 0 {
		if err := m.timed("look_at_data", func() error { return m.look(ctx) }); err != nil {
			return err
		}
	}
	if m.f.dryRun {
		m.result.DryRun = true
		m.a.printf("dry run: everything fits; %s would be written\n", m.f.output)
		return nil
	}
	if err := m.timed("refit", func() error { return m.fit(ctx) }); err != nil {
		return err
	}
	return m.write(ctx)
}

// prepare loads the files, finds where the new heads read the trunk, and says so.
func (m *attaching) prepare(ctx context.Context) error {
	var err error
	if m.merged, err = onnx.Load(m.f.into.file); err != nil {
		return err
	}
	e, err := m.f.into.edit(m.a, m.merged)
	if err != nil {
		return err
	}
	var fitted []string
	for _, n := range e.Fit {
		fitted = append(fitted, n.Head)
	}
	if e.Rename, err = parseRename(m.f.rename, fitted); err != nil {
		return err
	}
	if e.MapInput, err = parseMapInput(m.f.mapInput); err != nil {
		return err
	}
	if len(e.Fit) > 0 {
		if err := m.openEngine(); err != nil {
			return err
		}
		e.Engine = m.engine
	}
	if m.in, err = transform.PrepareInto(ctx, m.merged, e); err != nil {
		return err
	}
	m.needsData = m.in.NeedsData()
	hash, err := m.merged.Hash()
	if err != nil {
		return err
	}
	m.result.NeedsData = m.needsData
	m.result.Into = &intoReport{File: m.merged.File, SHA256: hash, Untouched: nonNil(m.in.Untouched), Dropped: nonNil(m.in.Dropped), New: m.in.New}
	heads := m.heads()
	m.a.doc.Settings = intoSettings{m.merged.File, heads, m.f.dataset.samples, m.f.engine.threads, m.f.engine.batch, m.f.engine.device}
	if m.scorer.classes, err = parseClasses(m.f.classes, heads); err != nil {
		return err
	}
	if joint := m.merged.Metadata("onnx_zip.joint.output"); joint != "" {
		m.a.warn(warning{Code: "joint_dropped", Message: fmt.Sprintf("output %q spoke of the heads as they were; it is left out", joint)})
	}
	m.describe()
	return m.newSources()
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// heads are those of the new file.
func (m *attaching) heads() []string { return m.in.Heads() }

// describe says for people what will happen.
func (m *attaching) describe() {
	if len(m.in.Untouched) > 0 {
		m.a.printf("untouched: %s\n", strings.Join(m.in.Untouched, ", "))
	}
	if len(m.in.Dropped) > 0 {
		m.a.printf("taken out: %s\n", strings.Join(m.in.Dropped, ", "))
	}
	for _, h := range m.in.New {
		m.a.printf("new: %s from %s, %d of its %d nodes are the trunk's\n", h.Head, h.File, h.SharedNodes, h.Nodes)
		if h.Form != nil {
			m.a.showForms([]transform.FormProof{*h.Form})
		}
		for _, c := range h.Crossings {
			how := "a linear map in between"
			switch {
			case h.Exact:
				how = "the same features, bit for bit"
			case c.Folded:
				how = "folded into the weights that read it"
			}
			m.a.printf("  reads %s: %d features for its own %d, %s\n", c.Value, c.Width, c.SourceWidth, how)
		}
	}
}

// newSources describes the new heads' models.
func (m *attaching) newSources() error {
	for _, h := range m.in.New {
		s := source{Head: h.Head, Model: h.Original, Rename: h.InputNames()}
		logits, width, err := logitsOf(h.Original, nil)
		if list := m.scorer.classes[h.Head]; list != nil && err == nil && width > 0 && len(list) != width {
			return usage("class_count", "--classes %s names %d classes, but output %q has %d", h.Head, len(list), logits, width).InFile(h.File)
		}
		s.Logits = logits
		for k, out := range h.Original.Graph().GetOutput() {
			s.Pairs = append(s.Pairs, eval.Pair{Head: h.Head, Merged: h.Outputs[k], Source: out.GetName()})
		}
		m.sources = append(m.sources, s)
	}
	return nil
}

func (m *attaching) readData(sets *datasets) error {
	if err := m.openData(sets, m.merged, m.heads()); err != nil {
		return err
	}
	if m.calib == nil && m.needsData {
		return noData(sets.inputs, "to fit the new heads")
	}
	if m.calib == nil && m.f.gates.minAgreement != nil && len(m.scorer.tests) == 0 {
		return usage("gate_needs_data", "--min-agreement needs data").WithHint("give unlabelled inputs with --data FILE.npz")
	}
	if err := checkLabels(m.scorer.tests, m.sources, m.scorer.classes); err != nil {
		return err
	}
	return m.warnOverlap()
}

func (m *attaching) fit(ctx context.Context) error {
	o := transform.IntoOptions{Batch: m.o.Batch, Workers: m.o.Workers, Refit: m.o.Refit}
	o.Progress = func(stage string, done, total int) { m.a.stderr.progress(stage, done, total) }
	stop := m.a.stderr.busy("fitting")
	var err error
	m.edited, err = m.in.Fit(ctx, m.engine, m.source(), o)
	stop()
	if err != nil {
		return err
	}
	m.res = &transform.Result{Model: m.edited.Model, Exact: !m.needsData}
	m.res.Report.Cost = m.edited.Cost
	for _, h := range m.in.New {
		m.res.Report.HeldOut = append(m.res.Report.HeldOut, h.HeldOut...)
	}
	m.result.Report, m.result.Exact = &m.res.Report, m.res.Exact
	return nil
}

// write stages the file, verifies and judges what was written, and gives it its name if all is well.
func (m *attaching) write(ctx context.Context) error {
	staged, err := onnx.Stage(m.edited.Model, m.f.output, onnx.SaveOptions{Force: m.f.force, External: m.merged.External})
	if err != nil {
		return err
	}
	defer staged.Discard()
	file, err := m.verifyStaged(staged, func(file *onnx.Model) ([]transform.Check, error) {
		return m.in.Verify(ctx, m.engine, file, m.edited, m.source())
	})
	if err != nil {
		return err
	}
	if err := m.timed("evaluate", func() error { return m.evaluate(ctx, file) }); err != nil {
		return err
	}
	m.needsData = false // no control is asked for
	if len(m.in.New) > 0 {
		m.judge()
	} else {
		m.a.doc.Verdict, m.a.doc.Reason = "worth_it", "the heads that stay are as they were"
	}
	if err := m.a.gateError(); err != nil {
		m.printOutcome()
		return m.keepRejected(err)
	}
	if err := m.commit(staged); err != nil {
		return err
	}
	m.printOutcome()
	return nil
}

// evaluate measures the new heads' agreement with their models and, with test data, the accuracy of all heads.
func (m *attaching) evaluate(ctx context.Context, file *onnx.Model) error {
	src, what, err := m.heldOut()
	if err != nil {
		return err
	}
	if src != nil && len(m.sources) > 0 {
		if m.result.Agreement, err = m.scorer.agreement(ctx, file, m.sources, src); err != nil {
			return err
		}
		m.result.JudgedOn = what
	}
	if len(m.scorer.tests) == 0 {
		return nil
	}
	var tasks []eval.Task
	for i, head := range m.edited.Heads {
		if logits, _, err := logitsOf(file, m.edited.Outputs[i]); err == nil {
			tasks = append(tasks, eval.Task{Head: head, Classes: m.scorer.classes[head], Output: logits})
		}
	}
	sources := eachCalled(m.sources)
	m.result.Scores, err = m.scorer.against(ctx, file, tasks, sources)
	return err
}

// eachCalled drops sources without class scores.
func eachCalled(sources []source) []source {
	var out []source
	for _, s := range sources {
		if s.Logits != "" {
			out = append(out, s)
		}
	}
	return out
}

// printOutcome is the table for people.
func (m *attaching) printOutcome() {
	if m.a.json {
		return
	}
	m.printScores()
	c := m.edited.Cost
	t := &table{}
	t.add("cost", "new file", "with the new models beside it", "ratio")
	t.add("parameters", report.Count(c.Params), report.Count(c.EnsembleParams), fmt.Sprintf("%.3f", c.ParamsRatio))
	t.add("FLOPs", report.Count(c.FLOPs), report.Count(c.EnsembleFLOPs), fmt.Sprintf("%.3f", c.FLOPsRatio))
	m.a.printf("\n%s\n", t)
	for _, h := range m.in.New {
		if h.Chosen != "" {
			m.a.paragraph("head %s: relative output error on held-out samples: mapped %.3f, least squares %.3f", h.Head, h.Errors["mapped"], h.Errors["ls"])
		}
	}
	m.printChecks()
	if m.result.Output != "" {
		m.a.printf("wrote %s, %sB, heads %s\n", m.result.Output, report.Count(m.result.FileBytes), strings.Join(m.edited.Heads, ", "))
	}
	m.a.paragraph("verdict: %s: %s", strings.ReplaceAll(m.a.doc.Verdict, "_", " "), m.a.doc.Reason)
}
