package cli

import (
	"context"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// deployment times a merged file in both uses.
func (e *evaluation) deployment(ctx context.Context, s subject, sources []source) (*eval.DeploymentReport, error) {
	d := eval.Deployment{Merged: s.model}
	var models []*onnx.Model
	for i, h := range s.heads {
		d.Heads = append(d.Heads, eval.DeployedHead{Head: h.name, Outputs: h.outputs, Source: sources[i].Model})
		models = append(models, sources[i].Model)
	}
	if p, err := transform.Prepare(models, transform.PrepareOptions{Heads: s.names()}); err == nil {
		if side, err := p.SideBySide(nil); err == nil {
			d.Ensemble = side.Model
		}
	}
	if d.Ensemble == nil {
		e.a.warn(warning{Code: "no_ensemble", Message: "the sources cannot be put side by side: times refer to separate sessions"})
	}
	e.a.info("timing %d runs at each batch size", e.f.runs)
	r, err := eval.Deployments(ctx, e.scorer.engine, d, e.latencyOptions())
	return &r, err
}

func (e *evaluation) latencyOptions() eval.LatencyOptions {
	return eval.LatencyOptions{Batches: e.f.batches, Runs: e.f.runs, Threads: e.f.runThreads}
}

// timePlain times the files against each other.
func (e *evaluation) timePlain(ctx context.Context) error {
	var subjects []eval.Subject
	for _, s := range e.subjects {
		subjects = append(subjects, eval.Subject{Name: s.model.File, Models: []*onnx.Model{s.model}})
	}
	r, err := eval.Latency(ctx, e.scorer.engine, subjects, e.latencyOptions())
	e.result.Latency = &r
	return err
}
