package transform

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/rewrite"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Proof is the outcome of one property that the analysis of a model must have.
type Proof struct {
	Name      string  `json:"name"`
	Deviation float64 `json:"deviation"` // largest |Δ| / max|output|
	Limit     float64 `json:"limit"`
	Passed    bool    `json:"passed"`
	Output    string  `json:"output,omitempty"`
	// Space is the first space that breaks the property by itself, where one was found.
	Space string `json:"space,omitempty"`
	// Told is false where the inputs did not tell the features of permuted_copy apart (dead or nearly constant ones):
	// it then holds for the permutation that made the copy, and matching was not proved by it.
	Told bool `json:"matched"`
}

// proofLimit is the relative deviation that reordering float32 sums may bring.
const proofLimit = 1e-5

// Prove checks the analysis of one model by what it promises, by running it:
//
//   - permute: a random reordering of every free space changes no output;
//   - duplicate: doubling random features of every zip space, their readers' weights halved, changes none;
//   - permuted_copy: the model zipped with a permuted copy of itself is the model again;
//   - full_width: the model beside its permuted copy, all features kept, is both.
//
// src gives inputs; where nil, they are random. Errors are those of Prepare and of the engine; a property that
// does not hold is no error but a Proof that has not passed. Half precision is proved in float32.
func Prove(ctx context.Context, e calibrate.Engine, m *onnx.Model, src calibrate.Source, seed uint64) ([]Proof, error) {
	m, _, err := rewrite.ToFloat32(m)
	if err != nil {
		return nil, err
	}
	v := &prover{ctx: ctx, e: e, model: m, src: src, rng: rand.New(rand.NewPCG(seed, 1))}
	if v.src == nil {
		if v.src, err = randomInputs(m, fewInputs, seed); err != nil {
			return nil, err
		}
		v.more = func() (calibrate.Source, error) { return randomInputs(m, manyInputs, seed) }
	}
	return v.prove()
}

// Random inputs that a proof calibrates on. Features that are seldom active look alike on few: where the copy's
// counterparts are not found, more are tried.
const fewInputs, manyInputs = 64, 1024

type prover struct {
	ctx    context.Context
	e      calibrate.Engine
	model  *onnx.Model
	src    calibrate.Source
	more   func() (calibrate.Source, error) // more of the same; nil where the user gave the inputs
	rng    *rand.Rand
	feeds  map[string]*onnx.Tensor
	want   map[string]*onnx.Tensor
	proofs []Proof
}

func (v *prover) prove() (_ []Proof, err error) {
	batch := min(4, v.src.Samples())
	for _, in := range v.model.Graph().GetInput() {
		if _, dims, _ := onnx.TensorType(in); len(dims) > 0 && dims[0].Size > 0 {
			batch = int(dims[0].Size) // a fixed batch
		}
	}
	if v.feeds, err = v.src.Batch(0, batch); err != nil {
		return nil, err
	}
	if v.want, err = v.run(v.model, v.feeds); err != nil {
		return nil, err
	}
	copied, as, err := v.permute()
	if err != nil {
		return nil, err
	}
	if err := v.duplicate(); err != nil {
		return nil, err
	}
	return v.proofs, v.zipCopy(copied, as)
}

