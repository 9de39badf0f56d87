package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
)

// sweeping is one run of sweep. It shares loading, data and judging with merge.
type sweeping struct {
	merging
	s *sweepFlags

	candidates []sweep.Candidate
	keys       []string // by candidate
	journal    *sweep.Journal
	shared     *transform.Shared
	yard       yardstick
	kept       map[string]*transform.Result // by key: models of the front so far, with --keep
	out        sweepResult
}

// sweepSettings is the settings part of the JSON document.
type sweepSettings struct {
	Cuts    []string  `json:"cuts"`
	Budgets []float64 `json:"budgets"` // 0: every space keeps its width
	Methods []string  `json:"methods"`
	Rank    string    `json:"rank"`
	Heads   []string  `json:"heads"`
	Samples int       `json:"samples"` // asked for; 0: all
	Seed    uint64    `json:"seed"`
	Threads int       `json:"threads"`
	Batch   int       `json:"batch"`
	Device  string    `json:"device"`
}

// sweepResult is the result part.
type sweepResult struct {
	Folder   string                `json:"folder"`
	Shared   string                `json:"shared"`
	Forms    []transform.FormProof `json:"forms,omitempty"`
	Engine   string                `json:"engine,omitempty"`
	Batch    *batchReport          `json:"batch"`
	Data     *dataReport           `json:"data,omitempty"`
	Complete bool                  `json:"complete"` // every candidate was tried
	Resumed  int                   `json:"resumed"`  // rows that were finished before
	Rank     string                `json:"rank"`     // what the Pareto front is of, with FLOPs
	Rows     []sweep.Row           `json:"rows"`
	Seconds  map[string]float64    `json:"seconds"`
}

func (a *app) sweep(cmd *cobra.Command, files []string, f *sweepFlags) error {
	w := &sweeping{merging: merging{a: a, f: &f.mergeFlags, files: files, seconds: map[string]float64{}}, s: f, kept: map[string]*transform.Result{}}
	if err := f.check(); err != nil {
		return err
	}
	var err error
	if w.program, err = f.score.program(cmd); err != nil {
		return err
	}
	a.doc.Result, w.out.Seconds, w.out.Folder = &w.out, w.seconds, f.output
	return w.run(cmd.Context())
}

