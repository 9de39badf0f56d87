package transform

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// Check is one verification of a written file.
type Check struct {
	Name      string  `json:"name"`
	Deviation float64 `json:"deviation"` // largest |Δ| / max|output|
	Limit     float64 `json:"limit"`
	Passed    bool    `json:"passed"`
	Output    string  `json:"output,omitempty"` // where the deviation is largest
}

// tolerance is the relative deviation allowed between two runs of one network, by the outputs' type.
// Different batch sizes and optimisations change the order of additions, nothing else.
var tolerance = map[onnx.DType]float64{onnx.Float: 1e-5, onnx.Double: 1e-5, onnx.Float16: 1e-2, onnx.BFloat16: 3e-2}

// verifyBatches are the batch sizes that a model with a dynamic batch is tried at.
var verifyBatches = []int64{1, 2, 7}

// Verify checks a written and reloaded merged model against the network in memory, at several batch sizes
// and with optimisations off and on; against the sources where res says that they must be equal; its outputs'
// types, ranks and dims against the sources'; and that nothing is NaN or infinite. Inputs come from src, or
// are random where it is nil. The error, of kind fault.Verification, names the first check that failed.
func (p *Prepared) Verify(ctx context.Context, e calibrate.Engine, file *onnx.Model, res *Result, src calibrate.Source) ([]Check, error) {
	v := &verifier{p: p, e: e, res: res, file: file, src: src}
	if err := v.declarations(); err != nil {
		return nil, err
	}
	for _, batch := range v.batches() {
		if err := v.compareAt(ctx, batch); err != nil {
			return v.checks, err
		}
	}
	return v.checks, v.failed()
}

// failed is the first check that was not passed, as an error.
func (v *verifier) failed() error {
	for _, c := range v.checks {
		if !c.Passed {
			return fault.New(fault.Verification, "verification_failed", "%s: output %q deviates by %.2g of its maximum, allowed are %.2g",
				c.Name, c.Output, c.Deviation, c.Limit).WithHint("nothing was written; please report this with the models")
		}
	}
	return nil
}

type verifier struct {
	p      *Prepared
	e      calibrate.Engine
	res    *Result
	file   *onnx.Model
	src    calibrate.Source
	checks []Check
	first  map[string]*onnx.Tensor                   // outputs for the first sample alone
	ran    map[way]map[int64]map[string]*onnx.Tensor // by batch size
	// widened says that the engine cannot run the model in its own type, so that what it computes in float32
	// is verified instead.
	widened bool
}

// way is how a model was run.
type way struct {
	m           *onnx.Model
	unoptimized bool
}

// declarations compares the declared outputs with the sources'.
func (v *verifier) declarations() error {
	ix, err := onnx.NewIndex(v.file.Graph())
	if err != nil {
		return fault.Wrap(fault.Verification, "invalid_file", err, "the written file is invalid")
	}
	for i, src := range v.p.Sources.Models {
		for k, want := range src.Index.Graph.GetOutput() {
			name := v.res.Merged.Outputs[i][k]
			got := ix.Output(name)
			if got == nil || !onnx.Equal(got.GetType(), want.GetType()) {
				return fault.New(fault.Verification, "output_changed", "is not declared as %q of its source", want.GetName()).AtValue(name)
			}
		}
	}
	return nil
}

// batches are the sizes to try: several where every input's batch is free, else the fixed one.
func (v *verifier) batches() []int64 {
	for _, in := range v.file.Graph().GetInput() {
		if _, dims, _ := onnx.TensorType(in); len(dims) > 0 && dims[0].Size >= 0 {
			return []int64{dims[0].Size}
		}
	}
	if v.src != nil && v.src.Samples() < int(slices.Max(verifyBatches)) {
		return []int64{1}
	}
	return verifyBatches
}

