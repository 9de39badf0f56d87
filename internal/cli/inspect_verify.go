package cli

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/cobra"
)

// proofRow is a property of one model's spaces.
type proofRow struct {
	File      string   `json:"file"`
	Head      string   `json:"head"`
	Name      string   `json:"name"`
	Deviation *float64 `json:"deviation"` // largest |Δ| / max|output|; null where it is no number
	Limit     float64  `json:"limit"`
	Passed    bool     `json:"passed"`
	Output    string   `json:"output,omitempty"` // where it is largest
	Space     string   `json:"space,omitempty"`  // that breaks the property by itself
	Matched   bool     `json:"matched"`          // false: true of the known permutation, which the inputs did not show
}

// proofNames are the properties in words.
var proofNames = map[string]string{
	"permute":       "free spaces reordered",
	"duplicate":     "features doubled",
	"permuted_copy": "zipped with a permuted copy",
	"full_width":    "beside that copy, full width",
}

// checkVerify refuses flags that have no meaning without --verify.
func (f *inspectFlags) checkVerify(cmd *cobra.Command) error {
	if f.verify {
		return f.engine.check()
	}
	for _, name := range []string{"data", "scale", "mean", "std", "device", "onnxruntime"} {
		if cmd.Flags().Changed(name) {
			return usage("bad_flag", "--%s goes with --verify only", name)
		}
	}
	return nil
}

// verify runs the property proofs on each model. One that does not hold is an error after all were shown.
func (a *app) verify(ctx context.Context, f *inspectFlags, p *transform.Prepared, in *inspection) error {
	engine, err := a.openEngine(f.engine)
	if err != nil {
		return err
	}
	sets := &datasets{a: a, flags: f.dataset}
	defer sets.Close()
	src, err := f.source(p, sets)
	if err != nil {
		return err
	}
	in.Proofs = []proofRow{}
	for i, m := range p.Originals {
		stop := a.stderr.busy("proving")
		proofs, err := transform.Prove(ctx, engine, m, sourceOf(p, src, i), 0)
		stop()
		if err != nil {
			return fault.As(err).InFile(m.File)
		}
		for _, x := range proofs {
			row := proofRow{File: m.File, Head: p.Sources.Models[i].Head, Name: x.Name, Limit: x.Limit, Passed: x.Passed, Output: x.Output, Space: x.Space, Matched: x.Told}
			if !math.IsInf(x.Deviation, 0) && !math.IsNaN(x.Deviation) { // outputs of other shapes
				row.Deviation = &x.Deviation
			}
			in.Proofs = append(in.Proofs, row)
		}
	}
	return nil
}

// source is the data given; nil, for random inputs, where there is none.
func (f *inspectFlags) source(p *transform.Prepared, sets *datasets) (data.Source, error) {
	if len(f.data) == 0 {
		return nil, nil
	}
	var err error
	if sets.inputs, err = data.Inputs(p.Originals[0]); err != nil {
		return nil, err
	}
	var files []headed
	for _, file := range f.data {
		files = append(files, headed{Rest: file})
	}
	src, err := sets.calibration(files, 0)
	if err != nil {
		return nil, err
	}
	if n := src.BatchSize(); n > 0 { // the proofs choose their batches themselves
		return nil, fault.New(fault.Unsupported, "fixed_batch", "takes %d samples at once: it is proved on random inputs only", n).
			InFile(p.Originals[0].File).WithHint("leave --data out, or export the model with a dynamic batch")
	}
	return src, nil
}

// sourceOf is the data under the names of model i's inputs, nil where there is none.
func sourceOf(p *transform.Prepared, src data.Source, i int) calibrate.Source {
	if src == nil {
		return nil
	}
	names := map[string]string{}
	for _, row := range p.Sources.Pairing.Inputs {
		names[row[0]] = row[i]
	}
	return eval.Rename(src, names)
}

func (a *app) printProofs(rows []proofRow) {
	if rows == nil {
		return
	}
	t := &table{left: map[int]bool{1: true, 4: true}}
	t.add("model", "proof", "deviation", "limit", "")
	for _, r := range rows {
		deviation, outcome := "not finite", "passed"
		if r.Deviation != nil {
			deviation = fmt.Sprintf("%.1e", *r.Deviation)
		}
		if !r.Passed {
			outcome = "FAILED" + blamed(r)
		} else if !r.Matched {
			outcome = "passed with the known permutation: on these inputs, features look alike"
		}
		words := r.Name
		if w, ok := proofNames[r.Name]; ok {
			words += ": " + w
		}
		t.add(r.Head, words, deviation, fmt.Sprintf("%.0e", r.Limit), outcome)
	}
	a.printf("\nproofs: what the spaces promise, tried by running the models (deviation of the outputs,\nrelative to the largest):\n%s", t)
}

// blamed is where a proof failed.
func blamed(r proofRow) string {
	var parts []string
	if r.Space != "" {
		parts = append(parts, fmt.Sprintf("space %q", r.Space))
	}
	if r.Output != "" {
		parts = append(parts, fmt.Sprintf("output %q", r.Output))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// proofError is the refusal by the first proof that failed, nil where all hold.
func proofError(rows []proofRow) error {
	for _, r := range rows {
		if !r.Passed {
			e := fault.New(fault.Verification, "proof_failed", "the analysis does not hold: the proof %q failed%s", r.Name, blamed(r)).InFile(r.File)
			return e.WithHint("do not merge this model past that place (--until); please report it with the model")
		}
	}
	return nil
}