// run goes through the stages; the earliest that fails decides.
func (w *sweeping) run(ctx context.Context) error {
	if err := w.timed("prepare", func() error { return w.prepare(ctx) }); err != nil {
		return err
	}
	sets := &datasets{a: w.a, flags: w.f.dataset}
	defer sets.Close()
	if err := w.timed("read_data", func() error { return w.readData(sets) }); err != nil {
		return err
	}
	if err := w.openEngine(); err != nil {
		return err
	}
	w.out.Engine = w.engine.Name()
	if err := w.timed("look_at_data", func() error { return w.look(ctx) }); err != nil {
		return err
	}
	w.out.Data = w.result.Data
	if err := w.open(); err != nil {
		return err
	}
	defer w.journal.Close()
	defer func() { w.shared.Close() }()
	err := w.all(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	return w.finish(ctx, err)
}

// prepare loads and pairs the models and lists the candidates.
func (w *sweeping) prepare(ctx context.Context) error {
	var err error
	if w.p, err = w.a.prepare(w.files, w.f.heads, w.f.mapInput, w.f.normalize, w.change(ctx)); err != nil {
		return err
	}
	if err := w.adoptForms(ctx); err != nil {
		return err
	}
	w.out.Forms = w.p.Forms
	heads := headNames(w.p)
	if w.scorer.classes, err = parseClasses(w.f.classes, heads); err != nil {
		return err
	}
	if w.sources, err = sourcesOf(w.p, w.scorer.classes); err != nil {
		return err
	}
	if _, w.trunk, err = w.p.Trunk(transform.Options{}); err != nil {
		return err
	}
	if w.out.Shared, err = w.p.SharedLine(w.trunk); err != nil {
		return err
	}
	cuts, err := w.cuts()
	if err != nil {
		return err
	}
	g := sweep.Grid{Cuts: cuts, Budgets: w.s.budgetList, Methods: w.s.methods, Seed: w.f.seed, Base: heads[0], Models: float64(len(w.p.Sources.Models))}
	if w.candidates, err = g.Candidates(); err != nil {
		return err
	}
	if err := w.suit(); err != nil {
		return err
	}
	for _, c := range w.candidates {
		if needs, err := w.p.NeedsData(w.options(c)); err == nil {
			w.needsData = w.needsData || needs
		}
	}
	w.a.doc.Settings = sweepSettings{labels(cuts), w.s.budgetList, w.s.methods, w.s.rank, heads, w.f.dataset.samples, w.f.seed,
		w.f.engine.threads, w.f.engine.batch, w.f.engine.device}
	w.a.printf("%s\n", w.out.Shared)
	w.showBatch()
	w.out.Batch = w.result.Batch
	return nil
}

// suit gives candidates of the default method the matching that suits these models, as merge does. Where models come
// from takes a look at all their weights, so it is asked once.
func (w *sweeping) suit() error {
	best, err := transform.Preset(transform.DefaultMethod)
	if err != nil {
		return err
	}
	if best, err = w.p.Suit(best); err != nil {
		return err
	}
	for i, c := range w.candidates {
		if c.Settings.Method == transform.DefaultMethod {
			w.candidates[i].Settings.Match = best.Match
		}
	}
	return nil
}

// cuts resolves --cuts; without it, and for "auto", some are chosen.
func (w *sweeping) cuts() ([]sweep.Cut, error) {
	shares, err := w.p.Shares(w.trunk)
	if err != nil {
		return nil, err
	}
	var out []sweep.Cut
	add := func(cuts ...sweep.Cut) error {
		for _, c := range cuts {
			at, err := w.p.ParseUntil(c.Until)
			if err != nil {
				return err
			}
			c.At = strings.Join(at.Values, ",")
			if !slices.ContainsFunc(out, func(o sweep.Cut) bool { return o.At == c.At }) {
				out = append(out, c)
			}
		}
		return nil
	}
	for _, until := range w.s.cutList {
		cuts := []sweep.Cut{{Label: "all", FLOPs: shares.FLOPs}} // full
		switch until {
		case "auto":
			valid, err := w.p.Cuts()
			if err != nil {
				return nil, err
			}
			cuts = sweep.ChooseCuts(valid, shares.FLOPs, autoCuts)
		case "full":
		default:
			p, t, err := w.p.Trunk(transform.Options{Until: until})
			if err != nil {
				return nil, err
			}
			s, err := p.Shares(t)
			if err != nil {
				return nil, err
			}
			cuts = []sweep.Cut{{Until: until, Label: fmt.Sprintf("%s (%.0f %%)", until, 100*s.FLOPs), FLOPs: s.FLOPs}}
		}
		if err := add(cuts...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// autoCuts is the number of cuts that are tried beside sharing all that can be shared.
const autoCuts = 4

func labels(cuts []sweep.Cut) (out []string) {
	for _, c := range cuts {
		out = append(out, c.Label)
	}
	return out
}

// options are those of a candidate's merge.
func (w *sweeping) options(c sweep.Candidate) transform.Options {
	o := transform.Options{Settings: c.Settings, Until: c.Cut.Until, Batch: w.f.engine.batch, Workers: w.f.engine.threads, Judge: true, Shared: w.shared, Mask: w.f.mask}
	o.Refit.Batch, o.Refit.Workers, o.Refit.Scratch, o.Refit.Memory = w.f.engine.batch, w.f.engine.threads, w.f.scratch, w.s.memoryBytes
	o.Progress = func(stage string, done, total int) { w.a.stderr.progress(stage, done, total) }
	return o
}

// open makes the folder and reads what is finished.
func (w *sweeping) open() (err error) {
	if err := os.MkdirAll(w.f.output, 0o755); err != nil {
		return fault.Wrap(fault.Output, "output_failed", err, "the folder cannot be made").InFile(w.f.output)
	}
	if err := w.hashAll(); err != nil {
		return err
	}
	w.journal, err = sweep.OpenJournal(filepath.Join(w.f.output, "results.jsonl"))
	return err
}

// hashAll computes the candidates' keys: of the models, the data, how it is read, the engine and the settings.
func (w *sweeping) hashAll() error {
	var files []string
	for _, m := range w.p.Originals {
		sum, err := m.Hash()
		if err != nil {
			return err
		}
		files = append(files, sum)
	}
	for _, f := range w.dataFiles {
		sum, err := fileSHA256(f.Rest)
		if err != nil {
			return err
		}
		files = append(files, "data", sum)
	}
	for _, t := range w.scorer.tests {
		sum, err := fileSHA256(t.file)
		if err != nil {
			return err
		}
		files = append(files, "test "+t.head, sum)
	}
	common := []any{w.a.doc.Version, w.engine.Name(), files, headNames(w.p), w.f.mapInput, w.f.normalize, w.scorer.classes, w.f.dataset.options(), w.f.dataset.samples,
		w.f.mask, w.f.seed, w.f.engine.batch, w.f.score.command, w.f.score.key, w.f.score.goal}
	for _, c := range w.candidates {
		key, err := sweep.Key(append(common, c.Settings, c.Cut.At)...)
		if err != nil {
			return err
		}
		w.keys = append(w.keys, key)
	}
	return nil
}

// all tries the candidates that are not finished. It ends early only where nothing further can be done.
func (w *sweeping) all(ctx context.Context) error {
	if err := w.addSources(ctx); err != nil {
		return err
	}
	var missing []transform.Options
	for i, c := range w.candidates {
		if _, ok := w.journal.Finished(w.keys[i]); !ok {
			missing = append(missing, w.options(c))
		}
	}
	w.out.Resumed = len(w.candidates) - len(missing)
	w.a.info("%s, %d of them finished before", plural(len(w.candidates), "merge"), w.out.Resumed)
	if len(missing) > 0 && w.calib != nil {
		if err := w.timed("capture", func() (err error) {
			w.shared, err = w.p.Share(ctx, w.engine, w.calib, missing)
			return err
		}); err != nil {
			return err
		}
	}
	for i, c := range w.candidates {
		row, ok := w.journal.Finished(w.keys[i])
		if !ok {
			var err error
			if row, err = w.try(ctx, c, w.keys[i]); err != nil {
				return err
			}
			w.a.info("%d of %d: %s", i+1, len(w.candidates), rowLine(row))
		}
		w.out.Rows = append(w.out.Rows, row)
		w.a.kept = fmt.Sprintf("%d of %d merges are finished, in %s", i+1, len(w.candidates), w.f.output)
	}
	w.out.Complete = true
	return nil
}

// addSources judges the sources: each alone is a row.
func (w *sweeping) addSources(ctx context.Context) error {
	if err := w.timed("evaluate", func() (err error) {
		w.yard, err = w.yardstickOf(ctx, w.scorer)
		return err
	}); err != nil {
		return err
	}
	var rows []sweep.Row
	var params, flops int64
	for _, m := range w.p.Sources.Base().Models {
		c, err := cost.AtBatch(m.Model, 1)
		if err != nil {
			return err
		}
		row := sweep.Row{Kind: sweep.KindSource, Name: m.Head + " alone", Params: c.Params, FLOPs: c.FLOPs}
		if w.yard.ref != nil {
			for _, t := range w.yard.ref.Tasks {
				if t.Head == m.Head {
					row.Tasks = append(row.Tasks, sweep.Task{Head: t.Head, Accuracy: t.Accuracy})
				}
			}
		}
		params, flops = params+c.Params, flops+c.FLOPs
		rows = append(rows, row)
	}
	for i := range rows {
		rows[i].ParamsRatio, rows[i].FLOPsRatio = float64(rows[i].Params)/float64(max(params, 1)), float64(rows[i].FLOPs)/float64(max(flops, 1))
	}
	w.out.Rows = rows
	return nil
}

// try makes one candidate and writes down what came out. An error ends the sweep: an interruption, or a folder that
// cannot be written to.
func (w *sweeping) try(ctx context.Context, c sweep.Candidate, key string) (sweep.Row, error) {
	row, res, err := w.candidate(ctx, c, w.options(c), w.yard)
	row.Key = key
	if ctx.Err() != nil {
		return row, ctx.Err()
	}
	if err != nil {
		e := fault.As(err)
		scoring := strings.HasPrefix(e.Code, "score_")
		if scoring && c.Kind == sweep.KindEnsemble { // the first of all: the program is at fault, not the merge
			return row, err
		}
		if again := e.Kind == fault.Usage || e.Kind == fault.Correspondence || e.Kind == fault.Unsupported; !again || scoring {
			return row, nil // it may go well the next time
		}
	}
	w.hold(row, res)
	return row, w.journal.Add(row)
}

// finish marks the front, writes the files and shows the table; err is an interruption or nil.
func (w *sweeping) finish(ctx context.Context, err error) error {
	w.out.Rank = w.s.rank
	if w.out.Rank == "" {
		w.out.Rank = sweep.DefaultMeasure(w.out.Rows)
	}
	sweep.MarkFront(w.out.Rows, w.out.Rank)
	sweep.Sort(w.out.Rows)
	if err == nil && w.s.keep {
		err = w.timed("keep", func() error { return w.keepFront(ctx) })
	}
	if werr := w.writeFiles(); werr != nil && err == nil {
		err = werr
	}
	if err != nil {
		return err
	}
	w.warnFew()
	w.print()
	return w.nothingMade()
}

// nothingMade is the first failure where no merge succeeded.
func (w *sweeping) nothingMade() error {
	var first *sweep.Row
	for i, r := range w.out.Rows {
		switch {
		case r.Kind == sweep.KindSource || r.Kind == sweep.KindEnsemble:
		case r.Failed == nil:
			return nil
		case first == nil:
			first = &w.out.Rows[i]
		}
	}
	if first == nil {
		return nil
	}
	return fault.New(fault.KindNamed(first.Failed.Kind), first.Failed.Code, "no merge could be made; the first, %s: %s", first.Name, first.Failed.Message).
		WithHint("`onnx-zip inspect` shows what can be shared, and where it can be cut")
}

// warnFew says once where least squares had fewer samples than it could use.
func (w *sweeping) warnFew() {
	most := 0
	for _, r := range w.out.Rows {
		most = max(most, r.SamplesWanted)
	}
	if w.calib != nil && most > w.calib.Samples() {
		w.a.warn(warning{Code: "few_samples", Message: fmt.Sprintf("%d samples are few for the least squares of some nodes; %d would do for all", w.calib.Samples(), most)})
	}
}

// rowLine is a row for a log line.
func rowLine(r sweep.Row) string {
	if r.Failed != nil {
		return r.String()
	}
	var parts []string
	for _, t := range r.Tasks {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", t.Head, 100*t.Accuracy.Value))
	}
	if len(parts) == 0 {
		for _, a := range r.Agreements() {
			parts = append(parts, fmt.Sprintf("%s agrees on %.1f %%", a.Head, 100*a.Top1.Value))
		}
	}
	if r.Score != nil {
		parts = append(parts, r.Score.Key+" "+score.Number(r.Score.Value))
	}
	return strings.Join(append([]string{r.String()}, parts...), ", ") + fmt.Sprintf(" (%.1f s)", r.Seconds)
}
