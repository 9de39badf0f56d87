package transform_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"pgregory.net/rapid"
)

// uneven counts the spaces of a trunk whose widths differ between the models.
func uneven(trunk *merge.Trunk) int {
	n := 0
	for _, sp := range trunk.Analysis.Spaces {
		if !sp.Even() {
			n++
		}
	}
	return n
}

// anywhere are steps that can be shared whatever the widths: the others take places among the features.
func anywhere() []step {
	return slices.DeleteFunc(slices.Clone(zipSteps), func(s step) bool {
		return slices.Contains([]string{"gated unit", "slice", "shuffle", "shuffled units", "skip over a bottleneck"}, s.name)
	})
}

func TestFullWidthOfUnevenModels(t *testing.T) {
	e := engine(t)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, anywhere())
		rt.Log(describe(plan))
		styles := []style{{seed: 1}, {seed: 2, wide: rapid.IntRange(1, 3).Draw(rt, "wide")}}
		if rapid.Bool().Draw(rt, "three") {
			styles = append(styles, style{seed: 3, wide: rapid.IntRange(0, 3).Draw(rt, "third")})
		}
		p := prepare(rt, plan.models(t, styles...)...)
		trunk := findTrunk(rt, p, merge.Cut{})
		if n := len(p.Sources.Models[0].Index.Order); len(trunk.Groups) != n-1 {
			rt.Fatalf("%d of %d nodes shared: %v", len(trunk.Groups), n, trunk.Ends)
		}
		if uneven(trunk) == 0 {
			rt.Fatal("all widths are the same")
		}
		newChecker(rt, e, p, netFeeds(onnx.Float)).check(rt, p, build(rt, p, trunk, full(rt, p, trunk)), randomTolerance)
	})
}

// Operators that no width per model fits end the trunk, or are shared; they never come out wrong.
func TestUnevenModelsOfAllSteps(t *testing.T) {
	e := engine(t)
	steps := append(append([]step(nil), zipSteps...), permuteSteps...)
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, steps)
		rt.Log(describe(plan))
		p := prepare(rt, plan.models(t, style{seed: 1, wide: rapid.IntRange(0, 3).Draw(rt, "first")}, style{seed: 2, wide: rapid.IntRange(0, 3).Draw(rt, "second")})...)
		trunk := findTrunk(rt, p, merge.Cut{})
		m := build(rt, p, trunk, full(rt, p, trunk))
		limit := randomTolerance
		if slices.ContainsFunc(trunk.Analysis.Spaces, func(s *space.Space) bool { return s.Mode != space.Zip }) {
			limit = math.Inf(1) // of as many features in both: they are averaged by position, but run
		}
		newChecker(rt, e, p, netFeeds(onnx.Float)).check(rt, p, m, limit)
	})
}

// widened is a model that computes the same with more features: random ones of those that may be zipped are there twice,
// and whatever reads them has half the weight for each. of says for each space which feature each of its own is.
func widened(t fataler, m *onnx.Model, seed uint64) (wide *onnx.Model, of map[string][]int) {
	t.Helper()
	p := prepare(t, m, m.Clone())
	trunk := findTrunk(t, p, merge.Cut{Distinct: true})
	r := rand.New(rand.NewPCG(seed, 3))
	orders := permutations(trunk, seed)
	as := merge.Assignments{}
	of = map[string][]int{}
	for _, s := range trunk.Analysis.Spaces {
		z := match.Zip{Width: s.Dim, Of: orders[s]}
		mine := make([]int, s.Dim)
		for f, q := range orders[s] {
			mine[q] = f
		}
		for f := range s.Dim {
			if s.Mode == space.Zip && s.Fixed == "" && r.IntN(2) == 0 {
				z.Of, mine = append(z.Of, z.Width), append(mine, f)
				z.Width++
			} else {
				z.Of = append(z.Of, z.Of[f])
			}
		}
		as[s], of[nth(trunk, s)] = merge.Average(z), mine
	}
	merged := build(t, p, trunk, as)
	g := merged.Model.Graph()
	g.Output = slices.DeleteFunc(g.Output, func(v *onnx.ValueInfo) bool { return !slices.Contains(merged.Outputs[0], v.GetName()) })
	dropDead(t, g)
	merged.Model.File = "wide.onnx"
	return merged.Model, of
}

