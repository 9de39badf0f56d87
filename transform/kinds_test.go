package transform_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Models of one architecture are recognised whatever their exporters called things.
func TestNamesOrdersAndHeadsMayDiffer(t *testing.T) {
	plan := planOf(2, "residual", "squeeze and excitation", "affine", "dense", "skip over a bottleneck", "padded shortcut", "conv")
	p := prepare(t,
		plan.model(t, style{seed: 1, classes: 5}),
		plan.model(t, style{seed: 2, classes: 7, prefix: "second/", swap: true}),
		plan.model(t, style{seed: 3, classes: 5, prefix: "z.", reverse: true}))
	nodes := len(p.Sources.Models[0].Index.Order)
	trunk := findTrunk(t, p, merge.Cut{})
	if len(trunk.Groups) != nodes-1 {
		t.Errorf("%d of %d nodes shared: %v", len(trunk.Groups), nodes, trunk.Ends)
	}
	if f := p.Sources.Pairing.First; f == nil || !strings.Contains(f.Why, "shape [5 6] against [7 6]") {
		t.Errorf("first difference %+v", f)
	}
	newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
}

const twoOutputs = `
	input P_left f32[4,6]
	input P_right f32[4,6]
	P_u = init f32[5,6] random(SEED1)
	P_v = init f32[5,6] random(SEED2)
	P_l = Gemm(P_left, P_u) {transB=1}
	P_r = Gemm(P_right, P_v) {transB=1}
	P_s = Add(P_l, P_r)
	P_h = Tanh(P_s)
	P_w = init f32[4,5] random(SEED3)
	P_k = Gemm(P_h, P_w) {transB=1}
	P_g = Relu(P_k)
	P_x = init f32[3,4] random(SEED4)
	P_one = Gemm(P_g, P_x) {transB=1}
	P_two = Softmax(P_h)
	output P_one
	output P_two
	output P_left
`

func twoOutputModel(t testing.TB, prefix string, seed int) *onnx.Model {
	text := strings.NewReplacer("P_", prefix, "SEED", fmt.Sprint(seed)).Replace(twoOutputs)
	return onnxtest.Build(t, text)
}

// Several inputs, of other names, and several outputs, of which one is an input and one the end of a branch.
func TestSeveralInputsAndOutputs(t *testing.T) {
	models := []*onnx.Model{twoOutputModel(t, "", 1), twoOutputModel(t, "n_", 2)}
	p, err := transform.Prepare(models, transform.PrepareOptions{Heads: []string{"a", "b"},
		MapInput: map[string]map[string]string{"b": {"n_left": "left", "n_right": "right"}}})
	if err != nil {
		t.Fatal(err)
	}
	trunk := findTrunk(t, p, merge.Cut{})
	m := build(t, p, trunk, full(t, p, trunk))
	want := [][]string{{"a_one", "a_two", "a_left"}, {"b_n_one", "b_n_two", "b_n_left"}}
	for i := range want {
		if !slices.Equal(m.Outputs[i], want[i]) {
			t.Errorf("outputs of head %d: %q, want %q", i, m.Outputs[i], want[i])
		}
	}
	feeds := map[string]*onnx.Tensor{"left": onnxtest.Random(1, onnx.Float, 4, 6), "right": onnxtest.Random(2, onnx.Float, 4, 6)}
	newChecker(t, engine(t), p, feeds).check(t, p, m, tolerance)
}

// endsWith fails unless the trunk ends at a node of an operator for a reason.
func endsWith(t testing.TB, trunk *merge.Trunk, why ...string) {
	t.Helper()
	for _, e := range trunk.Ends {
		all := true
		for _, w := range why {
			all = all && strings.Contains(e.Why, w)
		}
		if all {
			return
		}
	}
	t.Errorf("the trunk ends at %v, want a reason with %q", trunk.Ends, why)
}

