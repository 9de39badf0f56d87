package transform_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/basis"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// streamOf is a transformer of two blocks on patches, whose norms stand before what they feed; norm writes them.
func streamOf(norm func(out, in string, k int) string, seed int) string {
	block := func(k int, in, out string) string {
		s := fmt.Sprint(k)
		return norm("n"+s, in, 2*k) + strings.NewReplacer("K", s, "IN", in, "OUT", out).Replace(`
	wqK = init f32[12,12] random(SEED1K)
	qK = MatMul(nK, wqK)
	wkK = init f32[12,12] random(SEED2K)
	kK = MatMul(nK, wkK)
	wvK = init f32[12,12] random(SEED3K)
	bvK = init f32[12] random(SEED4K)
	vK0 = MatMul(nK, wvK)
	vK = Add(vK0, bvK)
	qsK = Reshape(qK, heads)
	ksK = Reshape(kK, heads)
	vsK = Reshape(vK, heads)
	qtK = Transpose(qsK) {perm=[0,2,1,3]}
	ktK = Transpose(ksK) {perm=[0,2,3,1]}
	vtK = Transpose(vsK) {perm=[0,2,1,3]}
	eK = MatMul(qtK, ktK)
	pK = Softmax(eK)
	aK = MatMul(pK, vtK)
	atK = Transpose(aK) {perm=[0,2,1,3]}
	jK = Reshape(atK, joined)
	woK = init f32[12,12] random(SEED5K)
	oK = MatMul(jK, woK)
	mK = Add(IN, oK)
`) + norm("u"+s, "m"+s, 2*k+1) + strings.NewReplacer("K", s, "IN", in, "OUT", out).Replace(`
	wuK = init f32[12,20] random(SEED6K)
	buK = init f32[20] random(SEED7K)
	hK0 = MatMul(uK, wuK)
	hK1 = Add(hK0, buK)
	hK = Tanh(hK1)
	wdK = init f32[20,12] random(SEED8K)
	bdK = init f32[12] random(SEED9K)
	dK0 = MatMul(hK, wdK)
	dK = Add(dK0, bdK)
	OUT = Add(mK, dK)
`)
	}
	text := "opset 17\n" + `
	input x f32[N,3,8,8]
	heads = init i64[4] {0, -1, 2, 6}
	joined = init i64[3] {0, -1, 12}
	flat = init i64[3] {0, 12, 16}
	wp = init f32[12,3,2,2] random(SEED91)
	bp = init f32[12] random(SEED92)
	c0 = Conv(x, wp, bp) {strides=[2,2]}
	c1 = Reshape(c0, flat)
	c2 = Transpose(c1) {perm=[0,2,1]}
	pos = init f32[1,16,12] random(SEED93)
	s0 = Add(c2, pos)
` + block(1, "s0", "s1") + block(2, "s1", "s2") + norm("f", "s2", 6) + `
	t = ReduceMean(f) {axes=[1], keepdims=0}
	wy = init f32[12,5] random(SEED94)
	y = MatMul(t, wy)
	output y
`
	return strings.ReplaceAll(text, "SEED", fmt.Sprint(seed))
}

// The norms that exporters write.
var norms = map[string]func(out, in string, k int) string{
	"fused": func(out, in string, k int) string {
		return fmt.Sprintf("\tg%d = init f32[12] random(7%d)\n\tb%d = init f32[12] random(8%d)\n\t%s = LayerNormalization(%s, g%d, b%d)\n", k, k, k, k, out, in, k, k)
	},
	"in parts": func(out, in string, k int) string {
		return strings.NewReplacer("OUT", out, "IN", in, "K", fmt.Sprint(k)).Replace(`
	gK = init f32[12] random(7K)
	bK = init f32[12] random(8K)
	epsK = init f32[] {1e-5}
	twoK = init f32[] {2}
	meanK = ReduceMean(IN) {axes=[-1]}
	diffK = Sub(IN, meanK)
	sqK = Pow(diffK, twoK)
	varK = ReduceMean(sqK) {axes=[-1]}
	veK = Add(varK, epsK)
	sdK = Sqrt(veK)
	xK = Div(diffK, sdK)
	xgK = Mul(xK, gK)
	OUT = Add(xgK, bK)
`)
	},
	"root mean square": func(out, in string, k int) string {
		return strings.NewReplacer("OUT", out, "IN", in, "K", fmt.Sprint(k)).Replace(`
	gK = init f32[12] random(7K)
	epsK = init f32[] {1e-5}
	twoK = init f32[] {2}
	sqK = Pow(IN, twoK)
	varK = ReduceMean(sqK) {axes=[-1]}
	veK = Add(varK, epsK)
	sdK = Sqrt(veK)
	xK = Div(IN, sdK)
	OUT = Mul(xK, gK)
`)
	},
}

