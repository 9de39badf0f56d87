package transform_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
	"pgregory.net/rapid"
)

// exposed is a model whose nodes of those numbers make outputs too.
func exposed(t fataler, m *onnx.Model, nodes ...int) *onnx.Model {
	t.Helper()
	m = m.Clone()
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := m.Graph()
	for _, k := range nodes {
		name := g.Node[k%len(g.Node)].GetOutput()[0]
		if slices.ContainsFunc(g.Output, func(v *onnx.ValueInfo) bool { return v.GetName() == name }) || !shapes[name].DType.IsFloat() {
			continue
		}
		var dims []onnx.Dim
		for _, d := range shapes[name].Dims {
			dims = append(dims, onnx.Dim{Size: d.Size, Param: d.Sym})
		}
		g.Output = append(g.Output, onnx.NewValueInfo(name, onnx.Float, dims))
	}
	return m
}

// Whatever a network hands out on the way, its features stay free, and every head has its outputs in its own order.
func TestOutputsOnTheWay(t *testing.T) {
	steps := append(append([]step(nil), zipSteps...), permuteSteps...)
	draw := func(rt *rapid.T) []int { return rapid.SliceOfN(rapid.IntRange(0, 99), 1, 3).Draw(rt, "outputs") }
	t.Run("permuted and doubled", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			plan, nodes := drawPlan(rt, steps), draw(rt)
			rt.Log(describe(plan), nodes)
			m := exposed(rt, plan.model(t, style{seed: 1}), nodes...)
			seed := rapid.Uint64().Draw(rt, "seed")
			checkPermutations(rt, t, m, netFeeds(onnx.Float), seed, randomTolerance)
			checkDuplicates(rt, t, m, netFeeds(onnx.Float), seed, randomTolerance)
		})
	})
	// a shuffle of which something inside is handed out has to stay
	unshuffled := slices.DeleteFunc(slices.Clone(zipSteps), func(s step) bool { return s.name == "shuffled units" })
	t.Run("full width", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			plan, nodes := drawPlan(rt, unshuffled), draw(rt)
			rt.Log(describe(plan), nodes)
			a, b := plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2, classes: 7})
			without := prepare(rt, a, b)
			p := prepare(rt, exposed(rt, a, nodes...), exposed(rt, b, nodes[:rapid.IntRange(0, len(nodes)).Draw(rt, "of b")]...))
			trunk := findTrunk(rt, p, merge.Cut{})
			// what the heads hand out from is shared as ever, but at the end, where nothing shared reads it
			atEnd := slices.ContainsFunc(trunk.Ends, func(e merge.End) bool { return strings.Contains(e.Why, "nothing behind it is shared") })
			if n, want := len(trunk.Groups), len(findTrunk(rt, without, merge.Cut{}).Groups); n < want && !atEnd {
				rt.Fatalf("%d nodes are shared, %d without outputs on the way: %v", n, want, trunk.Ends)
			}
			c := newChecker(rt, engine(t), p, netFeeds(onnx.Float))
			c.check(rt, p, build(rt, p, trunk, full(rt, p, trunk)), randomTolerance)
			values := trunk.Values(p.Sources)
			at := values[rapid.IntRange(0, len(values)-1).Draw(rt, "cut")]
			narrow := findTrunk(rt, p, merge.Cut{Values: []string{at}, Distinct: true})
			c.check(rt, p, build(rt, p, narrow, full(rt, p, narrow)), randomTolerance)
		})
	})
}

// headNodes lists the operators of a head.
func headNodes(m *merge.Merged, head string) (ops []string) {
	for _, n := range m.Model.Graph().GetNode() {
		if strings.HasPrefix(n.GetName(), head+"/") {
			ops = append(ops, n.GetOpType())
		}
	}
	return ops
}

func autoencoders(t *testing.T, exporter string) *transform.Prepared {
	t.Helper()
	return prepare(t, zooModel(t, "autoencoder-"+exporter+"-a"), zooModel(t, "autoencoder-"+exporter+"-b"))
}

