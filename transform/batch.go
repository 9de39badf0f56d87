package transform

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
)

// BatchProof says whether a model that was exported for a fixed number of samples runs any number.
type BatchProof struct {
	File      string   `json:"file"`
	Fixed     int64    `json:"fixed"` // samples at a time, as exported
	Proved    bool     `json:"proved"`
	Batches   []int    `json:"batches,omitempty"`   // sizes that were run and compared, row by row
	Deviation float64  `json:"deviation"`           // largest |Δ| / max|output|
	Rewritten []string `json:"rewritten,omitempty"` // nodes that held the number
	Why       string   `json:"why,omitempty"`       // it is not
}

// provedBatches are the sizes at which a free batch is proved.
var provedBatches = []int{1, 2, 3}

// FreeBatches gives models that were exported for a fixed number of samples a free batch, where running them with
// one, two and three samples gives for each sample what the model as it is gives for that sample alone. The proofs,
// one for each model with a fixed batch, say what came out.
//
// Where a proof fails, all stay as they are; unless another model's batch is free, or fixed at another number:
// then the error, of kind fault.Correspondence, names both.
func FreeBatches(ctx context.Context, e calibrate.Engine, models []*onnx.Model) ([]*onnx.Model, []BatchProof, error) {
	free := slices.Clone(models)
	var proofs []BatchProof
	other, failed := -1, -1 // a model whose batch is free, the place in proofs of one that failed
	for i, m := range models {
		fixed := fixedBatch(m)
		if fixed == 0 {
			other = i
			continue
		}
		proof := BatchProof{File: m.File, Fixed: fixed}
		c, err := freeBatch(ctx, e, m, &proof)
		if err != nil {
			return nil, nil, err
		}
		if free[i] = c; !proof.Proved && failed < 0 {
			failed = len(proofs)
		}
		proofs = append(proofs, proof)
	}
	if failed < 0 {
		return free, proofs, nil
	}
	stuck := proofs[failed]
	if other >= 0 {
		return nil, proofs, fixedAndFree(stuck, fmt.Sprintf("%s any number", models[other].File))
	}
	for _, p := range proofs {
		if p.Fixed != stuck.Fixed {
			return nil, proofs, fixedAndFree(stuck, fmt.Sprintf("%s %d", p.File, p.Fixed))
		}
	}
	for i := range proofs {
		if proofs[i].Proved {
			proofs[i].Proved, proofs[i].Why = false, stuck.File+" runs a fixed number of samples"
		}
	}
	return models, proofs, nil
}

func fixedAndFree(p BatchProof, other string) error {
	return fault.New(fault.Correspondence, "fixed_batch", "runs %d samples at a time, %s: %s", p.Fixed, other, p.Why).InFile(p.File).
		WithHint("export it again with a dynamic batch, as by torch.onnx.export(…, dynamic_axes={\"input\": {0: \"batch\"}})")
}

// FixedBatches reports whether some of the models run a fixed number of samples at a time.
func FixedBatches(models []*onnx.Model) bool {
	return slices.ContainsFunc(models, func(m *onnx.Model) bool { return fixedBatch(m) > 0 })
}

// fixedBatch is the first size of the inputs of a model that declares one for each of them, else 0.
func fixedBatch(m *onnx.Model) int64 {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil || len(ix.Inputs()) == 0 {
		return 0
	}
	batch := int64(0)
	for _, v := range ix.Inputs() {
		_, dims, _ := onnx.TensorType(v)
		if len(dims) == 0 || dims[0].Size < 1 {
			return 0
		}
		batch = dims[0].Size
	}
	return batch
}

// freeBatch frees the batch of one model and proves it; without a proof, the model stays as it is. Only what ends
// the whole work is an error.
func freeBatch(ctx context.Context, e calibrate.Engine, m *onnx.Model, proof *BatchProof) (*onnx.Model, error) {
	c, rewritten, err := rewrite.FreeBatch(m, batchSymbol(m))
	if err == nil {
		v := &batchProver{ctx: ctx, e: e, fixed: m, free: c, proof: proof}
		err = v.prove()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		proof.Why = whyFixed(err)
		return m, nil
	}
	proof.Proved, proof.Rewritten, proof.Batches = true, rewritten, provedBatches
	return c, nil
}

// whyFixed says in one line why a proof failed.
func whyFixed(err error) string {
	f := *fault.As(err)
	if f.Kind == fault.Runtime && f.Node != "" {
		return fmt.Sprintf("node %q cannot run another number of samples", f.Node)
	}
	f.File = ""
	line, _, _ := strings.Cut(f.Error(), "\n")
	return line
}

// batchSymbol is a name for the batch that no other size of the inputs has.
func batchSymbol(m *onnx.Model) string {
	taken := map[string]bool{}
	for _, v := range m.Graph().GetInput() {
		_, dims, _ := onnx.TensorType(v)
		for _, d := range dims {
			taken[d.Param] = true
		}
	}
	name := "batch"
	for taken[name] {
		name = "n_" + name
	}
	return name
}