func (v *prover) run(m *onnx.Model, feeds map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	s, err := v.e.Open(v.ctx, m, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Run(v.ctx, feeds)
}

// prepared pairs models and finds their trunk under a cut.
func (v *prover) prepared(cut merge.Cut, models ...*onnx.Model) (*Prepared, *merge.Trunk, error) {
	heads := make([]string, len(models))
	for i := range heads {
		heads[i] = fmt.Sprintf("h%d", i)
	}
	p, err := Prepare(models, PrepareOptions{Heads: heads})
	if err != nil {
		return nil, nil, err
	}
	t, err := merge.FindTrunk(p.Sources, cut)
	return p, t, err
}

// compare notes the deviation of every head of a merged model from the model.
func (v *prover) compare(name string, p *Prepared, t *merge.Trunk, as merge.Assignments) (*merge.Merged, Proof, error) {
	proof := Proof{Name: name, Limit: proofLimit, Passed: true, Told: true}
	m, err := merge.Build(p.Sources, t, as, merge.Options{})
	if err != nil {
		return nil, proof, err
	}
	got, err := v.run(m.Model, v.feeds)
	if err != nil {
		return nil, proof, err
	}
	for i := range p.Sources.Models {
		for k, out := range v.model.Graph().GetOutput() {
			d := deviation(got[m.Outputs[i][k]], v.want[out.GetName()])
			if d >= proof.Deviation {
				proof.Deviation, proof.Output = d, out.GetName()
			}
		}
	}
	if t := v.want[proof.Output]; t != nil {
		proof.Limit = max(proofLimit, tolerance[t.DType]) // half precision rounds more
	}
	proof.Passed = proof.Deviation <= proof.Limit
	return m, proof, nil
}

// permute proves the first property, of the spaces of the whole model and of those of the trunk that it shares with
// another of its kind, and returns the model with the trunk permuted, and the
// permutation of every space of that trunk.
func (v *prover) permute() (m *onnx.Model, orders [][]int, err error) {
	var worst Proof
	for _, cut := range []merge.Cut{{}, {Distinct: true}} {
		p, t, err := v.prepared(cut, v.model)
		if err != nil {
			return nil, nil, err
		}
		as := v.permutations(t)
		merged, proof, err := v.compare("permute", p, t, as)
		if err != nil {
			return nil, nil, err
		}
		if !proof.Passed {
			proof.Space = v.blame(p, t, as)
		}
		if proof.Deviation >= worst.Deviation {
			worst = proof
		}
		m, orders = v.renamed(merged), nil
		for _, sp := range t.Analysis.Spaces {
			orders = append(orders, as[sp].Zip.Of)
		}
	}
	v.proofs = append(v.proofs, worst)
	return m, orders, nil
}

// renamed gives the outputs of a merge of one model the model's own names again.
func (v *prover) renamed(m *merge.Merged) *onnx.Model {
	for k, out := range v.model.Graph().GetOutput() {
		m.Model.Graph().Output[k] = onnx.Clone(out)
		onnx.RenameValue(m.Model.Graph(), m.Outputs[0][k], out.GetName())
	}
	return m.Model
}

// blame looks for a space that breaks the property by itself.
func (v *prover) blame(p *Prepared, t *merge.Trunk, as merge.Assignments) string {
	for _, sp := range t.Analysis.Spaces {
		alone := merge.Assignments{}
		for _, other := range t.Analysis.Spaces {
			z, _ := match.Identity([]int{other.Dim})
			alone[other] = merge.Average(z)
			if other == sp || sp.Heads > 0 && other.Heads > 0 && other.Group == sp.Group {
				alone[other] = as[other]
			}
		}
		if _, proof, err := v.compare("", p, t, alone); err == nil && !proof.Passed {
			return sp.Name
		}
	}
	return ""
}

// permutations draws a reordering for every free space: heads of one group move together.
func (v *prover) permutations(t *merge.Trunk) merge.Assignments {
	as := merge.Assignments{}
	heads := map[int][]int{}
	for _, sp := range t.Analysis.Spaces {
		of := v.rng.Perm(max(sp.Dim, 0))
		switch {
		case sp.Mode == space.Pinned:
			for k := range of {
				of[k] = k
			}
		case sp.Heads > 0:
			if heads[sp.Group] == nil {
				heads[sp.Group] = v.rng.Perm(sp.Heads)
				for h := range sp.Heads {
					if sp.HeadsFixed {
						heads[sp.Group][h] = h
					}
				}
			}
			of = v.headOrder(sp, heads[sp.Group])
		}
		as[sp] = merge.Average(match.Zip{Width: len(of), Of: of})
	}
	return as
}

// headOrder reorders whole heads, and the features inside each.
func (v *prover) headOrder(sp *space.Space, order []int) []int {
	d := sp.Dim / sp.Heads
	of := make([]int, sp.Dim)
	for h := range sp.Heads {
		inside := v.rng.Perm(d)
		for f := range d {
			if sp.InsideFixed {
				inside[f] = f
			}
			of[h*d+f] = order[h]*d + inside[f]
		}
	}
	return of
}

// duplicate proves the second property: of the model and itself, random features are kept twice.
func (v *prover) duplicate() error {
	p, t, err := v.prepared(merge.Cut{}, v.model, v.model)
	if err != nil {
		return err
	}
	as := merge.Assignments{}
	for _, sp := range t.Analysis.Spaces {
		z, _ := match.Identity([]int{sp.Dim, sp.Dim})
		if sp.Mode == space.Zip && sp.Fixed == "" {
			for f := range sp.Dim {
				if v.rng.IntN(2) == 0 {
					z.Of[sp.Dim+f] = z.Width
					z.Width++
				}
			}
		}
		as[sp] = merge.Average(z)
	}
	_, proof, err := v.compare("duplicate", p, t, as)
	if fault.As(err) != nil && fault.As(err).Code == "fixed_width" {
		return nil // the widths of this model cannot change, which Build says
	}
	if err == nil {
		v.proofs = append(v.proofs, proof)
	}
	return err
}

// zipCopy proves the last two properties. orders are the permutations that made the copy.
func (v *prover) zipCopy(copied *onnx.Model, orders [][]int) error {
	p, t, err := v.prepared(merge.Cut{}, v.model, copied)
	if err != nil {
		return err
	}
	stats, err := p.Measure(v.ctx, v.e, t, v.src, false, calibrate.CaptureOptions{})
	if err != nil {
		return err
	}
	proof, ok, err := v.assigned("permuted_copy", "zip", p, t, stats)
	if err != nil {
		return err
	}
	if ok && !proof.Passed && v.more != nil {
		src, err := v.more()
		if err != nil {
			return err
		}
		if stats, err = p.Measure(v.ctx, v.e, t, src, false, calibrate.CaptureOptions{}); err != nil {
			return err
		}
		if proof, ok, err = v.assigned("permuted_copy", "zip", p, t, stats); err != nil {
			return err
		}
	}
	known, isKnown := undone(t, orders)
	if ok && !proof.Passed && isKnown {
		_, told, err := v.compare("permuted_copy", p, t, known)
		if err != nil {
			return err
		}
		if told.Passed {
			proof, proof.Told = told, false
			v.proofs = append(v.proofs, proof)
			return nil // nor do the inputs say how spaces that may only be permuted go together at full width
		}
	}
	if ok {
		v.proofs = append(v.proofs, proof)
	}
	proof, ok, err = v.assigned("full_width", "full", p, t, stats)
	if ok {
		v.proofs = append(v.proofs, proof)
	}
	return err
}

// undone assigns every feature of the copy to the one that it was made of; ok is false where the trunk of the two
// has other spaces than the model's own.
func undone(t *merge.Trunk, orders [][]int) (as merge.Assignments, ok bool) {
	if len(t.Analysis.Spaces) != len(orders) {
		return nil, false
	}
	as = merge.Assignments{}
	for i, sp := range t.Analysis.Spaces {
		if len(orders[i]) != sp.Dim {
			return nil, false
		}
		z := match.Zip{Width: sp.Dim, Of: make([]int, 2*sp.Dim)}
		for k, to := range orders[i] {
			z.Of[k], z.Of[sp.Dim+to] = k, k
		}
		as[sp] = merge.Average(z)
	}
	return as, true
}

// assigned compares the heads of a merge by that match with the model; ok is false where the widths of this model
// cannot change, which Build says.
func (v *prover) assigned(name, match string, p *Prepared, t *merge.Trunk, stats *Statistics) (_ Proof, ok bool, err error) {
	as, err := p.Assign(t, stats, Settings{Match: match, Represent: "mean", Alpha: 0.3, Beta: 1})
	if err != nil {
		return Proof{}, false, err
	}
	_, proof, err := v.compare(name, p, t, as)
	if fault.As(err) != nil && fault.As(err).Code == "fixed_width" {
		return Proof{}, false, nil
	}
	return proof, err == nil, err
}

// inputs are made-up samples.
type inputs struct {
	samples int
	feeds   map[string]*onnx.Tensor
}

func (s inputs) Samples() int { return s.samples }

func (s inputs) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	out := map[string]*onnx.Tensor{}
	for name, t := range s.feeds {
		n := len(t.Raw) / s.samples
		out[name] = &onnx.Tensor{DType: t.DType, Dims: append([]int64{int64(to - from)}, t.Dims[1:]...), Raw: t.Raw[from*n : to*n]}
	}
	return out, nil
}