// An autoencoder that hands out its code shares encoder and decoder: each head has a code and an image of its own.
func TestAutoencodersShareTheDecoder(t *testing.T) {
	for _, exporter := range []string{"t13", "d18"} {
		t.Run(exporter, func(t *testing.T) {
			p := autoencoders(t, exporter)
			trunk := findTrunk(t, p, merge.Cut{})
			if s := shares(t, p, trunk); s < 0.8 {
				t.Errorf("%.0f %% of FLOPs are shared: %v", 100*s, trunk.Ends)
			}
			m := build(t, p, trunk, full(t, p, trunk))
			newChecker(t, engine(t), p, imageFeeds(3)).check(t, p, m, tolerance)
			if ops := headNodes(m, "b"); !slices.Equal(ops, []string{"Gemm", "ConvTranspose", "Sigmoid"}) {
				t.Errorf("head b computes %q", ops)
			}
			if m.Gathers != 0 {
				t.Errorf("%d Gathers", m.Gathers)
			}
			// What is not shared is computed once: in an ensemble, and with a cut at the code.
			ensemble := build(t, p, findTrunk(t, p, merge.Cut{None: true}), nil)
			if n, want := len(ensemble.Model.Graph().Node), 2*len(p.Sources.Models[0].Index.Order)-2; n != want {
				t.Errorf("an ensemble of %d nodes, want %d", n, want)
			}
			newChecker(t, engine(t), p, imageFeeds(3)).check(t, p, ensemble, tolerance)
			cut := findTrunk(t, p, merge.Cut{Values: []string{"code"}})
			if s := shares(t, p, cut); s > 0.4 || len(cut.Again(p.Sources, 0)) > 0 {
				t.Errorf("cut at the code: %.0f %% are shared, %d nodes computed again", 100*s, len(cut.Again(p.Sources, 0)))
			}
		})
	}
}

// A merge from end to end: least squares refits the heads' own weights of the code to their sources', and a head taken
// out again hands out the same code.
func TestMergeAutoencoders(t *testing.T) {
	for _, exporter := range []string{"t13", "d18"} {
		t.Run(exporter, func(t *testing.T) {
			p := autoencoders(t, exporter)
			src := randomSamples(640, "input", 1, 28, 28)
			res := mergeAll(t, p, src, transform.Options{Settings: preset(t, "best"), Workers: 1})
			if res.Report.Trunk.Again != 1 {
				t.Errorf("%d nodes are computed again", res.Report.Trunk.Again)
			}
			fitted := map[string]string{}
			for _, f := range res.Report.Refit.Fits {
				fitted[f.Head] += f.Way + " "
			}
			t.Logf("errors %v: %s", res.Report.Refit.Errors, res.Report.Shared)
			for _, head := range []string{"a", "b"} {
				if !strings.Contains(fitted[head], "ls") {
					t.Errorf("head %s was refitted by %q", head, fitted[head])
				}
			}
			extracted, err := transform.Extract(res.Model, "b")
			if err != nil {
				t.Fatal(err)
			}
			if out := run(t, engine(t), extracted, imageFeeds(2)); !slices.Equal(out["code"], run(t, engine(t), res.Model, imageFeeds(2))["b_code"]) {
				t.Error("the extracted head makes another code")
			}
		})
	}
}

// A head of a merged autoencoder is replaced: the trunk goes on behind the code, which the new head gets from it by a
// linear map.
func TestIntoAutoencoder(t *testing.T) {
	p := autoencoders(t, "t13")
	src := randomSamples(200, "input", 1, 28, 28)
	merged := mergeAll(t, p, src, transform.Options{Settings: preset(t, "best"), Workers: 1})
	res, in, _ := edit(t, merged.Model, transform.Edit{
		Fit: []transform.NewHead{{Head: "b", Model: zooModel(t, "autoencoder-t13-b")}},
	}, src)
	if !slices.Equal(in.Untouched, []string{"a"}) || len(res.Model.Graph().Output) != 4 {
		t.Errorf("untouched %q, outputs %v", in.Untouched, res.Model.Graph().Output)
	}
	if was, is := judged(merged.Report.HeldOut, "b"), judged(in.New[0].HeldOut, "b"); is > 1.5*was+0.02 {
		t.Errorf("the new head is off by %.3f, the merged one by %.3f", is, was)
	}
}