// compareAt makes all comparisons at one batch size.
func (v *verifier) compareAt(ctx context.Context, batch int64) error {
	want, err := v.outputs(ctx, v.res.Model, true, batch, nil)
	if err != nil {
		return err
	}
	if err := finite(want); err != nil {
		return err
	}
	for _, way := range []struct {
		name        string
		unoptimized bool
	}{{"without optimisations", true}, {"optimised", false}} {
		got, err := v.outputs(ctx, v.file, way.unoptimized, batch, nil)
		if err != nil {
			return err
		}
		if err := finite(got); err != nil {
			return err
		}
		name := way.name
		if v.widened {
			name += " in float32"
		}
		v.compare(fmt.Sprintf("file %s, batch %d, against memory", name, batch), got, want)
		if !way.unoptimized {
			if err := v.allowRounding(ctx, batch); err != nil {
				return err
			}
		}
	}
	if v.first == nil {
		v.first = want
	} else {
		v.compare(fmt.Sprintf("first sample, batch 1 against batch %d", batch), firstSample(want), v.first)
	}
	if v.res.Exact {
		return v.againstSources(ctx, batch, want)
	}
	return nil
}

// againstSources compares a merge that loses nothing with every source.
func (v *verifier) againstSources(ctx context.Context, batch int64, got map[string]*onnx.Tensor) error {
	for i, m := range v.p.Originals {
		out, err := v.outputs(ctx, m, true, batch, v.sourceInputs(i))
		if err != nil {
			return err
		}
		want := map[string]*onnx.Tensor{}
		for k, o := range v.p.Sources.Models[i].Index.Graph.GetOutput() {
			want[v.res.Merged.Outputs[i][k]] = out[o.GetName()]
		}
		v.compare(fmt.Sprintf("head %s, batch %d, against its source", v.p.Sources.Models[i].Head, batch), got, want)
	}
	return nil
}

// outputs is what a model answers at one batch size; names gives each of its inputs the merged model's, nil where they
// are the same. At the first question all sizes are run in one session, which for a large model takes most of the time.
func (v *verifier) outputs(ctx context.Context, m *onnx.Model, unoptimized bool, batch int64, names map[string]string) (map[string]*onnx.Tensor, error) {
	w := way{m, unoptimized}
	if v.ran[w] == nil {
		all, err := v.run(ctx, w, names)
		if err != nil {
			return nil, err
		}
		if v.ran == nil {
			v.ran = map[way]map[int64]map[string]*onnx.Tensor{}
		}
		v.ran[w] = all
	}
	return v.ran[w][batch], nil
}

