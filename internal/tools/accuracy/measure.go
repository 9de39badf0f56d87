package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// The data files of bench/train.py.
const (
	calibFile = "calib.npz" // unlabelled, to merge by
	validFile = "valid.npz" // labelled, to choose defaults by
	testFile  = "test.npz"  // labelled, to report
)

// measure fills in what is missing of a pair's results.
func (b *benchmark) measure(ctx context.Context, p pair) error {
	if b.tables || !b.pairs.MatchString(p.name()) {
		return nil
	}
	o := &opened{b: b, p: p, done: map[string]bool{}}
	if err := o.ensure(ctx, variant{name: rowEnsemble}, []string{testFile, validFile}); err != nil {
		return err
	}
	for _, v := range variants() {
		if !b.rows.MatchString(v.name) {
			continue
		}
		split := testFile
		if v.choice {
			split = validFile
		}
		if err := o.ensure(ctx, v, []string{split}); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// opened is a pair with what is loaded once, when first needed.
type opened struct {
	b      *benchmark
	p      pair
	models []*onnx.Model
	inputs []data.InputSpec
	done   map[string]bool // measured in this run
}

// subject is what is judged.
type subject struct {
	known   result // all that is known without running it
	predict func(data.Source) ([]eval.Head, error)
}

// ensure measures a row on the splits on which it was not measured before.
func (o *opened) ensure(ctx context.Context, v variant, splits []string) error {
	missing := map[string]string{}
	for _, split := range splits {
		path := o.b.resultPath(o.p, v, split)
		r, err := readResult(path)
		if err != nil || r.Error != "" || o.b.again && !o.done[path] { // what was refused is tried again
			missing[split] = path
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := o.load(); err != nil {
		return err
	}
	how := o.merged
	if v.name == rowEnsemble {
		how = o.ensemble
	}
	s, err := how(ctx, v)
	if err != nil {
		return err
	}
	for split, path := range missing {
		r := s.known
		if r.Error == "" {
			if err := o.judge(s, split, &r); err != nil {
				return err
			}
		}
		o.done[path] = true
		o.b.step("%s, %s: %s, %s", o.p.name(), strings.TrimSuffix(split, ".npz"), v.name, r.summary())
		if err := r.write(path); err != nil {
			return err
		}
	}
	return nil
}

func (o *opened) load() error {
	if o.models != nil {
		return nil
	}
	var models []*onnx.Model
	for _, file := range o.p.files {
		m, err := onnx.Load(file)
		if err != nil {
			return err
		}
		models = append(models, m)
	}
	var err error
	o.inputs, err = data.Inputs(models[0])
	o.models = models
	return err
}

// document is what is read of `onnx-zip merge --json`.
type document struct {
	OK      bool   `json:"ok"`
	Version string `json:"version"`
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Warnings []struct {
		Code string `json:"code"`
	} `json:"warnings"`
	Result struct {
		Seconds map[string]float64 `json:"seconds"`
		Report  struct {
			Trunk struct {
				FLOPsShare float64 `json:"flops_share"`
			} `json:"trunk"`
			Refit *struct {
				Chosen        string             `json:"chosen"`
				RelativeError map[string]float64 `json:"relative_error"`
			} `json:"refit"`
		} `json:"report"`
	} `json:"result"`
}

// merged merges the pair with the command line.
func (o *opened) merged(ctx context.Context, v variant) (subject, error) {
	file := o.b.mergedPath(o.p, v)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return subject{}, err
	}
	doc, err := o.command(ctx, v, file)
	if err != nil {
		return subject{}, err
	}
	r := result{Args: v.args(), Version: doc.Version}
	if doc.Error != nil {
		r.Error = doc.Error.Code + ": " + doc.Error.Message
		return subject{known: r}, nil
	}
	m, err := onnx.Load(file)
	if err != nil {
		return subject{}, err
	}
	size, err := eval.SizeOf(m)
	if err != nil {
		return subject{}, err
	}
	report := doc.Result.Report
	r.Params, r.FLOPs, r.TrunkShare, r.Seconds = size.Params, size.FLOPs, report.Trunk.FLOPsShare, doc.Result.Seconds["refit"]
	if report.Refit != nil {
		r.Refit, r.RelativeError = report.Refit.Chosen, report.Refit.RelativeError[report.Refit.Chosen]
	}
	var tasks []eval.Task
	for i, head := range o.p.heads {
		tasks = append(tasks, eval.Task{Head: head, Classes: o.p.family.Tasks[head], Output: m.Graph().GetOutput()[i].GetName()})
	}
	return subject{r, func(src data.Source) ([]eval.Head, error) {
		return eval.Predict(ctx, o.b.engine, m, tasks, src, eval.Options{})
	}}, nil
}

// command runs the command line. A merge that it refuses is a result, too.
func (o *opened) command(ctx context.Context, v variant, file string) (document, error) {
	args := append([]string{"merge"}, o.p.files...)
	args = append(args, "--heads", strings.Join(o.p.heads, ","), "--data", filepath.Join(o.b.cache, calibFile),
		"-o", file, "--force", "--json", "--quiet", "--device", "cpu", "--no-controls")
	c := exec.CommandContext(ctx, o.b.program, append(args, v.args()...)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	failed := c.Run()
	if err := ctx.Err(); err != nil {
		return document{}, err
	}
	var doc document
	if err := json.Unmarshal(stdout.Bytes(), &doc); err != nil {
		return doc, fmt.Errorf("%s: %v: %s", o.b.program, failed, stderr.String())
	}
	return doc, nil
}

// ensemble is the unmerged models side by side.
func (o *opened) ensemble(ctx context.Context, _ variant) (subject, error) {
	var r result
	for _, m := range o.models {
		s, err := eval.SizeOf(m)
		if err != nil {
			return subject{}, err
		}
		r.Params += s.Params
		r.FLOPs += s.FLOPs
	}
	return subject{r, func(src data.Source) ([]eval.Head, error) {
		var heads []eval.Head
		for i, m := range o.models {
			head := o.p.heads[i]
			h, err := eval.Predict(ctx, o.b.engine, m, []eval.Task{{Head: head, Classes: o.p.family.Tasks[head]}}, src, eval.Options{})
			if err != nil {
				return nil, err
			}
			heads = append(heads, h...)
		}
		return heads, nil
	}}, nil
}

// judge scores a subject on a split; the standardised rule takes its statistics from the calibration data.
func (o *opened) judge(s subject, split string, r *result) error {
	calib, closeCalib, err := o.open(calibFile)
	if err != nil {
		return err
	}
	defer closeCalib()
	src, closeSplit, err := o.open(split)
	if err != nil {
		return err
	}
	defer closeSplit()
	labels, err := src.Labels()
	if err != nil {
		return err
	}
	reference, err := s.predict(calib)
	if err != nil {
		return err
	}
	heads, err := s.predict(src)
	if err != nil {
		return err
	}
	scored, err := eval.Score(heads, labels, eval.Maxima(reference))
	if err != nil {
		return err
	}
	r.keep(scored, len(labels))
	return nil
}

func (o *opened) open(file string) (data.Source, func() error, error) {
	set, err := data.Open(filepath.Join(o.b.cache, file), data.Options{})
	if err != nil {
		return nil, nil, err
	}
	src, err := set.Bind(o.inputs)
	return src, set.Close, err
}