// The heads' own codes, refitted, are nearer to their sources' than the trunk's features in each head's order.
func TestOwnCodesAreNearer(t *testing.T) {
	ctx := context.Background()
	p := autoencoders(t, "t13")
	trunk := findTrunk(t, p, merge.Cut{})
	fit, held := randomSamples(300, "input", 1, 28, 28), randomSamples(40, "input", 1, 28, 28)
	stats, err := p.Measure(ctx, engine(t), trunk, fit, false, captureOptions(1))
	if err != nil {
		t.Fatal(err)
	}
	as, err := p.Assign(trunk, stats, transform.Settings{Match: "zip", Represent: "mean", Alpha: 0.3, Beta: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := build(t, p, trunk, as)
	if _, err := p.LeastSquares(ctx, engine(t), trunk, as, m, fit, held, refit.Options{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	const code = "code_inner" // of the trunk
	shared := m.Model.Clone()
	shared.Graph().Output = append(shared.Graph().Output, onnx.NewValueInfo(code, onnx.Float, nil))
	got := run(t, engine(t), shared, imageFeeds(20))
	for i, head := range []string{"a", "b"} {
		want := run(t, engine(t), p.Originals[i], imageFeeds(20))["code"]
		to, _, width := as.Map(trunk.Analysis.Layouts(i, code)[1], i, 2)
		handed := make([]float64, len(want))
		for k := range handed {
			handed[k] = got[code][k/len(to)*width+to[k%len(to)]]
		}
		own, trunks := squaredError(got[head+"_code"], want), squaredError(handed, want)
		t.Logf("head %s: squared error of its own code %.3f, of the trunk's %.3f, relative to the variance", head, own, trunks)
		if !(own < trunks) {
			t.Errorf("head %s: its own code is off by %.3f, the trunk's by %.3f", head, own, trunks)
		}
	}
}

// squaredError is that of got, relative to the variance of want.
func squaredError(got, want []float64) float64 {
	mean, off, variance := 0.0, 0.0, 0.0
	for _, v := range want {
		mean += v / float64(len(want))
	}
	for k, v := range want {
		off += (got[k] - v) * (got[k] - v)
		variance += (v - mean) * (v - mean)
	}
	return off / variance
}

// hidden is a network of residual sums that hands out all of them, and the attention-like tail that reads a projection.
const hidden = `
	input x f32[N,6]
	p = init f32[8,6] random(SEED1)
	h0 = Gemm(x, p) {transB=1}
	a1 = init f32[16,8] random(SEED2)
	b1 = init f32[8,16] random(SEED3)
	u1 = Gemm(h0, a1) {transB=1}
	r1 = Relu(u1)
	v1 = Gemm(r1, b1) {transB=1}
	h1 = Add(h0, v1)
	a2 = init f32[16,8] random(SEED4)
	b2 = init f32[8,16] random(SEED5)
	u2 = Gemm(h1, a2) {transB=1}
	r2 = Relu(u2)
	v2 = Gemm(r2, b2) {transB=1}
	h2 = Add(h1, v2)
	c = init f32[5,8] random(SEED6)
	y = Gemm(h2, c) {transB=1}
	output y f32[N,5]
`

// Outputs behind a residual sum are handed out from the trunk, in each head's own order; so are those whose weights are
// dear. Nothing is computed again for them.
func TestHiddenStatesAreHandedOut(t *testing.T) {
	model := func(seed int, outputs string) *onnx.Model {
		return onnxtest.Build(t, strings.ReplaceAll(hidden, "SEED", fmt.Sprint(seed))+outputs)
	}
	feeds := map[string]*onnx.Tensor{"x": onnxtest.Random(3, onnx.Float, 4, 6)}
	for _, c := range []struct {
		name, outputs   string
		again, gathered []string
	}{
		{"sums", "output h1 f32[N,8]\noutput h2 f32[N,8]", nil, []string{"h1", "h2"}},
		{"dear weights", "output r1 f32[N,16]\noutput r2 f32[N,16]", nil, []string{"r1", "r2"}},
		{"cheap weights", "output h0 f32[N,8]\noutput h1 f32[N,8]", []string{"h0_inner"}, []string{"h1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, model(1, c.outputs), model(2, c.outputs))
			trunk := findTrunk(t, p, merge.Cut{})
			if n := len(trunk.Groups); n != 9 {
				t.Errorf("%d nodes are shared: %v", n, trunk.Ends)
			}
			var again []string
			for _, n := range trunk.Again(p.Sources, 1) {
				again = append(again, n.GetOutput()[0])
			}
			if !slices.Equal(again, c.again) {
				t.Errorf("%q are computed again, want %q", again, c.again)
			}
			m := build(t, p, trunk, full(t, p, trunk))
			if m.Gathers != 2*len(c.gathered) {
				t.Errorf("%d Gathers for %q of two heads", m.Gathers, c.gathered)
			}
			newChecker(t, engine(t), p, feeds).check(t, p, m, tolerance)
			for _, proof := range prove(t, model(1, c.outputs)) {
				if !proof.Passed {
					t.Errorf("%s: %.2g", proof.Name, proof.Deviation)
				}
			}
		})
	}
}

func prove(t *testing.T, m *onnx.Model) []transform.Proof {
	t.Helper()
	proofs, err := transform.Prove(context.Background(), engine(t), m, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return proofs
}

const cached = `
	input x f32[N,3,4]
	wq = init f32[4,6] random(SEED1)
	wk = init f32[4,6] random(SEED2)
	wv = init f32[4,6] random(SEED3)
	wp = init f32[4,4] random(SEED4)
	wo = init f32[6,5] random(SEED5)
	wy = init f32[5,2] random(SEED6)
	to = init i64[4] {0,3,2,3}
	back = init i64[3] {0,3,6}
	p = MatMul(x, wp)
	t = Tanh(p)
	q0 = MatMul(t, wq)
	k0 = MatMul(t, wk)
	v0 = MatMul(t, wv)
	q1 = Reshape(q0, to)
	k1 = Reshape(k0, to)
	v1 = Reshape(v0, to)
	q = Transpose(q1) {perm=[0,2,1,3]}
	k = Transpose(k1) {perm=[0,2,3,1]}
	v = Transpose(v1) {perm=[0,2,1,3]}
	s = MatMul(q, k)
	a = Softmax(s) {axis=-1}
	o = MatMul(a, v)
	o1 = Transpose(o) {perm=[0,2,1,3]}
	o2 = Reshape(o1, back)
	h = MatMul(o2, wo)
	y = MatMul(h, wy)
	output y f32[N,3,2]
	output k f32[N,2,3,3]
	output v f32[N,2,3,3]
	output a f32[N,2,3,3]
`

// Keys and values of an attention lie on two axes, heads and what is inside, and cannot be handed on in another order:
// heads that hand them out make them again, and the trunk goes on. Attention weights count heads only.
func TestKeysAndValuesAreHandedOut(t *testing.T) {
	model := func(seed int) *onnx.Model {
		return onnxtest.Build(t, strings.ReplaceAll(cached, "SEED", fmt.Sprint(seed)))
	}
	p := prepare(t, model(1), model(2))
	trunk := findTrunk(t, p, merge.Cut{})
	if last := p.Sources.Models[0].Index.Producer("h"); !trunk.Has(p.Sources, last) {
		t.Errorf("%d nodes are shared: %v", len(trunk.Groups), trunk.Ends)
	}
	var again []string
	for _, n := range trunk.Again(p.Sources, 0) {
		again = append(again, n.GetOutput()[0])
	}
	if slices.Sort(again); !slices.Equal(again, []string{"k0", "k1", "k_inner", "v0", "v1", "v_inner"}) {
		t.Errorf("computed again: %q", again)
	}
	as := merge.Assignments{}
	for _, sp := range trunk.Analysis.Spaces { // the other way round: heads, and what is inside
		var order []int
		for k := range sp.Dim {
			order = append(order, sp.Dim-1-k)
		}
		as[sp] = merge.Average(match.Zip{Width: sp.Dim, Of: slices.Concat(order, order)})
	}
	if m := build(t, p, trunk, as); m.Gathers != 2 {
		t.Errorf("%d Gathers for the attention weights of two heads", m.Gathers)
	}
	for _, m := range []*onnx.Model{model(1), model(2)} {
		for _, proof := range prove(t, m) {
			if !proof.Passed {
				t.Errorf("%s: output %q deviates by %.2g", proof.Name, proof.Output, proof.Deviation)
			}
		}
	}
}

// A merged file is merged again: its outputs keep their names, those on the way too.
func TestMergedAutoencodersMergeAgain(t *testing.T) {
	p := autoencoders(t, "t13")
	src := randomSamples(60, "input", 1, 28, 28)
	for _, method := range []string{"ensemble", "zip"} {
		first := mergeAll(t, p, src, transform.Options{Settings: preset(t, method), Workers: 1})
		again, err := transform.Prepare([]*onnx.Model{first.Model, zooModel(t, "autoencoder-t13-b")}, transform.PrepareOptions{Heads: []string{"m", "c"}})
		if err != nil {
			t.Fatal(err)
		}
		res := mergeAll(t, again, src, transform.Options{Settings: preset(t, "zip"), Workers: 1})
		var names []string
		for _, v := range res.Model.Graph().GetOutput() {
			names = append(names, v.GetName())
		}
		if slices.Sort(names); !slices.Equal(names, []string{"a_code", "a_image", "b_code", "b_image", "c_code", "c_image"}) {
			t.Errorf("%s: outputs %q", method, names)
		}
		t.Logf("%s: %s", method, res.Report.Shared)
	}
}
