package transform

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/adopt"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/pair"
)

// FormProof says that a model is now computed in another's form, having given the same when both were run.
type FormProof struct {
	File  string `json:"file"`
	Like  string `json:"like"`  // the file whose form it is
	Nodes int    `json:"nodes"` // of that form that it has now, in common form
	// Paired counts the nodes of the first model that correspond in all models.
	PairedBefore int    `json:"paired_before"`
	Paired       int    `json:"paired"`
	Why          string `json:"why,omitempty"` // it has none of them
}

// FormsDiffer reports whether weights of the models that do not correspond could, if the models had one form: whether
// AdoptForms has something to try.
func (p *Prepared) FormsDiffer() bool {
	for i := 1; i < len(p.Sources.Models); i++ {
		if p.formDiffers(i) {
			return true
		}
	}
	return false
}

func (p *Prepared) formDiffers(i int) bool {
	if p.Sources.Pairing.First == nil {
		return false
	}
	gains, err := p.formPair(i).Gains()
	return err == nil && gains
}

// formPair is the first model and model i.
func (p *Prepared) formPair(i int) adopt.Pair {
	base := p.Sources.Base()
	return formsOf(base.Models[0], base.Models[i], base.Pairing, i)
}

// formsOf is a model and another, which is model i of a pairing of both.
func formsOf(like, s *merge.Source, paired *pair.Pairing, i int) adopt.Pair {
	forms := adopt.Pair{Like: like.Model, Model: s.Model, Inputs: map[string]string{}, Known: func(weight string) bool {
		_, ok := paired.Value(0, i, weight)
		return ok
	}}
	for _, row := range paired.Inputs {
		forms.Inputs[row[0]] = row[i]
	}
	return forms
}

// AdoptForms brings models that the rules of transform/rewrite leave in other forms than the first one's into that
// form, where running both proves them the same (transform/adopt). What cannot be run, or shares no more, stays as it
// is, and its proof in p.Forms says why. Only the end of ctx is an error.
func (p *Prepared) AdoptForms(ctx context.Context, e calibrate.Engine) error {
	base := p.Sources.Base()
	sources := slices.Clone(base.Models)
	var proofs []FormProof
	for i := 1; i < len(sources); i++ {
		if !p.formDiffers(i) {
			continue
		}
		paired := len(base.Pairing.Nodes)
		proof := FormProof{File: p.Originals[i].File, Like: p.Originals[0].File, PairedBefore: paired, Paired: paired}
		s, err := inForm(ctx, e, p.formPair(i), sources[i].Head, &proof)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			proof.Nodes, proof.Why = 0, whyFixed(err)
		default:
			sources[i] = s
		}
		proofs = append(proofs, proof)
	}
	p.Forms = proofs
	before := p.Sources
	if slices.Equal(sources, base.Models) {
		return nil
	}
	if err := p.pair(sources); err != nil || len(p.Sources.Base().Pairing.Nodes) <= len(base.Pairing.Nodes) {
		p.Sources = before
	}
	for i := range proofs {
		if proofs[i].Paired = len(p.Sources.Base().Pairing.Nodes); p.Sources == before && proofs[i].Why == "" {
			proofs[i].Nodes, proofs[i].Why = 0, fewerPaired
		}
	}
	return nil
}

// inForm is the second model of a pair in the first one's form. An error says why it keeps its own.
func inForm(ctx context.Context, e calibrate.Engine, p adopt.Pair, head string, proof *FormProof) (*merge.Source, error) {
	probes, err := formProbes(p)
	if err != nil {
		return nil, err
	}
	m, nodes, err := p.Form(ctx, e, probes)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fault.New(fault.Correspondence, "other_function", "it computes nothing that %s computes", proof.Like)
	}
	proof.Nodes = nodes
	return newSource(m, head)
}

// adoptForm is a head's model in the trunk's form where it has another and e can run both; else as it is. Weights that
// the trunk has in other widths are not found.
func (in *Into) adoptForm(ctx context.Context, e calibrate.Engine, s *merge.Source, o pair.Options) (*merge.Source, *FormProof, error) {
	if e == nil {
		return s, nil, nil
	}
	o.AnyWidth = true
	p, err := pair.Find([]*onnx.Index{in.trunk.Index, s.Index}, o)
	if err != nil {
		return nil, nil, err
	}
	forms := formsOf(in.trunk, s, p, 1)
	if gains, err := forms.Gains(); err != nil || !gains {
		return s, nil, err
	}
	proof := &FormProof{File: s.Model.File, Like: in.File.File, PairedBefore: len(p.Nodes), Paired: len(p.Nodes)}
	fresh, err := inForm(ctx, e, forms, s.Head, proof)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		proof.Why = whyFixed(err)
		return s, proof, nil
	}
	if p, err = pair.Find([]*onnx.Index{in.trunk.Index, fresh.Index}, o); err != nil || len(p.Nodes) <= proof.Paired {
		proof.Nodes, proof.Why = 0, fewerPaired
		return s, proof, nil
	}
	proof.Paired = len(p.Nodes)
	return fresh, proof, nil
}

const fewerPaired = "no more nodes would correspond"

// formProbes makes inputs of two sizes and magnitudes that suit both models of a pair.
func formProbes(p adopt.Pair) ([]adopt.Probe, error) {
	both := withSizes(p)
	var probes []adopt.Probe
	for k, size := range []struct {
		samples        int
		tokens, pixels int64
		scale          float64
	}{{2, 16, 64, 1}, {3, 11, 96, 4}} {
		n := size.samples
		if fixed := fixedBatch(both); fixed > 0 {
			n = int(fixed)
		}
		src, err := randomInputsOf(both, n, size.tokens, size.pixels, uint64(k+1))
		if err != nil {
			return nil, err
		}
		feeds, err := src.Batch(0, n)
		if err != nil {
			return nil, err
		}
		vary(feeds)
		probe := adopt.Probe{Like: map[string]*onnx.Tensor{}, Own: map[string]*onnx.Tensor{}}
		for name, t := range feeds {
			if t, err = scaled(t, size.scale); err != nil {
				return nil, err
			}
			probe.Like[name], probe.Own[p.Inputs[name]] = t, t
		}
		probes = append(probes, probe)
	}
	return probes, nil
}

// withSizes is p.Like with every size that p.Model fixes.
func withSizes(p adopt.Pair) *onnx.Model {
	own := map[string][]onnx.Dim{}
	for _, v := range p.Model.Graph().GetInput() {
		_, dims, _ := onnx.TensorType(v)
		own[v.GetName()] = dims
	}
	both := p.Like.Clone()
	for _, v := range both.Graph().GetInput() {
		dtype, dims, _ := onnx.TensorType(v)
		for k, d := range own[p.Inputs[v.GetName()]] {
			if k < len(dims) && dims[k].Size < 0 && d.Size >= 0 {
				dims[k] = d
			}
		}
		v.Type = onnx.NewValueInfo("", dtype, dims).Type
	}
	return both
}

// scaled multiplies floats.
func scaled(t *onnx.Tensor, by float64) (*onnx.Tensor, error) {
	if !t.DType.IsFloat() || by == 1 {
		return t, nil
	}
	values, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	for i := range values {
		values[i] *= by
	}
	return onnx.FromFloat64(t.DType, values, t.Dims...), nil
}
