package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/spf13/cobra"
)

// merging is one run of merge.
type merging struct {
	a     *app
	f     *mergeFlags
	files []string

	o       transform.Options
	p       *transform.Prepared
	trunk   *merge.Trunk
	sources []source
	scorer  scorer
	program *score.Program // nil without --score
	choice  *choosing      // with --until auto or --budget auto

	needsData bool
	weights   map[string]float64
	dataFiles []headed
	calib     data.Source // nil where there is none
	engine    calibrate.Engine
	res       *transform.Result
	result    mergeResult
	seconds   map[string]float64
}

// mergeSettings is the settings part of the JSON document.
type mergeSettings struct {
	transform.Settings
	Until   string   `json:"until"`
	Heads   []string `json:"heads"`
	Samples int      `json:"samples"` // asked for; 0: all
	Threads int      `json:"threads"`
	Batch   int      `json:"batch"`
	Device  string   `json:"device"`
	// Weights are the models' weights as they were given.
	Weights map[string]float64 `json:"weights,omitempty"`
}

// mergeResult is the result part.
type mergeResult struct {
	Shared     string             `json:"shared"`
	Shares     transform.Shares   `json:"shares"`
	NeedsData  bool               `json:"needs_data"`
	Exact      bool               `json:"exact"`          // equal to every source by construction
	Batch      *batchReport       `json:"batch"`          // how many samples the merged model runs at a time
	Into       *intoReport        `json:"into,omitempty"` // of a merged file whose heads were changed
	InputShape *shapeReport       `json:"input_shape,omitempty"`
	Engine     string             `json:"engine,omitempty"`
	Data       *dataReport        `json:"data,omitempty"`
	Report     *transform.Report  `json:"report,omitempty"`
	Checks     []transform.Check  `json:"verification,omitempty"`
	Scores     *scores            `json:"accuracy,omitempty"`
	Agreement  []agreementRow     `json:"agreement,omitempty"`
	JudgedOn   string             `json:"agreement_data,omitempty"`
	HeldOut    *heldOutReport     `json:"held_out_samples,omitempty"`
	Score      *scoreReport       `json:"score,omitempty"`
	Controls   []controlRow       `json:"controls,omitempty"`
	Choice     *choiceReport      `json:"choice,omitempty"`
	Output     string             `json:"output,omitempty"`   // the file that was written
	Rejected   string             `json:"rejected,omitempty"` // where a refused model was saved
	ReportFile string             `json:"report_file,omitempty"`
	FileBytes  int64              `json:"file_bytes,omitempty"`
	FileSHA256 string             `json:"file_sha256,omitempty"`
	DryRun     bool               `json:"dry_run,omitempty"`
	Need       *transform.Need    `json:"refit_needs,omitempty"` // of a dry run
	Seconds    map[string]float64 `json:"seconds"`

	// Forms are sources that are computed in the first one's form now.
	Forms []transform.FormProof `json:"forms,omitempty"`
	// Prefixes are what each source does to its inputs by itself.
	Prefixes []transform.PrefixReport `json:"prefixes,omitempty"`
}