// nth names a space: those that one axis holds have one name, so they are numbered.
func nth(trunk *merge.Trunk, s *space.Space) string {
	n := 0
	for _, other := range trunk.Analysis.Spaces {
		if other.Name == s.Name && other.ID < s.ID {
			n++
		}
	}
	return fmt.Sprint(s.Name, " ", n)
}

// dropDead takes out nodes that no output needs.
func dropDead(t fataler, g *onnx.Graph) {
	needed := map[string]bool{}
	for _, v := range g.GetOutput() {
		needed[v.GetName()] = true
	}
	var nodes []*onnx.Node
	for _, n := range slices.Backward(g.GetNode()) {
		if !slices.ContainsFunc(n.GetOutput(), func(v string) bool { return needed[v] }) {
			continue
		}
		nodes = append(nodes, n)
		for _, v := range onnx.Reads(n) {
			needed[v] = true
		}
	}
	slices.Reverse(nodes)
	g.Node = nodes
	g.Initializer = slices.DeleteFunc(g.Initializer, func(w *onnx.TensorProto) bool { return !needed[w.GetName()] })
}

// checkWidened zips a model with its widened copy: the model comes out, at its own width.
func checkWidened(t fataler, tb testing.TB, m *onnx.Model, feeds map[string]*onnx.Tensor, seed uint64, limit float64) (shared int) {
	t.Helper()
	wide, of := widened(t, m, seed)
	p := prepare(t, m, wide)
	trunk := findTrunk(t, p, merge.Cut{Distinct: true})
	as := full(t, p, trunk)
	for _, s := range trunk.Analysis.Spaces {
		mine := of[nth(trunk, s)]
		if len(mine) != s.In(1) || slices.Max(append([]int{0}, mine...)) != s.Dim-1 {
			if s.Mode != space.Zip { // as many in both, which are averaged by position, but run
				limit = math.Inf(1)
			}
			continue // a shorter trunk divides the features otherwise: they stay apart
		}
		z := match.Zip{Width: s.Dim}
		for f := range s.Dim {
			z.Of = append(z.Of, f)
		}
		z.Of = append(z.Of, mine...)
		as[s] = merge.Average(z)
		if !s.Even() {
			shared++
		}
	}
	newChecker(t, engine(tb), p, feeds).check(t, p, build(t, p, trunk, as), limit)
	return shared
}

func TestWidenedCopyGivesTheModel(t *testing.T) {
	for _, name := range []string{"mlp", "vgg", "resnet20"} {
		if checkWidened(t, t, real(t, name+"_a"), imageFeeds(3), 7, tolerance) < 3 {
			t.Errorf("%s: hardly a space has two widths", name)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, append(append([]step(nil), zipSteps...), permuteSteps...))
		rt.Log(describe(plan))
		checkWidened(rt, t, plan.model(t, style{seed: 1}), netFeeds(onnx.Float), rapid.Uint64().Draw(rt, "seed"), randomTolerance)
	})
}