// batchProver compares a model with its copy of a free batch.
type batchProver struct {
	ctx         context.Context
	e           calibrate.Engine
	fixed, free *onnx.Model
	proof       *BatchProof
}

func (v *batchProver) prove() error {
	most := max(slices.Max(provedBatches), int(v.proof.Fixed))
	src, err := randomInputs(v.fixed, most, 1)
	if err != nil {
		return err
	}
	vary(src.(inputs).feeds)
	free, err := v.e.Open(v.ctx, v.free, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return err
	}
	defer free.Close()
	alone, err := v.alone(free, src)
	if err != nil {
		return err
	}
	if !differ(alone) {
		return fault.New(fault.Unsupported, "batch_not_proved", "its outputs are the same whatever the input, which proves nothing")
	}
	for _, n := range provedBatches {
		got, err := runFirst(v.ctx, free, src, n)
		if err == nil {
			err = v.compare(got, alone[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// alone runs each of the first samples by itself: by the model as it is where it takes one sample at a time, else by
// the copy, which must then do with the fixed number what the model does.
func (v *batchProver) alone(free calibrate.Session, src calibrate.Source) ([]map[string]*onnx.Tensor, error) {
	fixed, err := v.e.Open(v.ctx, v.fixed, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return nil, err
	}
	defer fixed.Close()
	s := fixed
	if n := int(v.proof.Fixed); n > 1 {
		s = free
		want, err := runFirst(v.ctx, fixed, src, n)
		if err != nil {
			return nil, err
		}
		got, err := runFirst(v.ctx, free, src, n)
		if err != nil {
			return nil, err
		}
		if err := v.compare(got, []map[string]*onnx.Tensor{want}); err != nil {
			return nil, err
		}
	}
	var out []map[string]*onnx.Tensor
	for k := range slices.Max(provedBatches) {
		feeds, err := src.Batch(k, k+1)
		if err != nil {
			return nil, err
		}
		one, err := s.Run(v.ctx, feeds)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func runFirst(ctx context.Context, s calibrate.Session, src calibrate.Source, n int) (map[string]*onnx.Tensor, error) {
	feeds, err := src.Batch(0, n)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, feeds)
}

// compare holds the outputs of one run against those of its parts, which it must have one after the other; what does
// not grow with the batch must be the same in each part.
func (v *batchProver) compare(got map[string]*onnx.Tensor, parts []map[string]*onnx.Tensor) error {
	for _, out := range v.fixed.Graph().GetOutput() {
		name := out.GetName()
		want := joined(parts, name)
		if want == nil || !slices.Equal(want.Dims, got[name].Dims) {
			for _, p := range parts {
				if deviation(got[name], p[name]) > tolerance[p[name].DType] {
					return fault.New(fault.Unsupported, "batch_not_proved", "gives %v for %d samples, and %v for one",
						got[name].Dims, len(parts), p[name].Dims).AtValue(name)
				}
			}
			continue
		}
		d := deviation(got[name], want)
		if d > tolerance[want.DType] {
			return fault.New(fault.Unsupported, "batch_not_proved", "the samples of a batch get other outputs than alone: %.2g of the maximum", d).AtValue(name)
		}
		v.proof.Deviation = max(v.proof.Deviation, d)
	}
	return nil
}

// joined lays an output of several runs one after the other, nil for a scalar.
func joined(parts []map[string]*onnx.Tensor, name string) *onnx.Tensor {
	first := parts[0][name]
	if len(first.Dims) == 0 {
		return nil
	}
	out := &onnx.Tensor{DType: first.DType, Dims: slices.Clone(first.Dims), Raw: slices.Clone(first.Raw)}
	for _, p := range parts[1:] {
		out.Raw = append(out.Raw, p[name].Raw...)
		out.Dims[0] += p[name].Dims[0]
	}
	return out
}

// differ reports whether the samples differ in some output.
func differ(alone []map[string]*onnx.Tensor) bool {
	for name, t := range alone[0] {
		if deviation(alone[1][name], t) > 0 {
			return true
		}
	}
	return false
}

// vary puts zeros among the ones of integer inputs: a mask that hides nothing would be the same for all samples.
func vary(feeds map[string]*onnx.Tensor) {
	rng := rand.New(rand.NewPCG(1, 3))
	for _, name := range slices.Sorted(maps.Keys(feeds)) {
		t := feeds[name]
		if t.DType.IsFloat() || len(t.Dims) == 0 || !allOnes(t) {
			continue
		}
		row := t.Len() / int(t.Dims[0])
		for k := range t.Len() {
			if k%row != 0 && rng.IntN(3) == 0 { // the first entry stays: something is left to look at
				t.Raw[k*t.DType.Size()] = 0
			}
		}
	}
}

// allOnes reports whether all entries of an integer tensor are 1 in their lowest byte.
func allOnes(t *onnx.Tensor) bool {
	for k := range t.Len() {
		if t.Raw[k*t.DType.Size()] != 1 {
			return false
		}
	}
	return t.DType.Size() > 0
}