// branched is a network of two branches, one of which holds OP.
const branched = `
	input x f32[4,3,8,8]
	u = init f32[4,3,3,3] random(SEED1)
	v = init f32[4,3,3,3] random(SEED2)
	a = Conv(x, u)
	b = Conv(x, v)
	c = Relu(a)
	g = init f32[4,2,1,1] random(SEED3)
	d = OP
	e = Relu(b)
	f = Concat(d, e) {axis=1}
	w = init f32[5,8,1,1] random(SEED4)
	h = Conv(f, w)
	y = GlobalAveragePool(h)
	output y
`

// What pins features stays side by side, and is handed what it reads in each model's own order: the nodes that make
// those features are shared all the same.
func TestPinnedSpacesEndTheTrunk(t *testing.T) {
	for op, why := range map[string]string{
		"LRN(c) {size=3}": `LRN "d" is an operator that the analysis does not know`,
	} {
		var models []*onnx.Model
		for _, seed := range []string{"1", "2"} {
			models = append(models, onnxtest.Build(t, strings.NewReplacer("OP", op, "SEED", seed).Replace(branched)))
		}
		p := prepare(t, models...)
		trunk := findTrunk(t, p, merge.Cut{})
		if got, want := cutValues(p, trunk), []string{"a", "b", "c", "e"}; !slices.Equal(got, want) {
			t.Errorf("%s: the trunk makes %q, want %q", op, got, want)
		}
		endsWith(t, trunk, "would be pinned: "+why)
		newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
	}
}

// stream is a residual stream with readers that pin it: a normalisation over neighbouring
// channels in the middle, and an output.
const stream = `
	input x f32[4,3,8,8]
	w0 = init f32[6,3,1,1] random(SEED1)
	s0 = Conv(x, w0)
	w1 = init f32[6,6,1,1] random(SEED2)
	f1 = Conv(s0, w1)
	r1 = Relu(f1)
	s1 = Add(s0, r1)
	odd = LRN(s1) {size=3}
	w2 = init f32[6,6,3,3] random(SEED3)
	f2 = Conv(s1, w2) {pads=[1,1,1,1]}
	s2 = Add(s1, f2)
	w3 = init f32[6,6,1,1] random(SEED4)
	f3 = Conv(s2, w3)
	y = Add(s2, f3)
	w4 = init f32[5,6,1,1] random(SEED5)
	l = Conv(s2, w4)
	logits = GlobalAveragePool(l)
	output y
	output logits
	output odd
`

// Readers outside of the trunk pin nothing inside it; the last weights before an output stay in the head.
func TestReadersInHeadsPinNothing(t *testing.T) {
	var models []*onnx.Model
	for _, seed := range []string{"1", "2"} {
		models = append(models, onnxtest.Build(t, strings.ReplaceAll(stream, "SEED", seed)))
	}
	p := prepare(t, models...)
	trunk := findTrunk(t, p, merge.Cut{})
	if got, want := cutValues(p, trunk), []string{"s0", "f1", "r1", "s1", "f2", "s2"}; !slices.Equal(got, want) {
		t.Errorf("the trunk makes %q, want %q", got, want)
	}
	endsWith(t, trunk, `"odd" is an output of the model`)
	endsWith(t, trunk, `it makes the features of output "y"`)
	endsWith(t, trunk, `it makes the features of output "logits"`)
	for _, sp := range trunk.Analysis.Spaces {
		if sp.Mode != space.Zip {
			t.Errorf("space %q is %v: %s", sp.Name, sp.Mode, sp.Reasons())
		}
	}
	for _, sp := range trunk.PinnedOutside(p.Sources) {
		if n := p.Sources.Models[0].Index.Producer(sp.Name); n != nil && trunk.Has(p.Sources, n) {
			t.Errorf("space %q of the trunk is listed as pinned: %s", sp.Name, sp.Reasons())
		}
	}
	newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
}