// plain is a prepared model whose norms have neither gains nor shifts.
func plain(t *testing.T, m *onnx.Model) *transform.Prepared {
	t.Helper()
	p := prepare(t, m)
	c := p.Sources.Models[0].Model.Clone()
	n, err := basis.PlainNorms(c, func(v string) []space.Layout { return p.Sources.Full.Layouts(0, v) })
	if err != nil || n != 5 {
		t.Fatalf("%d of 5 norms are plain: %v", n, err)
	}
	c.File = m.File
	return prepare(t, c)
}

// linearStream is the space of a model that all blocks add to.
func linearStream(t *testing.T, trunk *merge.Trunk) *space.Space {
	t.Helper()
	at := slices.IndexFunc(trunk.Analysis.Spaces, func(sp *space.Space) bool { return sp.Linear && sp.Mode == space.Permute })
	if at < 0 {
		t.Fatal("no linear stream")
	}
	return trunk.Analysis.Spaces[at]
}

// rotation is a random orthogonal matrix, with Q·1 = 1 where norms take means away.
func rotation(n int, centred bool, seed uint64) *mat.Dense {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			x.Set(i, j, rng.NormFloat64())
		}
	}
	if centred { // random within what is orthogonal to 1, and 1 itself
		ones := mat.NewDense(n, n, nil)
		for i := range n {
			for j := range n {
				ones.Set(i, j, 1/float64(n))
			}
		}
		var rest, a mat.Dense
		rest.Sub(mat.NewDiagDense(n, slices.Repeat([]float64{1}, n)), ones)
		a.Mul(&rest, x)
		x.Mul(&a, &rest)
		x.Add(x, ones)
	}
	var svd mat.SVD
	svd.Factorize(x, mat.SVDFull)
	var u, v, q mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	q.Mul(&u, v.T())
	return &q
}

// inOtherBasis is a prepared model in another basis of its stream.
func inOtherBasis(t *testing.T, p *transform.Prepared, seed uint64) *merge.Merged {
	t.Helper()
	trunk := findTrunk(t, p, merge.Cut{Distinct: true})
	as := full(t, p, trunk)
	sp := linearStream(t, trunk)
	q := rotation(sp.Dim, sp.Centred, seed)
	as[sp] = merge.Assignment{Zip: as[sp].Zip, Coef: as[sp].Coef, Mix: &merge.Mix{M: q, U: mat.DenseCopyOf(q.T())}}
	return build(t, p, trunk, as)
}

// TestAnyBasis: gains and shifts of norms move into the weights, and behind that any rotation of the stream changes nothing.
func TestAnyBasis(t *testing.T) {
	feeds := map[string]*onnx.Tensor{"x": onnxtest.RandomBetween(5, -1, 1, onnx.Float, 3, 3, 8, 8)}
	for name, norm := range norms {
		t.Run(name, func(t *testing.T) {
			m := onnxtest.Build(t, streamOf(norm, 3))
			p := plain(t, m)
			want := run(t, engine(t), m, feeds)["y"]
			if d := deviation(run(t, engine(t), p.Originals[0], feeds)["y"], want); d > tolerance {
				t.Errorf("with plain norms the output deviates by %g", d)
			}
			rapid.Check(t, func(rt *rapid.T) {
				r := inOtherBasis(t, p, rapid.Uint64().Draw(rt, "seed"))
				if d := deviation(run(t, engine(t), r.Model, feeds)[r.Outputs[0][0]], want); d > randomTolerance {
					rt.Errorf("in another basis the output deviates by %g", d)
				}
			})
		})
	}
}

