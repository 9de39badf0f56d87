package cli

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// evalFlags are the flags of eval.
type evalFlags struct {
	test, data, classes, sources []string
	normalize                    []string
	dataset                      dataFlags
	engine                       engineFlags
	latency                      bool
	runs, runThreads             int
	batches                      []int
}

// evalResult is the result of eval.
type evalResult struct {
	Engine string      `json:"engine"`
	Models []evalModel `json:"models"`
	// Together are plain models side by side: the joint accuracy of their logits by each rule.
	Together []jointRow `json:"joint_rules_together,omitempty"`
	// Latency times plain models against each other, the first being the reference.
	Latency *eval.LatencyReport `json:"latency,omitempty"`
}

type evalModel struct {
	File      string         `json:"file"`
	Heads     []string       `json:"heads"`
	Size      eval.Size      `json:"size"`
	Sources   *eval.Size     `json:"sources_size,omitempty"` // of all sources together
	Scores    *scores        `json:"accuracy,omitempty"`
	Agreement []agreementRow `json:"agreement,omitempty"`
	// Deployment times a merged file against its ensemble and against separate sessions.
	Deployment *eval.DeploymentReport `json:"deployment,omitempty"`
}

func (a *app) evalCommand() *cobra.Command {
	f := &evalFlags{}
	cmd := &cobra.Command{
		Use: "eval MODEL…", Short: "Measure accuracy, agreement, size and latency of models",
		Long: `Judges merged files and plain models on the same data. The heads of a merged
file are known from its metadata; a plain model is one head with the file's
name. Accuracies and differences come with 95 % intervals, differences are
paired on the same samples. With --source, a merged file is compared with what
it was made of.

--latency tells the two uses apart: one input for all heads, where a merged file
saves time and memory, and routed requests that want one head each, where it
saves memory only and the other heads cost time.`,
		Example: `  onnx-zip eval merged.onnx --source a.onnx --source b.onnx --latency \
      --test test.npz --classes a=0,2,3,5,8 --classes b=1,4,6,7,9`,
		DisableFlagsInUseLine: true,
		Args:                  atLeast(1, "onnx-zip eval merged.onnx --test test.npz"), ValidArgsFunction: completeModels,
		RunE: func(cmd *cobra.Command, files []string) error { return a.eval(cmd.Context(), files, f) },
	}
	a.addGroup(cmd, "Data", func(s *pflag.FlagSet) {
		s.StringArrayVar(&f.test, "test", nil, "`[HEAD=]FILE`: labelled data, .npz (repeat); with HEAD= the labels number that head's own classes")
		s.StringArrayVar(&f.classes, "classes", nil, "`HEAD=LIST`: the class of each of its outputs, as a=0,3,4 or a=@FILE (repeat)")
		s.StringArrayVar(&f.data, "data", nil, "`FILE`: unlabelled data, .npz: to measure agreement on (default: --test), and to standardise the heads for the joint accuracy")
		s.StringArrayVar(&f.sources, "source", nil, "`[HEAD=]FILE`: a model that a head came from (repeat)")
		s.IntVar(&f.dataset.samples, "samples", 0, "`N`: use so many of --data (default: all)")
		f.dataset.define(s)
		defineNormalize(s, &f.normalize)
	})
	a.addGroup(cmd, "Latency", func(s *pflag.FlagSet) {
		s.BoolVar(&f.latency, "latency", false, "measure it")
		s.IntSliceVar(&f.batches, "latency-batch", []int{1, 8}, "`N,…`: samples in a timed run (default: 1,8)")
		s.IntVar(&f.runs, "runs", eval.DefaultRuns, "`N`: timed runs (default: 50)")
		s.IntVar(&f.runThreads, "latency-threads", 1, "`N`: threads inside a timed run (default: 1)")
	})
	a.addGroup(cmd, "Machine", f.engine.define)
	completeFiles(cmd, "test", "npz")
	completeFiles(cmd, "data", "npz", "npy")
	completeFiles(cmd, "source", "onnx")
	return cmd
}

func (a *app) eval(ctx context.Context, files []string, f *evalFlags) error {
	if err := f.engine.check(); err != nil {
		return err
	}
	subjects, err := a.loadSubjects(files)
	if err != nil {
		return err
	}
	e := &evaluation{a: a, f: f, subjects: subjects}
	if err := e.normalizePlain(); err != nil {
		return err
	}
	sets := &datasets{a: a, flags: f.dataset}
	defer sets.Close()
	if err := e.readData(sets); err != nil {
		return err
	}
	engine, err := a.openEngine(f.engine)
	if err != nil {
		return err
	}
	e.scorer.a, e.scorer.engine = a, engine
	e.scorer.o = eval.Options{Batch: f.engine.batch, Workers: f.engine.threads}
	e.result.Engine = engine.Name()
	a.doc.Result = &e.result
	for _, s := range subjects {
		if err := e.judge(ctx, s); err != nil {
			return err
		}
	}
	if err := e.together(ctx); err != nil {
		return err
	}
	if f.latency && !e.timed {
		if err := e.timePlain(ctx); err != nil {
			return err
		}
	}
	e.print()
	return nil
}