// Where the models are one up to there, pinned axes are shared as they are, whatever their sizes.
func TestIdenticalTrunksPassPinnedAxes(t *testing.T) {
	for _, batch := range []string{"4", "N"} {
		for _, op := range []string{"Conv(c, g) {group=2}", "LRN(c) {size=3}"} {
			var models []*onnx.Model
			for _, seed := range []string{"1", "2"} {
				text := strings.NewReplacer("[4,3,8,8]", "["+batch+",3,8,8]", "OP", op, "SEED4", "9"+seed, "SEED", "").Replace(branched)
				models = append(models, onnxtest.Build(t, text))
			}
			p := prepare(t, models...)
			trunk := findTrunk(t, p, merge.Cut{})
			if len(trunk.Groups) < 6 || !trunk.IsIdentical(trunk.Groups[5]) {
				t.Fatalf("%s: only %q are shared: %v", op, cutValues(p, trunk), trunk.Ends)
			}
			newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, full(t, p, trunk)), 0)
		}
	}
}

func TestFrozenTrunkIsExact(t *testing.T) {
	p := prepare(t, real(t, "frozen_a"), real(t, "frozen_b"))
	trunk := findTrunk(t, p, merge.Cut{})
	if !trunk.Exact {
		t.Error("the trunk is not known to be exact")
	}
	as, err := p.Assign(trunk, nil, transform.Settings{Match: "zip", Represent: "mean", Refit: "none"})
	if err != nil {
		t.Fatal(err)
	}
	newChecker(t, engine(t), p, imageFeeds(3)).check(t, p, build(t, p, trunk, as), 0)
}

func TestDifferingConstantsEndTheTrunk(t *testing.T) {
	text := `
		input x f32[4,3,8,8]
		mean = init f32[1,3,1,1] {0.1,0.2,MEAN}
		n = Sub(x, mean)
		r = Tanh(n)
		w = init f32[5,3,3,3] random(1)
		c = Conv(r, w)
		y = GlobalAveragePool(c)
		output y
	`
	build := func(mean string) *onnx.Model { return onnxtest.Build(t, strings.Replace(text, "MEAN", mean, 1)) }
	p := prepare(t, build("0.5"), build("0.25"))
	trunk := findTrunk(t, p, merge.Cut{})
	if len(trunk.Groups) != 0 {
		t.Errorf("nodes %q are shared", cutValues(p, trunk))
	}
	endsWith(t, trunk, `constant "mean" differs`, "0.5", "0.25")
	same := prepare(t, build("0.5"), build("0.5"))
	if trunk := findTrunk(t, same, merge.Cut{}); len(trunk.Groups) != 3 {
		t.Errorf("with equal means %q are shared: %v", cutValues(same, trunk), trunk.Ends)
	}
}

// A table that is read as an embedding and as the output matrix has two roles; it is not averaged.
func TestTiedEmbeddingIsNotMerged(t *testing.T) {
	text := `
		input i i64[4,5]
		table = init f32[9,6] random(SEED1)
		x = Gather(table, i)
		w = init f32[6,6] random(SEED2)
		m = MatMul(x, w)
		r = Tanh(m)
		tt = Transpose(table)
		z = MatMul(r, tt)
		y = Softmax(z)
		output y
	`
	var models []*onnx.Model
	for _, seed := range []string{"1", "2"} {
		models = append(models, onnxtest.Build(t, strings.ReplaceAll(text, "SEED", seed)))
	}
	p := prepare(t, models...)
	trunk := findTrunk(t, p, merge.Cut{})
	feeds := map[string]*onnx.Tensor{"i": onnxtest.RandomBetween(1, 0, 9, onnx.Int64, 4, 5)}
	newChecker(t, engine(t), p, feeds).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
}

