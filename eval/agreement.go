package eval

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Pair names the same output in a merged file and in the source that it came from.
type Pair struct {
	Head   string `json:"head"`
	Merged string `json:"merged_output"`
	Source string `json:"source_output"`
}

// OutputAgreement is how well one output imitates its source's.
type OutputAgreement struct {
	Pair
	Samples int `json:"samples"`
	// Top1 is the share of samples with the same largest element, for outputs of the shape [samples, classes] only.
	// A sample on which an element is NaN or none is finite, on either side, does not agree.
	Top1  *Rate     `json:"top1,omitempty"`
	Error Deviation `json:"error"`
	// Agrees says for each sample whether the largest elements are the same; nil where Top1 is.
	Agrees []bool `json:"-"`
}

// AgreementOptions adds to Options what two models need.
type AgreementOptions struct {
	Options
	// SourceData holds the same samples under the names of the source's inputs; nil where they are the merged
	// file's. Rename makes it.
	SourceData calibrate.Source
}

// Agreement compares a merged file with one of its sources on src, without labels: outputs in the order of the
// pairs. Errors are those of calibrate.Forward, of kind fault.Usage (an output that does not exist),
// fault.Correspondence (outputs of different shapes) and fault.Unsupported (fixed batches of different sizes,
// elements that are no numbers).
func Agreement(ctx context.Context, e calibrate.Engine, merged, source *onnx.Model, pairs []Pair, src calibrate.Source, o AgreementOptions) ([]OutputAgreement, error) {
	a, b := runnable{model: merged, src: src}, runnable{model: source, src: o.SourceData}
	if b.src == nil {
		b.src = src
	}
	comparisons := make([]comparison, len(pairs))
	for i, p := range pairs {
		comparisons[i].pair = p
		if err := a.want(p.Merged); err != nil {
			return nil, err
		}
		if err := b.want(p.Source); err != nil {
			return nil, err
		}
	}
	if len(pairs) == 0 {
		return []OutputAgreement{}, nil
	}
	err := lockstep(ctx, e, a, b, o.Options, func(samples int, x, y map[string]*onnx.Tensor) error {
		for i := range comparisons {
			c := &comparisons[i]
			if err := c.add(samples, x[c.pair.Merged], y[c.pair.Source]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]OutputAgreement, len(pairs))
	for i := range comparisons {
		out[i] = comparisons[i].result()
	}
	return out, nil
}

// want adds an output to those that r computes.
func (r *runnable) want(output string) error {
	isOutput := func(v *onnx.ValueInfo) bool { return v.GetName() == output }
	if !slices.ContainsFunc(r.model.Graph().GetOutput(), isOutput) {
		return fault.New(fault.Usage, "no_output", "the model has no output %q", output).InFile(r.model.File)
	}
	if !slices.Contains(r.outputs, output) {
		r.outputs = append(r.outputs, output)
	}
	return nil
}

// comparison accumulates the agreement of one pair.
type comparison struct {
	pair       Pair
	samples    int
	classifier bool
	agrees     []bool
	deviations deviations
}

// add compares a batch of so many samples.
func (c *comparison) add(samples int, merged, source *onnx.Tensor) error {
	if merged == nil || source == nil {
		return fault.New(fault.Runtime, "bad_output", "the engine returned nothing").AtValue(c.pair.Merged)
	}
	if !slices.Equal(merged.Dims, source.Dims) {
		return fault.New(fault.Correspondence, "output_shape", "it has the shape %v, %q of the source has %v",
			merged.Dims, c.pair.Source, source.Dims).AtValue(c.pair.Merged)
	}
	m, err := merged.Float64s()
	if err != nil {
		return fault.As(err).AtValue(c.pair.Merged)
	}
	s, err := source.Float64s()
	if err != nil {
		return fault.As(err).AtValue(c.pair.Source)
	}
	c.samples += samples
	c.deviations.add(m, s)
	c.classifier = len(merged.Dims) == 2 && isLogits(merged, samples)
	if c.classifier {
		width := int(merged.Dims[1])
		for ; len(m) > 0; m, s = m[width:], s[width:] {
			x, y := topOf(m[:width]), topOf(s[:width])
			c.agrees = append(c.agrees, x.Index >= 0 && x.Index == y.Index)
		}
	}
	return nil
}

func (c *comparison) result() OutputAgreement {
	out := OutputAgreement{Pair: c.pair, Samples: c.samples, Error: c.deviations.result()}
	if c.classifier {
		r := rateOf(c.agrees)
		out.Top1, out.Agrees = &r, c.agrees
	}
	return out
}
