package cli

import (
	"context"
	"time"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/sweep"
	"github.com/onnx-zip/onnx-zip/transform"
)

// yardstick is the labelled data that candidates are judged by, and how the sources do on it.
type yardstick struct {
	scorer scorer
	ref    *reference // nil without test data
}

// yardstickOf judges the sources once for all candidates.
func (m *merging) yardstickOf(ctx context.Context, s scorer) (y yardstick, err error) {
	y.scorer = s
	if len(s.tests) > 0 {
		var tasks []eval.Task
		for _, one := range m.sources {
			if one.Logits != "" {
				tasks = append(tasks, eval.Task{Head: one.Head, Classes: s.classes[one.Head]})
			}
		}
		y.ref, err = s.reference(ctx, tasks, m.sources)
	}
	return y, err
}

// candidate makes one merge and judges it. Where it fails, the row says why, and err as well.
func (m *merging) candidate(ctx context.Context, c sweep.Candidate, o transform.Options, y yardstick) (sweep.Row, *transform.Result, error) {
	start := time.Now()
	settings := c.Settings
	row := sweep.Row{Kind: c.Kind, Name: c.Name(), Method: c.Method, Until: c.Cut.Until, Cut: c.Cut.Label, TrunkShare: c.Cut.FLOPs,
		Budget: settings.Budget, Settings: &settings}
	made := row
	res, err := m.makeCandidate(ctx, c, o, y, &made)
	if err != nil {
		e := fault.As(err)
		made, res = row, nil
		made.Failed = &sweep.Failure{Kind: fault.NameOf(e.Kind), Code: e.Code, Message: e.Error()}
	}
	made.Seconds = time.Since(start).Seconds()
	return made, res, err
}

func (m *merging) makeCandidate(ctx context.Context, c sweep.Candidate, o transform.Options, y yardstick, row *sweep.Row) (*transform.Result, error) {
	stop := m.a.stderr.busy(c.Name())
	res, err := m.p.Merge(ctx, m.engine, m.source(), o)
	stop()
	if err != nil {
		return nil, err
	}
	cost := res.Report.Cost
	row.Params, row.FLOPs, row.ParamsRatio, row.FLOPsRatio = cost.Params, cost.FLOPs, cost.ParamsRatio, cost.FLOPsRatio
	row.Exact, row.HeldOut = res.Exact, res.Report.HeldOut
	if r := res.Report.Refit; r != nil {
		row.Refit, row.SamplesWanted = r.Chosen, r.Enough
	}
	m.pairOutputs(res)
	if m.program != nil {
		if row.Score, err = m.scoreModel(ctx, res.Model); err != nil {
			return nil, err
		}
	}
	if y.ref == nil {
		return res, nil
	}
	s, err := y.scorer.againstReference(ctx, res.Model, m.tasks(), y.ref)
	if err != nil {
		return nil, err
	}
	for _, t := range s.Tasks {
		row.Tasks = append(row.Tasks, sweep.Task(t))
	}
	row.Joint, row.JointDifference, row.JointSkipped = s.Joint, s.JointDifference, s.JointSkipped
	return res, nil
}

// pairOutputs says which output of a merged model is which of a source.
func (m *merging) pairOutputs(res *transform.Result) {
	for i, h := range m.p.Heads() {
		s := &m.sources[i]
		s.Pairs = nil
		for k, merged := range m.p.MergedOutputs(h, res.Merged) {
			s.Pairs = append(s.Pairs, eval.Pair{Head: s.Head, Merged: merged, Source: h.Outputs[k]})
		}
	}
}