func TestHalfPrecision(t *testing.T) {
	plan := planOf(0, "residual", "conv", "dense", "conv")
	a := plan.model(t, style{seed: 1, dtype: "f16"})
	p := prepare(t, a, plan.model(t, style{seed: 2, dtype: "f16"}))
	trunk := findTrunk(t, p, merge.Cut{})
	m := build(t, p, trunk, full(t, p, trunk))
	if err := p.Precision.Restore(m.Model); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Model.Graph().GetInitializer() {
		if d := onnx.DType(w.GetDataType()); d != onnx.Float16 {
			t.Errorf("weight %q is of type %v", w.GetName(), d)
		}
	}
	c := newChecker(t, engine(t), p, netFeeds(onnx.Float16))
	c.check(t, p, m, 1e-2)
	w := newTwins(t, a, 5)
	twin := build(t, w.p, w.trunk, w.assignments(t, w.trunk))
	w.checkBits(t, twin, w.assignments(t, w.trunk))
}

// The same models and data give the same bytes, however many runs go on at once.
func TestSameBytes(t *testing.T) {
	e := engine(t)
	var first []byte
	for _, workers := range []int{1, 4, 1} {
		p := prepare(t, real(t, "mlp_a"), real(t, "mlp_b"))
		trunk := findTrunk(t, p, merge.Cut{})
		stats, err := p.Measure(context.Background(), e, trunk, randomSamples(200, "input", 1, 28, 28), true,
			captureOptions(workers))
		if err != nil {
			t.Fatal(err)
		}
		settings, _ := transform.Preset("zip")
		as, err := p.Assign(trunk, stats, settings)
		if err != nil {
			t.Fatal(err)
		}
		data, err := build(t, p, trunk, as).Model.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		} else if !bytes.Equal(first, data) {
			t.Errorf("%d workers give another file", workers)
		}
	}
}

// Pairing does not depend on the order of the models but for names: each pair is found from either side.
func TestPairingIsSymmetric(t *testing.T) {
	for _, name := range realPairs {
		a, b := real(t, name+"_a"), real(t, name+"_b")
		x, y := prepare(t, a, b).Sources.Pairing, prepare(t, b, a).Sources.Pairing
		count := func(p *pair.Pairing) int { return len(p.Nodes) }
		if count(x) != count(y) {
			t.Errorf("%s: %d pairs one way, %d the other", name, count(x), count(y))
		}
	}
}

// One slope for all channels, and a learned gain of a residual branch, differ between models: each feature gets its own. Equal
// ones stay single.
func TestScalarsThatDiffer(t *testing.T) {
	text := `
		input x f32[4,3,8,8]
		u = init f32[6,3,3,3] random(SEED1)
		a = Conv(x, u)
		slope = init f32[1]{SLOPE}
		b = PRelu(a, slope)
		v = init f32[6,6,1,1] random(SEED2)
		c = Conv(b, v)
		d = Tanh(c)
		gain = init f32[] {GAIN}
		e = Mul(d, gain)
		f = Add(b, e)
		w = init f32[5,6,1,1] random(SEED3)
		g = Conv(f, w)
		y = GlobalAveragePool(g)
		output y
	`
	model := func(seed, slope, gain string) *onnx.Model {
		return onnxtest.Build(t, strings.NewReplacer("SEED", seed, "SLOPE", slope, "GAIN", gain).Replace(text))
	}
	for _, c := range []struct {
		gain   string
		spread int // parameters that were made
	}{{"0.5", 1}, {"-0.75", 2}} {
		p := prepare(t, model("1", "0.25", "0.5"), model("2", "0.0625", c.gain))
		trunk := findTrunk(t, p, merge.Cut{})
		if got := cutValues(p, trunk); !slices.Contains(got, "f") {
			t.Errorf("the trunk makes %q, and ends at %v", got, trunk.Ends)
		}
		spread := 0
		for _, w := range p.Sources.Models[1].Model.Graph().GetInitializer() {
			if slices.Equal(w.GetDims(), []int64{6, 1, 1}) {
				spread++
			}
		}
		if spread != c.spread {
			t.Errorf("%d numbers were spread, want %d", spread, c.spread)
		}
		newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
	}
}