func (a *app) loadSubjects(files []string) ([]subject, error) {
	models, err := a.loadModels(files)
	if err != nil {
		return nil, err
	}
	var out []subject
	for _, m := range models {
		s, err := subjectOf(m, stemName(m.File))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// evaluation is one run of eval.
type evaluation struct {
	a        *app
	f        *evalFlags
	subjects []subject
	scorer   scorer
	plain    data.Source // what agreement is measured on
	// normalize says what heads' sources, and plain models of that name, want done to the data.
	normalize map[string]transform.Normalization
	result    evalResult
	timed     bool // a merged file was timed against its sources
}

// heads are the names of all models' heads, each once.
func (e *evaluation) heads() []string {
	var heads []string
	for _, s := range e.subjects {
		for _, h := range s.names() {
			if !contains(heads, h) {
				heads = append(heads, h)
			}
		}
	}
	return heads
}

// normalizePlain puts what --normalize says in front of plain models. A merged file has it inside.
func (e *evaluation) normalizePlain() (err error) {
	if e.normalize, err = normalizeFor(e.f.normalize, e.heads()); err != nil {
		return err
	}
	for i := range e.subjects {
		s := &e.subjects[i]
		if n, ok := e.normalize[s.heads[0].name]; ok && !s.merged {
			if s.model, err = transform.Normalize(s.model, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// readData opens the files for the first model's inputs.
func (e *evaluation) readData(sets *datasets) error {
	heads := e.heads()
	var err error
	if sets.inputs, err = data.Inputs(e.subjects[0].model); err != nil {
		return err
	}
	if e.scorer.classes, err = parseClasses(e.f.classes, heads); err != nil {
		return err
	}
	var tests, plain []headed
	for _, v := range e.f.test {
		h, err := optionalHead("test", v, heads)
		if err != nil {
			return err
		}
		tests = append(tests, h)
	}
	for _, v := range e.f.data {
		plain = append(plain, headed{Rest: v})
	}
	if e.scorer.tests, err = sets.tests(tests); err != nil {
		return err
	}
	if len(plain) > 0 {
		if e.plain, err = sets.calibration(plain, 0); err != nil {
			return err
		}
	} else if len(e.scorer.tests) > 0 {
		e.plain = e.scorer.tests[0].src
	}
	return nil
}

// judge measures one file.
func (e *evaluation) judge(ctx context.Context, s subject) error {
	m := evalModel{File: s.model.File, Heads: s.names()}
	var err error
	if m.Size, err = eval.SizeOf(s.model); err != nil {
		return err
	}
	var sources []source
	if s.merged {
		if sources, err = e.a.matchSources(s, e.f.sources, "source", e.normalize); err != nil {
			return err
		}
	}
	if m.Sources, err = sizeOfSources(sources); err != nil {
		return err
	}
	local, err := e.localScorer(s)
	if err != nil {
		return err
	}
	if len(local.tests) > 0 {
		if err := checkLabels(local.tests, asSources(s), local.classes); err != nil {
			return err
		}
		if len(e.f.data) > 0 {
			local = local.standardising(renamedData{e.plain, e.inputsFor(s, e.plain)})
		}
		if m.Scores, err = local.against(ctx, s.model, tasksOf(s, local.classes), sources); err != nil {
			return err
		}
	}
	if len(sources) > 0 && e.plain != nil {
		if m.Agreement, err = local.agreement(ctx, s.model, sources, e.inputsFor(s, e.plain)); err != nil {
			return err
		}
	}
	if e.f.latency && s.merged && len(sources) == len(s.heads) {
		if m.Deployment, err = e.deployment(ctx, s, sources); err != nil {
			return err
		}
		e.timed = true
	}
	e.result.Models = append(e.result.Models, m)
	return nil
}

// localScorer has the test data under this file's input names, and of other heads' data none.
func (e *evaluation) localScorer(s subject) (scorer, error) {
	local := e.scorer
	local.tests = nil
	for _, t := range e.scorer.tests {
		if t.head != "" && !contains(s.names(), t.head) {
			continue
		}
		if s.model != e.subjects[0].model {
			rename, err := pairInputs(e.subjects[0].model, s.model)
			if err != nil {
				return local, err
			}
			t.src = renamedData{t.src, eval.Rename(t.src, rename)}
		}
		local.tests = append(local.tests, t)
	}
	return local, nil
}

func (e *evaluation) inputsFor(s subject, src data.Source) calibrate.Source {
	if rename, err := pairInputs(e.subjects[0].model, s.model); err == nil {
		return eval.Rename(src, rename)
	}
	return src
}

// renamedData is a data.Source whose feeds have other names.
type renamedData struct {
	data.Source
	feeds calibrate.Source
}

func (r renamedData) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	return r.feeds.Batch(from, to)
}

func sizeOfSources(sources []source) (*eval.Size, error) {
	if len(sources) == 0 {
		return nil, nil
	}
	var sum eval.Size
	for _, s := range sources {
		size, err := eval.SizeOf(s.Model)
		if err != nil {
			return nil, err
		}
		sum.Params, sum.FLOPs, sum.FileBytes, sum.FLOPsBatch = sum.Params+size.Params, sum.FLOPs+size.FLOPs, sum.FileBytes+size.FileBytes, size.FLOPsBatch
		sum.Uncounted = append(sum.Uncounted, size.Uncounted...)
	}
	return &sum, nil
}

// asSources are a file's heads, for the check of labels.
func asSources(s subject) []source {
	var out []source
	for _, h := range s.heads {
		out = append(out, source{Head: h.name, Model: s.model, Logits: h.logits})
	}
	return out
}

func tasksOf(s subject, classes map[string][]int) []eval.Task {
	var tasks []eval.Task
	for _, h := range s.heads {
		tasks = append(tasks, eval.Task{Head: h.name, Classes: classes[h.name], Output: h.logits})
	}
	return tasks
}