// TestMergeWithRotatedCopy: a model merged with itself in another basis of its stream, which no permutation matches, is the model.
func TestMergeWithRotatedCopy(t *testing.T) {
	src := randomSamples(200, "x", 3, 8, 8)
	feeds := map[string]*onnx.Tensor{"x": onnxtest.RandomBetween(5, -1, 1, onnx.Float, 3, 3, 8, 8)}
	for name, norm := range norms {
		t.Run(name, func(t *testing.T) {
			m := onnxtest.Build(t, streamOf(norm, 3))
			m.File = "a.onnx"
			r := inOtherBasis(t, plain(t, m), 9)
			r.Model.Graph().Output[0].Name = m.Graph().Output[0].Name
			for _, n := range r.Model.Graph().Node {
				for k, out := range n.Output {
					if out == r.Outputs[0][0] {
						n.Output[k] = "y"
					}
				}
			}
			r.Model.File = "b.onnx"
			for _, refit := range []string{"none", "ls"} {
				o := transform.Options{Settings: preset(t, "best")}
				o.Settings.Refit = refit
				res := mergeAll(t, prepare(t, m, r.Model), src, o)
				if res.Exact {
					t.Error("the merge is called exact")
				}
				want, got := run(t, engine(t), m, feeds)["y"], run(t, engine(t), res.Model, feeds)
				for head := range 2 {
					if d := deviation(got[res.Merged.Outputs[head][0]], want); d > randomTolerance {
						t.Errorf("refit %s: head %d deviates by %g", refit, head, d)
					}
				}
			}
		})
	}
}

// TestHeadsReadCombinations: where the trunk ends at a stream, heads get the features that they had, exactly where combinations hold
// all of them.
func TestHeadsReadCombinations(t *testing.T) {
	a, b := plain(t, onnxtest.Build(t, streamOf(norms["fused"], 3))), plain(t, onnxtest.Build(t, streamOf(norms["fused"], 4)))
	p := prepare(t, a.Originals[0], b.Originals[0])
	feeds := map[string]*onnx.Tensor{"x": onnxtest.RandomBetween(5, -1, 1, onnx.Float, 3, 3, 8, 8)}
	for _, cut := range []string{"c0", "s0"} { // channels of a map, and tokens' features
		trunk := findTrunk(t, p, merge.Cut{Values: []string{cut}})
		sp := trunk.Analysis.Spaces[0]
		if !sp.Linear {
			t.Fatalf("%s: the stream is not linear", cut)
		}
		n := 2 * sp.Dim
		z := match.Full([]int{sp.Dim, sp.Dim})
		q := rotation(n, false, 2)
		as := merge.Assignments{sp: {Zip: z, Coef: make([]float64, n), Mix: &merge.Mix{M: q, U: mat.DenseCopyOf(q.T())}}}
		m := build(t, p, trunk, as)
		if len(m.Bases) != 2 || m.Gathers != 0 {
			t.Errorf("%s: %d products, %d Gathers", cut, len(m.Bases), m.Gathers)
		}
		newChecker(t, engine(t), p, feeds).check(t, p, m, tolerance)
	}
}

// TestStreamsTakeAnyWidth: budgets that a stream of fixed width cannot meet, of one model and of two, with a trunk and without.
func TestStreamsTakeAnyWidth(t *testing.T) {
	src := randomSamples(300, "x", 3, 8, 8)
	for name, norm := range norms {
		a, b := onnxtest.Build(t, streamOf(norm, 3)), onnxtest.Build(t, streamOf(norm, 4))
		a.File, b.File = "a.onnx", "b.onnx"
		for _, c := range []struct {
			method string
			models []*onnx.Model
			budget float64
		}{{"best", []*onnx.Model{a}, 0.6}, {"best", []*onnx.Model{a, b}, 0.6}, {"halves", []*onnx.Model{a, b}, 0.6}, {"ensemble", []*onnx.Model{a, b}, 1.2}} {
			o := transform.Options{Settings: preset(t, c.method), Judge: true}
			if c.method == "ensemble" {
				o.Settings = narrowed(t, c.method, c.budget)
			}
			o.Budget = c.budget
			res := mergeAll(t, prepare(t, c.models...), src, o)
			if share := float64(len(c.models)) * res.Report.Cost.FLOPsRatio / c.budget; share > 1 || share < 0.9 {
				t.Errorf("%s norms, %s of %d models: %.3f of the budget is spent", name, c.method, len(c.models), share)
			}
			if e := res.Report.HeldOut.RelativeError(); !(e > 0 && e < 0.8) || math.IsNaN(e) {
				t.Errorf("%s norms, %s of %d models: the outputs err by %.3f", name, c.method, len(c.models), e)
			}
		}
	}
}