// checkFlags refuses what no model can mend, before any work is done.
func (m *merging) checkFlags(cmd *cobra.Command) error {
	f := m.f
	if err := m.checkOutputs(); err != nil {
		return err
	}
	if _, err := parseInputShapes(f.inputShape); err != nil {
		return err
	}
	s, err := f.settings(cmd)
	if err != nil {
		return err
	}
	if f.budget != "" && f.budget != auto {
		if s.Budget, err = transform.ParseBudget(f.budget); err != nil {
			return err
		}
	}
	if m.choice, err = f.choosing(s, len(m.files), cmd.Flags().Changed); err != nil {
		return err
	}
	if err := f.narrowed(&s, cmd.Flags().Changed); err != nil {
		return err
	}
	if len(m.files) < 2 && !(s.Budget > 0 && s.Budget < 1 || f.budget == auto) {
		return usage("arguments", "2 model files or more are needed, %d given", len(m.files)).
			WithHint("onnx-zip merge a.onnx b.onnx --data calib.npz -o merged.onnx; one model can be shrunk by --budget 0.5x")
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
	if m.program, err = f.score.program(cmd); err != nil {
		return err
	}
	if len(f.test) == 0 && (f.gates.maxDrop != nil || f.gates.minJoint != nil) {
		return usage("gate_needs_test", "--max-drop and --min-joint need labelled data").WithHint("give it with --test FILE.npz, or use --min-agreement")
	}
	m.o = transform.Options{Settings: s, Until: f.fixedCut(), Batch: f.engine.batch, Workers: f.engine.threads, Controls: !f.noControls && s.Refit == "ls", Joint: f.joint, Mask: f.mask}
	m.o.Refit.Batch, m.o.Refit.Workers, m.o.Refit.Scratch = f.engine.batch, f.engine.threads, f.scratch
	m.o.Refit.Memory, err = parseSize("memory", f.memory)
	return err
}

func (m *merging) checkOutputs() error {
	f := m.f
	switch {
	case f.output == "":
		return usage("no_output", "-o FILE is missing").WithHint("say where to write: -o merged.onnx")
	case f.output == "-" || f.keepRejected == "-":
		return usage("no_output", "a model cannot be written to standard output").WithHint("name a file")
	}
	if err := onnx.CheckOutput(f.output, f.force); err != nil {
		return err
	}
	if f.keepRejected != "" {
		if err := onnx.CheckOutput(f.keepRejected, f.force); err != nil {
			return err
		}
	}
	return m.checkReport()
}

// run goes through the stages; the earliest that fails decides.
func (m *merging) run(ctx context.Context) error {
	m.a.doc.Result, m.result.Seconds = &m.result, m.seconds
	defer func() { m.o.Shared.Close() }()
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
	if err := m.timed("look_at_data", func() error { return m.look(ctx) }); err != nil {
		return err
	}
	if m.f.dryRun {
		return m.foretell(ctx)
	}
	if m.choice != nil {
		if err := m.timed("choose", func() error { return m.choose(ctx) }); err != nil {
			return err
		}
	}
	if err := m.merge(ctx); err != nil {
		return err
	}
	return m.write(ctx)
}

// timed notes how long a stage took, in seconds.
func (m *merging) timed(stage string, f func() error) error {
	start := time.Now()
	err := f()
	m.seconds[stage] += time.Since(start).Seconds()
	return err
}

// prepare loads and pairs the models, and says what they share.
func (m *merging) prepare(ctx context.Context) error {
	var err error
	if m.p, err = m.a.prepare(m.files, m.f.heads, m.f.mapInput, m.f.normalize, m.change(ctx)); err != nil {
		return err
	}
	if err := m.adoptForms(ctx); err != nil {
		return err
	}
	heads := headsOf(m.p)
	if err := m.settleBase(heads); err != nil {
		return err
	}
	weights, err := parseWeights(m.f.weight, heads)
	if err != nil {
		return err
	}
	if err := m.p.Weigh(weights); err != nil {
		return err
	}
	m.weights = weights
	if m.f.match == "" {
		if m.o.Settings, err = m.p.Suit(m.o.Settings); err != nil {
			return err
		}
	}
	m.noteSettings()
	if m.o.Rename, err = parseRename(m.f.rename, heads); err != nil {
		return err
	}
	if m.scorer.classes, err = parseClasses(m.f.classes, headNames(m.p)); err != nil {
		return err
	}
	if m.sources, err = sourcesOf(m.p, m.scorer.classes); err != nil {
		return err
	}
	if m.p, m.trunk, err = m.p.Trunk(m.o); err != nil {
		return err
	}
	o := m.o
	if m.f.budget == auto {
		o.Budget = 1 // widths that change have to be matched
	}
	if m.needsData, err = m.p.NeedsData(o); err != nil {
		return err
	}
	return m.showShared()
}

// noteSettings puts the resolved settings into the document.
func (m *merging) noteSettings() {
	m.a.doc.Settings = mergeSettings{m.o.Settings, m.o.Until, headNames(m.p), m.f.dataset.samples, m.f.engine.threads, m.f.engine.batch, m.f.engine.device, m.weights}
}

// settleBase names the head whose trunk is kept, where one is.
func (m *merging) settleBase(heads []string) error {
	switch {
	case m.o.Represent != "base":
	case m.o.Base == "":
		m.o.Base = heads[0]
	case !contains(heads, m.o.Base):
		return unknownHead("base", m.o.Base, m.o.Base, heads)
	}
	return nil
}

func (m *merging) showShared() error {
	var err error
	if m.result.Shared, err = m.p.SharedLine(m.trunk); err != nil {
		return err
	}
	if m.result.Shares, err = m.p.Shares(m.trunk); err != nil {
		return err
	}
	m.result.NeedsData = m.needsData
	if m.result.Prefixes, err = m.p.PrefixReports(nil); err != nil {
		return err
	}
	m.a.printf("%s\n", m.result.Shared)
	m.a.showPrefixes(m.result.Prefixes)
	m.result.Forms = m.p.Forms
	m.a.showForms(m.p.Forms)
	m.showBatch()
	m.a.paragraph("%s", settingsLine(m.o.Settings))
	if m.f.gates.minShared != nil {
		m.a.addGate(gateShared(*m.f.gates.minShared, m.result.Shares.FLOPs))
		if err := m.a.gateError(); err != nil { // nothing later can mend it
			return m.writeReport(err)
		}
	}
	return nil
}

func (m *merging) openEngine() (err error) {
	if m.engine != nil {
		return nil
	}
	if m.engine, err = m.a.openEngine(m.f.engine); err != nil {
		return err
	}
	m.result.Engine = m.engine.Name()
	m.scorer.a, m.scorer.engine = m.a, m.engine
	m.scorer.o = eval.Options{Batch: m.f.engine.batch, Workers: m.f.engine.threads}
	return nil
}

func (m *merging) merge(ctx context.Context) (err error) {
	m.o.Progress = func(stage string, done, total int) { m.a.stderr.progress(stage, done, total) }
	m.o.Tasks = m.tasksOfSamples()
	stop := m.a.stderr.busy("merging")
	m.res, err = m.p.Merge(ctx, m.engine, m.source(), m.o)
	stop()
	if err != nil {
		return err
	}
	m.result.Report, m.result.Exact = &m.res.Report, m.res.Exact
	if m.o.DataFree && !m.res.Exact {
		m.a.warn(warning{Code: "data_free", Message: "matched by weights alone: expect to lose much, most in deep networks of different origin; give unlabelled inputs with --data where there are any"})
	}
	if r := m.res.Report.Refit; r != nil && r.Enough > m.res.Report.Samples {
		m.a.warn(warning{Code: "few_samples", Message: fmt.Sprintf("%d samples are few for the least squares of some nodes; %d would do for all", m.res.Report.Samples, r.Enough)})
	}
	for stage, s := range m.res.Report.Seconds {
		m.seconds[stage] += s
	}
	return nil
}

// source is the calibration data as an interface that is nil where there is none.
func (m *merging) source() calibrate.Source {
	if m.calib == nil {
		return nil
	}
	return m.calib
}
