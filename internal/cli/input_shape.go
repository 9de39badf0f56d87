package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/spf13/pflag"
)

// shapeReport says what --input-shape changed, and what that costs the sources.
type shapeReport struct {
	Sources []transform.Reshaped `json:"sources"`
	// Own is what each source loses by the shape, on test data: its accuracy there against that at its own sizes, with
	// the same data scaled to them.
	Own     []ownRow `json:"own_loss,omitempty"`
	Skipped string   `json:"own_loss_skipped,omitempty"` // why it is not measured
}

// ownRow is one source at the shape asked for and at its own.
type ownRow struct {
	Head       string    `json:"head"`
	Accuracy   eval.Rate `json:"accuracy"`
	Own        eval.Rate `json:"own_size_accuracy"` // with the data scaled
	Difference eval.Diff `json:"difference_points"`
}

func defineInputShape(s *pflag.FlagSet, shapes *[]string) {
	s.StringArrayVar(shapes, "input-shape", nil, "`INPUT=DIMS`: give all models this shape of the first model's input, as x=N,3,224,224; a letter or ? keeps an axis as it is (repeat)")
}

// parseInputShapes reads x=N,3,224,224.
func parseInputShapes(values []string) ([]transform.InputShape, error) {
	var out []transform.InputShape
	for _, v := range values {
		bad := func() error {
			return usage("bad_flag", "--input-shape %s: the form is INPUT=DIMS, as x=N,3,224,224", v).
				WithHint("sizes are numbers from 1; a letter or ? keeps an axis as it is")
		}
		i := strings.LastIndex(v, "=")
		if i <= 0 || i == len(v)-1 {
			return nil, bad()
		}
		shape := transform.InputShape{Input: v[:i]}
		for _, part := range strings.Split(v[i+1:], ",") {
			part = strings.TrimSpace(part)
			n, err := strconv.ParseInt(part, 10, 32)
			switch {
			case err == nil && n > 0:
				shape.Dims = append(shape.Dims, onnx.Dim{Size: n})
			case err != nil && part != "" && !strings.ContainsAny(part[:1], "0123456789+-."):
				shape.Dims = append(shape.Dims, onnx.Dim{Size: -1, Param: part})
			default:
				return nil, bad()
			}
		}
		for _, other := range out {
			if other.Input == shape.Input {
				return nil, usage("bad_flag", "--input-shape names input %q twice", shape.Input).WithHint("name each input once")
			}
		}
		out = append(out, shape)
	}
	return out, nil
}

// changer changes loaded models before they are prepared.
type changer func(models []*onnx.Model, o transform.PrepareOptions) ([]*onnx.Model, error)

// change gives the sources the input shapes asked for, and a free batch where that can be proved.
func (m *merging) change(ctx context.Context) changer {
	return func(models []*onnx.Model, o transform.PrepareOptions) ([]*onnx.Model, error) {
		shapes, err := parseInputShapes(m.f.inputShape)
		if err != nil {
			return nil, err
		}
		if shapes != nil {
			var changes []transform.Reshaped
			if models, changes, err = transform.ReshapeInputs(models, o, shapes); err != nil {
				return nil, err
			}
			m.result.InputShape = &shapeReport{Sources: changes}
			if err := m.openEngine(); err != nil {
				return nil, err
			}
			if err := transform.CheckReshaped(ctx, m.engine, models); err != nil {
				return nil, err
			}
		}
		for _, s := range shapes {
			if s.Dims[0].Size > 0 { // so many samples are asked for
				m.result.Batch = &batchReport{}
				return models, nil
			}
		}
		return m.freeBatches(ctx, models)
	}
}

// judgeShape measures what the sources lose by the shape.
func (m *merging) judgeShape(ctx context.Context) error {
	r := m.result.InputShape
	if r == nil || len(m.scorer.tests) == 0 {
		return nil
	}
	own, _, err := transform.FreeBatches(ctx, m.engine, m.p.Files)
	if err != nil {
		own = m.p.Files // of different batches: each runs its own
	}
	scaled := append([]source(nil), m.sources...)
	for i := range scaled {
		if scaled[i].Model = transform.Resampled(own[i], m.p.Originals[i]); scaled[i].Model == nil {
			r.Skipped = "the data cannot be scaled to the sizes that " + own[i].File + " was exported for"
			return nil
		}
	}
	now, err := m.scorer.reference(ctx, m.tasks(), m.sources)
	if err != nil {
		return err
	}
	was, err := m.scorer.reference(ctx, m.tasks(), scaled)
	if err != nil {
		return err
	}
	for i, t := range now.Tasks {
		d, err := eval.Compare(t.Predictions, was.Tasks[i].Predictions)
		if err != nil {
			return err
		}
		r.Own = append(r.Own, ownRow{t.Head, t.Accuracy, was.Tasks[i].Accuracy, d})
	}
	return nil
}

// printShape is the sources' own loss.
func (m *merging) printShape() {
	r := m.result.InputShape
	if r == nil {
		return
	}
	if len(r.Own) == 0 {
		why := r.Skipped
		if why == "" {
			why = "that takes labelled data (--test)"
		}
		m.a.paragraph("what the sources lose by the input shape is not measured: %s; all figures are at that shape", why)
		return
	}
	t := &table{}
	t.add("source, accuracy, %", "samples", "at the shape asked for", "at its own, data scaled", "difference, points")
	for _, row := range r.Own {
		t.add(row.Head, fmt.Sprint(row.Accuracy.N), rate(row.Accuracy), rate(row.Own), points(row.Difference))
	}
	m.a.printf("\n%s", t)
}