// Matched by data, at the mean of both widths and at the narrower one: features that are there twice come together.
func TestWidenedCopyIsMatched(t *testing.T) {
	ctx, e := context.Background(), engine(t)
	for _, name := range []string{"mlp", "vgg"} {
		m := real(t, name+"_a")
		wide, _ := widened(t, m, 5)
		p := prepare(t, wide, m)
		trunk := findTrunk(t, p, merge.Cut{Distinct: true})
		if uneven(trunk) == 0 {
			t.Fatal("all widths are the same")
		}
		_, src := pairOf(t, name, "a", "b")
		stats, err := p.Measure(ctx, e, trunk, src, false, calibrate.CaptureOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"zip", "subset"} {
			s := preset(t, "best")
			s.Match, s.Alpha = way, 1 // no price for joining two features of one model
			as, err := p.Assign(trunk, stats, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, sp := range trunk.Analysis.Spaces {
				if mean := (sp.In(0) + sp.In(1) + 1) / 2; as[sp].Width != mean {
					t.Errorf("%s by %s: space %s of %v features has width %d, want %d", name, way, sp.Name, sp.Dims, as[sp].Width, mean)
				}
			}
			newChecker(t, e, p, imageFeeds(20)).check(t, p, build(t, p, trunk, as), 1e-4)
		}
	}
}

// mlpText is a perceptron of two hidden layers.
func mlpText(seed, one, two int) string {
	return fmt.Sprintf(`
		opset 17
		input x f32[N,12]
		w1 = init f32[%[2]d,12] random(%[1]d01)
		b1 = init f32[%[2]d] random(%[1]d02)
		h1 = Gemm(x, w1, b1) {transB=1}
		r1 = Relu(h1)
		w2 = init f32[%[3]d,%[2]d] random(%[1]d03)
		b2 = init f32[%[3]d] random(%[1]d04)
		h2 = Gemm(r1, w2, b2) {transB=1}
		r2 = Relu(h2)
		w3 = init f32[4,%[3]d] random(%[1]d05)
		y = Gemm(r2, w3) {transB=1}
		output y f32[N,4]
	`, seed, one, two)
}

func unevenMLPs(t testing.TB) *transform.Prepared {
	t.Helper()
	var models []*onnx.Model
	for i, text := range []string{mlpText(1, 8, 6), mlpText(2, 16, 10)} {
		m := onnxtest.Build(t, text)
		m.File = fmt.Sprintf("mlp%d.onnx", i)
		models = append(models, m)
	}
	return prepare(t, models...)
}

// Every way to merge ends in a file that passes its checks.
func TestMethodsOnUnevenModels(t *testing.T) {
	ctx, e := context.Background(), engine(t)
	src := randomSamples(600, "x", 12)
	p := unevenMLPs(t)
	for _, c := range []struct {
		method, match, represent, base string
		budget                         float64
		widths                         []int
	}{
		{"best", "", "", "", 0, []int{12, 8}},
		{"best", "", "", "", 0.5, nil},
		{"best", "", "", "", 1.5, nil},
		{"best", "subset", "", "", 0, []int{12, 8}},
		{"best", "", "select", "", 0, []int{12, 8}},
		{"zip", "", "", "", 0, []int{12, 8}},
		{"zipit", "", "", "", 0, []int{12, 8}},
		{"halves", "", "", "", 0, []int{12, 8}},
		{"graft", "", "", "a", 0, []int{8, 6}},
		{"graft", "", "", "b", 0, []int{16, 10}},
		{"average", "full", "", "", 0, []int{24, 16}},
		{"ensemble", "", "", "", 0, nil},
	} {
		s := preset(t, c.method)
		if c.match != "" {
			s.Match = c.match
		}
		if c.represent != "" {
			s.Represent = c.represent
		}
		s.Base, s.Budget = c.base, c.budget
		res, err := p.Merge(ctx, e, src, transform.Options{Settings: s, Controls: true, Judge: true})
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if _, err := p.Verify(ctx, e, res.Model, res, src); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		var widths []int
		for _, sp := range res.Report.Spaces {
			widths = append(widths, sp.Width)
		}
		if c.widths != nil && !slices.Equal(widths, c.widths) {
			t.Errorf("%+v: widths %v", c, widths)
		}
		mean := float64(res.Report.Cost.EnsembleFLOPs) / 2
		if c.budget > 0 && float64(res.Report.Cost.FLOPs) > c.budget*mean {
			t.Errorf("%+v: %d FLOPs of %g", c, res.Report.Cost.FLOPs, mean)
		}
		if got := res.Report.HeldOut.RelativeError(); (c.match == "full" || c.method == "ensemble") && got > 1e-5 {
			t.Errorf("%+v: error %g", c, got)
		}
		if c.method == "graft" { // the base's trunk computes what it did
			for _, j := range res.Report.HeldOut {
				if j.Head == c.base && j.RelativeError > 1e-5 {
					t.Errorf("%+v: the base's head has an error of %g", c, j.RelativeError)
				}
			}
		}
		for _, control := range res.Report.Controls {
			if control.FLOPs > res.Report.Cost.FLOPs {
				t.Errorf("%+v: control %s is dearer", c, control.Name)
			}
		}
	}
}

func TestUnevenModelsAreNotJoinedOneToOne(t *testing.T) {
	ctx, e := context.Background(), engine(t)
	src := randomSamples(100, "x", 12)
	p := unevenMLPs(t)
	for _, way := range []string{"permute", "identity", "random"} {
		s := preset(t, "best")
		s.Match = way
		_, err := p.Merge(ctx, e, src, transform.Options{Settings: s})
		f := fault.As(err)
		if err == nil || f.Kind != fault.Usage || f.Hint == "" || !strings.Contains(err.Error(), "the models have [8 16] of them") {
			t.Errorf("%s: %v", way, err)
		}
	}
	s := preset(t, "permute")
	s.DataFree = true
	if _, err := p.Merge(ctx, e, nil, transform.Options{Settings: s}); err == nil || fault.As(err).Code != "uneven_data_free" {
		t.Errorf("data-free: %v", err)
	}
}

// What needs as many features in each model ends the trunk, and says so.
func TestWhatEndsAnUnevenTrunk(t *testing.T) {
	const whole = `"y" is an output of the model`
	for _, c := range []struct {
		name   string
		op     string // makes z of r, which has WIDTH features
		last   string // features of z
		shared string // a value that the trunk holds
		not    string // one that it does not
		why    string
	}{
		{"depthwise", "w = init f32[WIDTH,1,3,3] random(1)\nz = Conv(r, w) {group=WIDTH, pads=[1,1,1,1]}", "WIDTH", "k", "y", whole},
		{"prelu", "w = init f32[WIDTH,1,1] random(1)\nz = PRelu(r, w)", "WIDTH", "k", "y", whole},
		{"one slope for all", "w = init f32[1] random(WIDTH, 0.1, 0.4)\nz = PRelu(r, w)", "WIDTH", "k", "y", whole},
		{"shape", "s = Shape(r)\nz = Reshape(r, s)", "WIDTH", "k", "y", whole},
		{"reshape", "s = init i64[4]{0,WIDTH,3,12}\nz = Reshape(r, s)", "WIDTH", "k", "y", whole},
		{"split", "s = init i64[2]{HALF,HALF}\na, b = Split(r, s) {axis=1}\nz = Mul(a, b)", "HALF", "k", "y", whole},
		{"pad", "p = init i64[8]{0,WIDTH,0,0,0,0,0,0}\nz = Pad(r, p)", "TWICE", "k", "y", whole},
		{"slice", "i = init i64[1]{HALF}\ne = init i64[1]{WIDTH}\na = init i64[1]{1}\nz = Slice(r, i, e, a)", "HALF", "k", "y", whole},
		{"norm", "t = Transpose(r) {perm=[0,2,3,1]}\ns = init f32[WIDTH] random(1)\nl = LayerNormalization(t, s) {axis=-1}\nz = Transpose(l) {perm=[0,3,1,2]}", "WIDTH", "r", "l",
			"the features are 4 in model 1, 8 in model 2, and LayerNormalization \"l\" normalises over the features"},
		{"softmax", "z = Softmax(r) {axis=1}", "WIDTH", "r", "z", "the features are 4 in model 1, 8 in model 2, and Softmax \"z\" normalises over the features"},
		{"groups", "w = init f32[WIDTH,HALF,3,3] random(1)\nz = Conv(r, w) {group=2, pads=[1,1,1,1]}", "WIDTH", "r", "z", "the features are 4 in model 1, 8 in model 2, and Conv \"z\" divides the features into groups"},
		{"groups of two", "w = init f32[WIDTH,2,3,3] random(1)\nz = Conv(r, w) {group=HALF, pads=[1,1,1,1]}", "WIDTH", "r", "z", "divided into different numbers of heads"},
		{"gather", "i = init i64[2]{1,LESS}\nz = Gather(r, i) {axis=1}", "2", "r", "z", `constant "i" differs between the models: [[1 3] [1 7]]`},
		{"positions", "s = init i64[2]{HALF,REST}\na, b = Split(r, s) {axis=2}\nz = Identity(a)", "WIDTH", "r", "a", `axis 2 of "a" has size 2, and 4 in model 2`},
		{"window", "w = init f32[WIDTH,WIDTH,HALF,1] random(1)\nz = Conv(r, w)", "WIDTH", "r", "z", "attribute kernel_shape: [2 1] against [4 1]"},
	} {
		var models []*onnx.Model
		for i, n := range []int{4, 8} {
			m := onnxtest.Build(t, strings.NewReplacer("LAST", strings.NewReplacer("WIDTH", fmt.Sprint(n), "HALF", fmt.Sprint(n/2), "TWICE", fmt.Sprint(2*n)).Replace(c.last),
				"WIDTH", fmt.Sprint(n), "HALF", fmt.Sprint(n/2), "REST", fmt.Sprint(6-n/2), "LESS", fmt.Sprint(n-1)).Replace(fmt.Sprintf(`
				opset 17
				input x f32[M,4,6,6]
				w1 = init f32[WIDTH,4,3,3] random(10)
				c = Conv(x, w1) {pads=[1,1,1,1]}
				r = Relu(c)
				%s
				g = GlobalAveragePool(z)
				f = Flatten(g)
				w2 = init f32[7,LAST] random(11)
				h = Gemm(f, w2) {transB=1}
				k = Relu(h)
				w3 = init f32[3,7] random(12)
				y = Gemm(k, w3) {transB=1}
				output y f32[M,3]
			`, c.op)))
			m.File = fmt.Sprintf("m%d.onnx", i)
			models = append(models, m)
		}
		p := prepare(t, models...)
		trunk := findTrunk(t, p, merge.Cut{})
		holds := func(v string) bool {
			n := p.Sources.Models[0].Index.Producer(v)
			return n != nil && trunk.Has(p.Sources, n)
		}
		if holds("r") && (!holds(c.shared) || holds(c.not)) || !strings.Contains(fmt.Sprint(trunk.Ends), c.why) {
			t.Errorf("%s: shared up to %v, ends %v", c.name, trunk.Values(p.Sources), trunk.Ends)
		}
		if uneven(trunk) == 0 {
			t.Errorf("%s: all widths are the same: %v", c.name, trunk.Ends)
			continue
		}
		feeds := map[string]*onnx.Tensor{"x": onnxtest.Random(3, onnx.Float, 2, 4, 6, 6)}
		newChecker(t, engine(t), p, feeds).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
	}
}

// Models may differ in what they do to their inputs and in their widths.
func TestUnevenModelsWithPrefixes(t *testing.T) {
	e := engine(t)
	var models []*onnx.Model
	for i, n := range []int{4, 7} {
		m := onnxtest.Build(t, strings.NewReplacer("WIDTH", fmt.Sprint(n), "FLAT", fmt.Sprint(36*n), "SEED", fmt.Sprint(i+1)).Replace(`
			opset 17
			input x f32[M,3,6,6]
			mean = init f32[3,1,1] random(SEED0)
			d = Sub(x, mean)
			w1 = init f32[WIDTH,3,3,3] random(SEED1)
			c = Conv(d, w1) {pads=[1,1,1,1]}
			r = Relu(c)
			f = Flatten(r)
			w2 = init f32[5,FLAT] random(SEED2)
			h = Gemm(f, w2) {transB=1}
			k = Relu(h)
			w3 = init f32[3,5] random(SEED3)
			y = Gemm(k, w3) {transB=1}
			output y f32[M,3]
		`))
		m.File = fmt.Sprintf("m%d.onnx", i)
		models = append(models, m)
	}
	p := prepare(t, models...)
	if p.Sources.Prefixes == nil {
		t.Fatal("no prefixes of their own")
	}
	trunk := findTrunk(t, p, merge.Cut{})
	if n := len(trunk.Common(p.Sources)); n != 5 || uneven(trunk) != 1 {
		t.Errorf("%d nodes are common, %d spaces uneven: %v", n, uneven(trunk), trunk.Ends)
	}
	feeds := map[string]*onnx.Tensor{"x": onnxtest.Random(3, onnx.Float, 2, 3, 6, 6)}
	newChecker(t, e, p, feeds).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
}

// A head counts its own features, also where the merge has as many as the first model.
func TestHeadsCountTheirOwnFeatures(t *testing.T) {
	e := engine(t)
	var models []*onnx.Model
	for i, n := range []int{4, 6} {
		m := onnxtest.Build(t, strings.NewReplacer("WIDTH", fmt.Sprint(n), "SEED", fmt.Sprint(i+1)).Replace(`
			opset 17
			input x f32[M,3]
			w = init f32[WIDTH,3] random(SEED1)
			h = Gemm(x, w) {transB=1}
			k = Relu(h)
			s = Shape(k)
			one = init f32[1]{1}
			e = Expand(one, s)
			v = init f32[2,WIDTH] random(SEED2)
			y = Gemm(k, v) {transB=1}
			output y f32[M,2]
			output e f32[M,WIDTH]
		`))
		m.File = fmt.Sprintf("m%d.onnx", i)
		models = append(models, m)
	}
	p := prepare(t, models...)
	trunk := findTrunk(t, p, merge.Cut{})
	s := preset(t, "graft")
	s.Base = "a"
	as, err := p.Assign(trunk, nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if uneven(trunk) != 1 || as[trunk.Analysis.Spaces[0]].Width != 4 {
		t.Fatalf("spaces %+v", trunk.Analysis.Spaces)
	}
	m := build(t, p, trunk, as)
	got := run(t, e, m.Model, map[string]*onnx.Tensor{"x": onnxtest.Random(3, onnx.Float, 5, 3)})
	for i, want := range []int{20, 30} {
		if n := len(got[m.Outputs[i][1]]); n != want {
			t.Errorf("head %d expands to %d numbers, want %d", i, n, want)
		}
	}
}

// TestBudgetOfUnevenModels: which of two models comes first does not matter for the widths that a budget gives, and none exceeds the
// number of features there are.
func TestBudgetOfUnevenModels(t *testing.T) {
	src := randomSamples(300, "x", 12)
	narrow, wide := onnxtest.Build(t, mlpText(1, 8, 2)), onnxtest.Build(t, mlpText(2, 24, 3))
	for _, budget := range []float64{0.5, 1.3, 1.6, 1.9} {
		var widths [2][]int
		for i, models := range [][]*onnx.Model{{narrow, wide}, {wide, narrow}} {
			s := preset(t, "best")
			s.Budget, s.Refit = budget, "none"
			res := mergeAll(t, prepare(t, models...), src, transform.Options{Settings: s})
			for _, sp := range res.Report.Spaces {
				widths[i] = append(widths[i], sp.Width)
				if all := sp.Dims[0] + sp.Dims[1]; sp.Width > all {
					t.Errorf("%gx: space %q has width %d of %d features", budget, sp.Name, sp.Width, all)
				}
			}
		}
		if !slices.Equal(widths[0], widths[1]) {
			t.Errorf("%gx: widths %v, and %v with the wide model first", budget, widths[0], widths[1])
		}
	}
}
