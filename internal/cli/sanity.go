package cli

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// dataReport describes the calibration data, and what the sources make of it.
type dataReport struct {
	Files   []string      `json:"files"`
	Samples int           `json:"samples"`
	Looked  int           `json:"looked_at_samples"` // for the figures below
	Inputs  []inputReport `json:"inputs"`
	Sanity  []eval.Sanity `json:"sanity"`
}

type inputReport struct {
	Name string  `json:"name"`
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

const (
	// sanitySamples are enough to see that data was prepared in a wrong way; all would cost a forward pass.
	sanitySamples = 256
	// fewSamples is the number below which statistics are doubtful.
	fewSamples = 64
)

// sanity runs each source on some of the data and warns of what looks wrong.
func (s scorer) sanity(ctx context.Context, files []headed, src data.Source, sources []source) (*dataReport, error) {
	some, err := someSamples(src, sanitySamples)
	if err != nil {
		return nil, err
	}
	r := &dataReport{Samples: src.Samples(), Looked: some.Samples()}
	for _, f := range files {
		r.Files = append(r.Files, f.Rest)
	}
	stats, err := data.Stats(some, 0)
	if err != nil {
		return nil, err
	}
	for _, in := range stats {
		r.Inputs = append(r.Inputs, inputReport{in.Name, in.Min, in.Mean, in.Max})
	}
	s.a.warnInputs(r, some)
	for _, one := range sources {
		if one.Logits == "" {
			continue
		}
		task := []eval.Task{{Head: one.Head, Classes: s.classes[one.Head], Output: one.Logits}}
		heads, err := eval.Predict(ctx, s.engine, one.Model, task, eval.Rename(some, one.Rename), s.options("look at data"))
		if err != nil && fault.As(err).Code == "no_logits" {
			continue // masks, boxes, tokens: there are no classes to count
		}
		if err != nil {
			return nil, err
		}
		r.Sanity = append(r.Sanity, eval.SanityOf(heads)...)
	}
	for _, x := range r.Sanity {
		for _, w := range x.Warnings {
			s.a.warn(warning{Code: w.Code, Message: w.Message, Head: w.Head})
		}
	}
	return r, nil
}

// someSamples chooses n of the samples, or all where they are fewer.
func someSamples(src data.Source, n int) (calibrate.Source, error) {
	if n = max(n, src.BatchSize()); src.Samples() <= n {
		return src, nil
	}
	return data.Sample(src, n, 1)
}

// warnInputs looks for values that no trained model expects.
func (a *app) warnInputs(r *dataReport, src calibrate.Source) {
	if r.Samples < fewSamples {
		a.warn(warning{Code: "few_samples", Message: fmt.Sprintf("%s: statistics of fewer than %d are doubtful", plural(r.Samples, "sample"), fewSamples)})
	}
	feeds, err := src.Batch(0, 1)
	if err != nil {
		return // the run itself will say so
	}
	for _, in := range r.Inputs {
		t := feeds[in.Name]
		if t == nil || !t.DType.IsFloat() {
			continue
		}
		if why := unusual(in, t); why != "" {
			a.warn(warning{Code: "unusual_input", Message: fmt.Sprintf("input %q: %s", in.Name, why)})
		}
	}
}

// unusual says what is improbable about a floating input, "" where nothing is.
func unusual(in inputReport, t *onnx.Tensor) string {
	image := len(t.Dims) == 4
	switch {
	case in.Min == in.Max:
		return fmt.Sprintf("every value is %g", in.Min)
	case image && in.Min >= 0 && in.Max > 16 && in.Max <= 255:
		return fmt.Sprintf("values from %g to %g look like pixels that were not normalised; see --scale, --mean, --std", in.Min, in.Max)
	case math.Max(-in.Min, in.Max) > 1e4:
		return fmt.Sprintf("values from %g to %g are far from what networks are trained on", in.Min, in.Max)
	}
	return ""
}

// print shows the report in a few lines.
func (r *dataReport) print(a *app) {
	a.printf("data: %s\n", plural(r.Samples, "sample"))
	for _, in := range r.Inputs {
		a.printf("  input %s: min %.3g, mean %.3g, max %.3g\n", in.Name, in.Min, in.Mean, in.Max)
	}
	for _, s := range r.Sanity {
		a.printf("  head %s predicts %s, mean confidence %.2f\n", s.Head, histogram(s), s.MeanConfidence)
	}
}

// histogram is like "0:12% 2:30% …", class and share, at most six.
func histogram(s eval.Sanity) string {
	text := ""
	for j, n := range s.Histogram {
		if j == 6 {
			return text + " …"
		}
		if j > 0 {
			text += " "
		}
		text += fmt.Sprintf("%d:%.0f%%", s.Classes[j], 100*float64(n)/float64(max(s.N, 1)))
	}
	return text
}
