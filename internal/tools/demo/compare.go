package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// row is a line of the table.
type row struct {
	name        string
	joint, a, b *eval.Rate // nil: it has none
	size        eval.Size
	model       *onnx.Model // nil: not timed
	timed       string      // the row whose time this one's is
	remark      string
}

// variant is a merge of the table.
type variant struct{ name, method, refit, until string }

var variants = []variant{
	{"average", "average", "none", ""},
	{"average, repaired", "average", "repair", ""},
	{"permute", "permute", "none", ""},
	{"permute, repaired", "permute", "repair", ""},
	{"zip, the paper's settings", "zipit", "none", ""},
	{"zip, the paper's, repaired", "zipit", "repair", ""},
	{"zip, β = 1", "zip", "none", ""},
	{"zip, β = 1, repaired", "zip", "repair", ""},
	{"  the same up to %.0f %% of FLOPs", "zip", "repair", "68%"},
	{"  the same up to %.0f %% of FLOPs", "zip", "repair", "35%"},
	{"control: A's trunk, heads refitted", "graft", "", ""},
	{"control: side by side, each shrunk", "ensemble", "ls", ""},
}

// compare prints the table of a pair; merged is the file that the command line made of it.
func (d *demo) compare(ctx context.Context, name, merged string) error {
	p, err := d.open(ctx, name)
	if err != nil {
		return err
	}
	rows, err := p.alone()
	if err != nil {
		return err
	}
	for _, v := range variants {
		r, err := p.variant(ctx, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		rows = append(rows, r)
	}
	for _, more := range []func() (row, error){
		func() (row, error) { return p.file(ctx, merged) },
		p.sideBySide,
	} {
		r, err := more()
		if err != nil {
			return err
		}
		rows = append(rows, r)
	}
	times, err := d.time(ctx, rows)
	if err != nil {
		return err
	}
	d.step("done")
	p.print(name, rows, times)
	return nil
}

// alone is the rows of the unmerged models: no answer is right on the other's task.
func (p *pair) alone() ([]row, error) {
	var rows []row
	for i, m := range p.models {
		result, err := eval.Score(p.sources[i:i+1], p.labels, nil)
		if err != nil {
			return nil, err
		}
		r := row{name: "model " + strings.ToUpper(result.Tasks[0].Head) + " alone", model: m}
		if r.size, err = eval.SizeOf(m); err != nil {
			return nil, err
		}
		own := result.Tasks[0].Accuracy
		joint := eval.RateOf(own.Correct, len(p.labels))
		r.joint = &joint
		if i == 0 {
			r.a = &own
		} else {
			r.b = &own
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (p *pair) variant(ctx context.Context, v variant) (row, error) {
	start := time.Now()
	result, err := p.merge(ctx, v)
	if err != nil {
		return row{}, err
	}
	seconds := time.Since(start).Seconds()
	name := v.name
	if v.until != "" {
		name = fmt.Sprintf(name, 100*result.Report.Trunk.FLOPsShare)
	}
	r, err := p.row(ctx, name, result.Model)
	if err != nil {
		return row{}, err
	}
	if refit := result.Report.Refit; refit != nil && refit.Chosen == "none" {
		r.remark = "the repair made it worse and was dropped"
	}
	p.d.step("%s (merged in %.1f s)", strings.TrimSpace(name), seconds)
	return r, nil
}

func (p *pair) file(ctx context.Context, merged string) (row, error) {
	m, err := onnx.Load(merged)
	if err != nil {
		return row{}, err
	}
	return p.row(ctx, transform.DefaultMethod+": the file merged above", m)
}

// row judges a merged model.
func (p *pair) row(ctx context.Context, name string, m *onnx.Model) (row, error) {
	result, err := p.score(ctx, m)
	if err != nil {
		return row{}, err
	}
	r := scored(name, result)
	r.model = m
	r.size, err = eval.SizeOf(m)
	return r, err
}

func scored(name string, result eval.Result) row {
	return row{name: name, joint: &result.Joint.Softmax.Accuracy, a: &result.Tasks[0].Accuracy, b: &result.Tasks[1].Accuracy}
}

// sideBySide is the ensemble: its answers are the sources' own.
func (p *pair) sideBySide() (row, error) {
	result, err := p.ensemble()
	if err != nil {
		return row{}, err
	}
	side, err := p.prepared.SideBySide(nil)
	if err != nil {
		return row{}, err
	}
	r := scored(ensemble, result)
	r.model = side.Model
	r.size, err = eval.SizeOf(side.Model)
	return r, err
}

const ensemble = "ensemble: both, side by side"

// time measures each network once: rows with the same number of FLOPs are one graph with other weights.
func (d *demo) time(ctx context.Context, rows []row) (eval.LatencyReport, error) {
	byFLOPs := map[int64]string{}
	var subjects []eval.Subject
	for i := range rows {
		r := &rows[i]
		if byFLOPs[r.size.FLOPs] == "" {
			byFLOPs[r.size.FLOPs] = r.name
			subjects = append(subjects, eval.Subject{Name: r.name, Models: []*onnx.Model{r.model}})
		}
		r.timed = byFLOPs[r.size.FLOPs]
	}
	d.step("timing %d networks", len(subjects))
	return eval.Latency(ctx, d.engine, subjects, eval.LatencyOptions{Runs: 15, Warmup: 2, Reference: ensemble})
}
