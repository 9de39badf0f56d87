package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// pair is two models of testdata/models and their data.
type pair struct {
	d        *demo
	models   [2]*onnx.Model
	classes  [2][]int
	names    [2][]string // of the classes
	prepared *transform.Prepared
	calib    data.Source
	test     data.Source
	labels   []int64
	sources  [2]eval.Head // what the unmerged models answer on the test data
}

// manifest is what is read of testdata/models/manifest.json.
type manifest struct {
	Models []struct {
		File    string   `json:"file"`
		Classes []int    `json:"classes"`
		Names   []string `json:"class_names"`
	} `json:"models"`
}

// open reads a pair and runs both models over the test data.
func (d *demo) open(ctx context.Context, name string) (*pair, error) {
	p := &pair{d: d}
	if err := p.load(name); err != nil {
		return nil, err
	}
	inputs, err := data.Inputs(p.models[0])
	if err != nil {
		return nil, err
	}
	if p.calib, err = d.data("fmnist_calib.npz", inputs); err != nil {
		return nil, err
	}
	if p.test, err = d.data("fmnist_test.npz", inputs); err != nil {
		return nil, err
	}
	if p.labels, err = p.test.Labels(); err != nil {
		return nil, err
	}
	if p.prepared, err = transform.Prepare(p.models[:], transform.PrepareOptions{Heads: []string{"a", "b"}}); err != nil {
		return nil, err
	}
	for i, m := range p.models {
		heads, err := eval.Predict(ctx, d.engine, m, []eval.Task{p.task(i, "")}, p.test, eval.Options{})
		if err != nil {
			return nil, err
		}
		p.sources[i] = heads[0]
	}
	return p, nil
}

func (p *pair) load(name string) error {
	text, err := os.ReadFile(filepath.Join(p.d.dir, "manifest.json"))
	if err != nil {
		return err
	}
	var all manifest
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("manifest.json: %w", err)
	}
	for i, letter := range []string{"a", "b"} {
		file := name + "_" + letter + ".onnx"
		if p.models[i], err = onnx.Load(filepath.Join(p.d.dir, file)); err != nil {
			return err
		}
		for _, m := range all.Models {
			if m.File == file {
				p.classes[i], p.names[i] = m.Classes, m.Names
			}
		}
	}
	return nil
}

func (d *demo) data(file string, inputs []data.InputSpec) (data.Source, error) {
	set, err := data.Open(filepath.Join(d.dir, file), data.Options{})
	if err != nil {
		return nil, err
	}
	return set.Bind(inputs)
}

// task is the one of model i; output "" stands for a source's only one.
func (p *pair) task(i int, output string) eval.Task {
	return eval.Task{Head: string(rune('a' + i)), Classes: p.classes[i], Output: output}
}

// merge merges the pair with the settings of a method; refit "" is the method's own.
func (p *pair) merge(ctx context.Context, v variant) (*transform.Result, error) {
	s, err := transform.Preset(v.method)
	if err != nil {
		return nil, err
	}
	if s, err = p.prepared.Suit(s); err != nil {
		return nil, err
	}
	if v.refit != "" {
		s.Refit = v.refit
	}
	if v.method == "ensemble" { // as it is, it needs no merge
		s.Budget, s.Narrow = 1, true
	}
	return p.prepared.Merge(ctx, p.d.engine, p.calib, transform.Options{Settings: s, Until: v.until})
}

// score judges a merged model, whose outputs are those of the two heads in their order.
func (p *pair) score(ctx context.Context, m *onnx.Model) (eval.Result, error) {
	outputs := m.Graph().GetOutput()
	tasks := []eval.Task{p.task(0, outputs[0].GetName()), p.task(1, outputs[1].GetName())}
	heads, err := eval.Predict(ctx, p.d.engine, m, tasks, p.test, eval.Options{})
	if err != nil {
		return eval.Result{}, err
	}
	return eval.Score(heads, p.labels, nil)
}

// ensemble scores both sources together.
func (p *pair) ensemble() (eval.Result, error) { return eval.Score(p.sources[:], p.labels, nil) }