// tableRows is the number of rows of the table that an input indexes, 0 where it indexes none.
func tableRows(ix *onnx.Index, input string) int {
	for _, u := range ix.Uses(input) {
		if t := ix.Initializer(u.Node.GetInput()[0]); u.Slot == 1 && u.Node.GetOpType() == "Gather" && t != nil && len(t.GetDims()) == 2 {
			return int(t.GetDims()[0])
		}
	}
	return 0
}

// randomInputs makes normal random inputs; integers are rows of the table that they index, or 1.
func randomInputs(m *onnx.Model, samples int, seed uint64) (calibrate.Source, error) {
	return randomInputsOf(m, samples, 16, 64, seed)
}

// randomInputsOf makes sequences of so many tokens and maps of so many pixels where the model leaves them open.
func randomInputsOf(m *onnx.Model, samples int, tokens, pixels int64, seed uint64) (calibrate.Source, error) {
	sizes, err := cost.Bind(m, int64(samples))
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	out := inputs{samples: samples, feeds: map[string]*onnx.Tensor{}}
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	for _, in := range ix.Inputs() {
		dtype, _, _ := onnx.TensorType(in)
		dims := modest(in, sizes[in.GetName()], tokens, pixels)
		if len(dims) == 0 {
			return nil, fault.New(fault.Data, "no_data", "inputs cannot be made up for it").AtValue(in.GetName()).WithHint("give --data")
		}
		if int(dims[0]) != samples { // a fixed batch: as many samples, so many at a time
			dims = append([]int64{int64(samples)}, dims[1:]...)
		}
		t := onnx.NewTensor(dtype, dims...)
		if dtype.IsFloat() {
			values := make([]float64, t.Len())
			for k := range values {
				values[k] = rng.NormFloat64()
			}
			t = onnx.FromFloat64(dtype, values, dims...)
		} else {
			rows := tableRows(ix, in.GetName())
			for k := 0; k < len(t.Raw); k += dtype.Size() {
				t.Raw[k] = 1 // a mask that hides nothing
				if rows > 0 {
					t.Raw[k] = byte(rng.IntN(min(rows, 128)))
				}
			}
		}
		out.feeds[in.GetName()] = t
	}
	return out, nil
}

// modest makes free sizes small: models have tables (of positions) that end somewhere, and proofs need no more.
func modest(in *onnx.ValueInfo, dims []int64, tokens, pixels int64) []int64 {
	_, declared, _ := onnx.TensorType(in)
	for k := range dims {
		switch {
		case k >= len(declared) || declared[k].Size >= 0:
		case dims[k] == cost.DefaultTokens:
			dims[k] = tokens
		case dims[k] == cost.DefaultPixels:
			dims[k] = pixels
		}
	}
	return dims
}
