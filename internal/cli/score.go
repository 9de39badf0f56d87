package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/score"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// scoreFlags say which program judges candidates.
type scoreFlags struct {
	command, key, goal string
	timeout            time.Duration
}

func (f *scoreFlags) define(s *pflag.FlagSet) {
	s.StringVar(&f.command, "score", "", "`COMMAND`: a program that judges a model, run without a shell; {model} in it is the file, its standard output one JSON object of numbers")
	s.StringVar(&f.key, "score-key", "", "`NAME`: the number that counts (default: the only one)")
	s.StringVar(&f.goal, "score-goal", score.Max, "`GOAL`: max or min: which is better (default: max)")
	s.DurationVar(&f.timeout, "score-timeout", 0, "`TIME`: what it may take for one model, like 90s or 10m (default: no limit)")
}

// program checks the flags; without --score it is nil.
func (f *scoreFlags) program(cmd *cobra.Command) (*score.Program, error) {
	if f.command != "" {
		return score.New(f.command, f.key, f.goal, f.timeout)
	}
	for _, name := range []string{"score-key", "score-goal", "score-timeout", "score-limit"} {
		if cmd.Flags().Changed(name) {
			return nil, usage("bad_flag", "--%s goes with --score only", name)
		}
	}
	return nil, nil
}

// scoreReport is what the program said of a merged model, and of the ensemble under the same names.
type scoreReport struct {
	Command string `json:"command"`
	score.Result
	Ensemble *score.Result `json:"ensemble,omitempty"`
}

// scoreModel writes a model to a folder of its own and runs the program on it.
func (m *merging) scoreModel(ctx context.Context, model *onnx.Model) (*score.Result, error) {
	dir, err := os.MkdirTemp(m.f.scratch, "onnx-zip-score-*")
	if err != nil {
		return nil, fault.Wrap(fault.Output, "output_failed", err, "there is no place for a model to be scored").WithHint("name one with --scratch")
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.onnx")
	if err := onnx.Save(model, path, onnx.SaveOptions{}); err != nil {
		return nil, err
	}
	stop := m.a.stderr.busy("score")
	defer stop()
	return m.program.Run(ctx, path)
}

// score judges the merged file and, for comparison, the sources side by side.
func (m *merging) score(ctx context.Context, file *onnx.Model) error {
	r, err := m.scoreModel(ctx, file)
	if err != nil {
		return err
	}
	m.result.Score = &scoreReport{Command: m.program.Command, Result: *r}
	o := m.o
	if o.Settings, err = transform.Preset("ensemble"); err != nil {
		return err
	}
	o.Until, o.Controls, o.Judge = "", false, false
	ensemble, err := m.p.Merge(ctx, m.engine, m.source(), o)
	if err != nil {
		return err
	}
	m.result.Score.Ensemble, err = m.scoreModel(ctx, ensemble.Model)
	return err
}

// line is a score for people.
func (r *scoreReport) line() string {
	better := "the higher the better"
	if r.Goal == score.Min {
		better = "the lower the better"
	}
	return fmt.Sprintf("score %s: %s, the ensemble's %s, %s", r.Key, score.Number(r.Value), score.Number(r.Ensemble.Value), better)
}

// gateScore judges the figure of the user's program.
func gateScore(limit float64, r *scoreReport) gate {
	g := gate{Name: "score-limit", Limit: limit, Value: r.Value, Passed: r.Value >= limit, Detail: fmt.Sprintf("%s is %s, at least %s was asked for", r.Key, score.Number(r.Value), score.Number(limit))}
	if r.Goal == score.Min {
		g.Passed, g.Detail = r.Value <= limit, fmt.Sprintf("%s is %s, at most %s was asked for", r.Key, score.Number(r.Value), score.Number(limit))
	}
	return g
}
