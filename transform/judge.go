package transform

import (
	"context"
	"math"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Judgement compares outputs of a merged model with their sources', without labels.
type Judgement []OutputJudgement

// OutputJudgement is one output's.
type OutputJudgement struct {
	Head   string `json:"head"`
	Output string `json:"output"` // in the merged file
	// RelativeError is √(Σ|y − y_i|² / Σ|y_i|²).
	RelativeError float64 `json:"relative_error"`
	// Agreement is the share of samples whose largest entry is the source's; absent for outputs that are not
	// [samples, classes].
	Agreement *float64 `json:"top1_agreement,omitempty"`
	Samples   int      `json:"samples"`
}

// RelativeError is the mean over the outputs; 0 for none.
func (j Judgement) RelativeError() float64 {
	sum := 0.0
	for _, o := range j {
		sum += o.RelativeError
	}
	return sum / math.Max(float64(len(j)), 1)
}

// Agreement is the mean over the outputs that have one; ok is false where none has.
func (j Judgement) Agreement() (mean float64, ok bool) {
	n := 0.0
	for _, o := range j {
		if o.Agreement != nil {
			mean += *o.Agreement
			n++
		}
	}
	return mean / math.Max(n, 1), n > 0
}

// output is all of an output over a source.
type output struct {
	values  []float32
	classes int // entries per sample where the output is [samples, classes], else 0
}

// judge compares every floating output of a merged model with the sources', over held-out samples.
func (r *run) judge(ctx context.Context, m *onnx.Model, held calibrate.Source) (Judgement, error) {
	if held.Samples() == 0 {
		return nil, nil
	}
	side, err := r.p.SideBySide(r.o.Rename)
	if err != nil {
		return nil, err
	}
	if r.o.Shared.truth == nil {
		if r.o.Shared.truth, err = r.outputs(ctx, side.Model, held); err != nil {
			return nil, err
		}
	}
	got, err := r.outputs(ctx, m, held)
	if err != nil {
		return nil, err
	}
	var out Judgement
	for i, names := range side.Outputs {
		for k, name := range names {
			if want, ok := r.o.Shared.truth[name]; ok {
				j := compareOutputs(got[name], want)
				j.Head, j.Output, j.Samples = r.p.headOf(i, r.p.Sources.Models[i].Index.Graph.GetOutput()[k].GetName()), name, held.Samples()
				out = append(out, j)
			}
		}
	}
	return out, nil
}

func compareOutputs(got, want output) (j OutputJudgement) {
	var diff, norm float64
	for k, y := range want.values {
		d := float64(got.values[k]) - float64(y)
		diff += d * d
		norm += float64(y) * float64(y)
	}
	j.RelativeError = math.Sqrt(diff / math.Max(norm, math.SmallestNonzeroFloat32))
	if want.classes < 2 {
		return j
	}
	same, n := 0.0, 0.0
	for k := 0; k+want.classes <= len(want.values); k += want.classes {
		if largest(got.values[k:k+want.classes]) == largest(want.values[k:k+want.classes]) {
			same++
		}
		n++
	}
	same /= n
	j.Agreement = &same
	return j
}

// largest is the index of the largest entry, the first of equal ones.
func largest(v []float32) int {
	best := 0
	for k := range v {
		if v[k] > v[best] {
			best = k
		}
	}
	return best
}

// outputs runs a model over a source and returns its floating outputs.
func (r *run) outputs(ctx context.Context, m *onnx.Model, src calibrate.Source) (map[string]output, error) {
	out := map[string]output{}
	o := calibrate.ForwardOptions{Batch: r.o.Batch, Workers: r.o.Workers}
	err := calibrate.Forward(ctx, r.e, m, src, o, func(b calibrate.ForwardBatch) error {
		for name, t := range b.Outputs {
			if !t.DType.IsFloat() {
				continue
			}
			v, err := t.Float32s()
			if err != nil {
				return err
			}
			if err := r.clearMasked(v, t, b.Feeds); err != nil {
				return err
			}
			o := out[name]
			o.values = append(o.values, v...)
			if len(t.Dims) == 2 {
				o.classes = int(t.Dims[1])
			}
			out[name] = o
		}
		return nil
	})
	return out, err
}

// clearMasked makes an output's tokens that do not count 0, in the merged model as in its sources.
func (r *run) clearMasked(v []float32, t *onnx.Tensor, feeds map[string]*onnx.Tensor) error {
	if feeds[r.o.Mask] == nil || len(t.Dims) < 2 {
		return nil
	}
	m, err := calibrate.NewMask(feeds[r.o.Mask])
	if err != nil {
		return err
	}
	size := int(t.Dims[len(t.Dims)-1])
	for p, keep := range m.Positions(t.Dims, len(t.Dims)-1) {
		if !keep {
			clear(v[p*size : (p+1)*size])
		}
	}
	return nil
}