// run runs a model at all batch sizes. One in bfloat16, for which ONNX Runtime has no kernels on the CPU, is run in float32
// where the engine refuses it as it is.
func (v *verifier) run(ctx context.Context, w way, names map[string]string) (map[int64]map[string]*onnx.Tensor, error) {
	m := w.m
	if v.p.Precision.Type == onnx.BFloat16 && v.inFloat32(ctx, m) {
		var err error
		if m, _, err = rewrite.ToFloat32(m); err != nil {
			return nil, err
		}
	}
	s, err := v.e.Open(ctx, m, calibrate.SessionOptions{Threads: 1, Unoptimized: w.unoptimized})
	if err != nil {
		return nil, fault.Wrap(fault.Verification, "does_not_load", err, "the engine refuses the model")
	}
	defer s.Close()
	all := map[int64]map[string]*onnx.Tensor{}
	for _, batch := range v.batches() {
		feeds, err := v.feeds(batch)
		if err != nil {
			return nil, err
		}
		if all[batch], err = s.Run(ctx, renamed(feeds, names)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// renamed gives feeds the names that a model has for them, nil for the same.
func renamed(feeds map[string]*onnx.Tensor, names map[string]string) map[string]*onnx.Tensor {
	if names == nil {
		return feeds
	}
	own := map[string]*onnx.Tensor{}
	for mine, theirs := range names {
		own[mine] = feeds[theirs]
	}
	return own
}

// inFloat32 reports whether the engine refuses the model.
func (v *verifier) inFloat32(ctx context.Context, m *onnx.Model) bool {
	s, err := v.e.Open(ctx, m, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		v.widened = true
		return true
	}
	s.Close()
	return false
}

// feeds takes the first samples of the data, or makes normal random ones.
func (v *verifier) feeds(batch int64) (map[string]*onnx.Tensor, error) {
	if v.src != nil && v.src.Samples() >= int(batch) {
		return v.src.Batch(0, int(batch))
	}
	sizes, err := cost.Bind(v.file, batch)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	feeds := map[string]*onnx.Tensor{}
	for _, in := range v.file.Graph().GetInput() {
		dtype, _, _ := onnx.TensorType(in)
		t := onnx.NewTensor(dtype, sizes[in.GetName()]...)
		if dtype.IsFloat() { // integers (ids, masks) stay zero, which every table has
			values := make([]float64, t.Len())
			for k := range values {
				values[k] = rng.NormFloat64()
			}
			t = onnx.FromFloat64(dtype, values, t.Dims...)
		}
		feeds[in.GetName()] = t
	}
	return feeds, nil
}

func finite(out map[string]*onnx.Tensor) error {
	for name, t := range out {
		if !t.DType.IsFloat() {
			continue
		}
		v, err := t.Float64s()
		if err != nil {
			return err
		}
		for _, x := range v {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return fault.New(fault.Verification, "not_finite", "is NaN or infinite").AtValue(name)
			}
		}
	}
	return nil
}

// limit is the deviation allowed to an output. A task prior weighs differences of features that vary little against the
// features' own size, up to the root of its ridge: rounding grows by as much.
func (v *verifier) limit(output string, t onnx.DType) (float64, bool) {
	limit, ok := tolerance[t]
	if v.res != nil && v.res.Report.Joint != nil && v.res.Report.Joint.Rule == "task-id" && output == JointOutput {
		limit *= 10
	}
	return limit, ok
}

// firstSample cuts the outputs to the first entry of their first axis.
func firstSample(out map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	cut := map[string]*onnx.Tensor{}
	for name, t := range out {
		if len(t.Dims) == 0 || t.Dims[0] < 1 {
			continue
		}
		n := len(t.Raw) / int(t.Dims[0])
		cut[name] = &onnx.Tensor{DType: t.DType, Dims: append([]int64{1}, t.Dims[1:]...), Raw: t.Raw[:n]}
	}
	return cut
}

// compare notes the largest relative deviation of the outputs that both sides have.
func (v *verifier) compare(name string, got, want map[string]*onnx.Tensor) {
	c := Check{Name: name, Passed: true}
	var names []string
	for output := range want {
		if got[output] != nil {
			names = append(names, output)
		}
	}
	slices.Sort(names)
	for _, output := range names {
		limit, ok := v.limit(output, want[output].DType)
		d := deviation(got[output], want[output])
		if d > limit || !ok && d > 0 {
			c.Passed = false
		}
		if d >= c.Deviation {
			c.Deviation, c.Limit, c.Output = d, limit, output
		}
	}
	v.checks = append(v.checks, c)
}

// deviation is max|a − b| / max|b|; infinite where shapes or types differ.
func deviation(a, b *onnx.Tensor) float64 {
	if a.DType != b.DType || !slices.Equal(a.Dims, b.Dims) {
		return math.Inf(1)
	}
	x, errX := a.Float64s()
	y, errY := b.Float64s()
	if errX != nil || errY != nil {
		return math.Inf(1)
	}
	var diff, scale float64
	for k := range x {
		diff, scale = max(diff, math.Abs(x[k]-y[k])), max(scale, math.Abs(y[k]))
	}
	if diff == 0 {
		return 0
	}
	return diff / max(scale, math.SmallestNonzeroFloat32)
}
