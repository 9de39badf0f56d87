package transform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

func normalized(t fataler, m *onnx.Model, text string) *onnx.Model {
	t.Helper()
	n, err := transform.ParseNormalization(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := transform.Normalize(m, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func shares(t fataler, p *transform.Prepared, trunk *merge.Trunk) float64 {
	t.Helper()
	s, err := p.Shares(trunk)
	if err != nil {
		t.Fatal(err)
	}
	return s.FLOPs
}

// Models of different preprocessing share what they share without it, and at full width each is reproduced.
func TestDifferentPrefixesShareTheRest(t *testing.T) {
	zoo := func(name string) func(testing.TB) *onnx.Model {
		return func(t testing.TB) *onnx.Model { return zooModel(t, name) }
	}
	trained := func(name string) func(testing.TB) *onnx.Model {
		return func(t testing.TB) *onnx.Model { return real(t, name) }
	}
	for _, c := range []struct {
		name   string
		a, b   func(testing.TB) *onnx.Model
		na, nb string // "": as the file is
	}{
		{"padded convolutions", trained("resnet20_a"), trained("resnet20_b"), "0.1:0.5", "-0.4:2"},
		{"absent in the first", trained("vgg_a"), trained("vgg_b"), "", "0.3:0.35"},
		{"absent in the second", trained("resnet20_a"), trained("resnet20_b"), "0.3:0.35", ""},
		{"Gemm behind a Flatten", trained("mlp_a"), trained("mlp_b"), "0.1:0.5", "0.2:0.7"},
		{"per channel", zoo("resnet18-t13-a"), zoo("resnet18-t13-b"), "0.485,0.456,0.406:0.229,0.224,0.225", "0.5:0.5,0.4,0.3"},
		{"another exporter", zoo("resnet18-t13-a"), zoo("resnet18-d18-b"), "0.5:0.5", "0.4:0.3"},
		{"Transpose first", zoo("keras_cnn-k13-a"), zoo("keras_cnn-k13-b"), "0.5:0.5", "0.1:0.9"},
		{"patches", zoo("vit-t17-a"), zoo("vit-t17-b"), "0.5:0.5", ""},
		{"several stems", zoo("googlenet-t13-a"), zoo("googlenet-t13-b"), "0.5:0.5", "0.4:0.3"},
		{"open height and width", zoo("unet-t13-hw-a"), zoo("unet-t13-hw-b"), "0.5:0.5", "0.4:0.3"},
		{"half precision", zoo("resnet18-t13-f16-a"), zoo("resnet18-t13-f16-b"), "0.5:0.5", "0.4:0.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := c.a(t), c.b(t)
			before := prepare(t, a, b)
			if c.na != "" {
				a = normalized(t, a, c.na)
			}
			if c.nb != "" {
				b = normalized(t, b, c.nb)
			}
			p := prepare(t, a, b)
			trunk := findTrunk(t, p, merge.Cut{})
			was, is := shares(t, before, findTrunk(t, before, merge.Cut{})), shares(t, p, trunk)
			if is < 0.98*was || was == 0 {
				t.Fatalf("%.1f %% of FLOPs are shared, %.1f %% without the prefixes: %v", 100*is, 100*was, trunk.Ends)
			}
			if c.name != "patches" { // a residual stream under LayerNorm has no full width
				checkFullWidth(t, p, trunk)
			}
		})
	}
}

// checkFullWidth compares the merge that merges nothing with the sources.
func checkFullWidth(t *testing.T, p *transform.Prepared, trunk *merge.Trunk) {
	t.Helper()
	m := build(t, p, trunk, full(t, p, trunk))
	limit := tolerance
	if p.Precision.Type == onnx.Float16 {
		limit = 1e-2
	}
	sizes := map[string]int64{"batch": 2, "N": 2, "height": 32, "width": 32}
	feeds := onnxtest.Feeds(p.Originals[0], 5, sizes)
	if err := p.Precision.Restore(m.Model); err != nil {
		t.Fatal(err)
	}
	newChecker(t, engine(t), p, feeds).check(t, p, m, limit)
}

// The zoo's pairs that differ before the first dense node.
func TestZooPrefixes(t *testing.T) {
	for _, pair := range []string{"conv1d_kws-t13", "conv1d_kws-d18", "resnet18-t13-norm"} {
		p := prepare(t, zooModel(t, pair+"-a"), zooModel(t, pair+"-b"))
		trunk := findTrunk(t, p, merge.Cut{})
		if s := shares(t, p, trunk); s < 0.9 {
			t.Errorf("%s: %.1f %% of FLOPs are shared: %v", pair, 100*s, trunk.Ends)
		}
		checkFullWidth(t, p, trunk)
	}
}

// A model behind its normalisation, zipped with a permuted copy behind the same one, is the model; the prefix is shared.
func TestPermutedCopyWithPrefixIsTheModel(t *testing.T) {
	m := normalized(t, real(t, "resnet20_a"), "0.3:0.35")
	w := newTwins(t, m, 3)
	if w.p.Sources.Prefixes != nil {
		t.Error("equal prefixes are no reason to widen the stem")
	}
	// On this noise two features of the last stage hardly ever fire, always together: they are more alike than some
	// features and their copies are by covariances that were summed in float32.
	if !w.checkZip(t, engine(t), randomSamples(128, "input", 1, 28, 28), 3, true, 1e-5) {
		t.Error("the features are not distinct")
	}
}

// A permuted copy behind other nodes that compute the same makes the same features: it zips to the model.
func TestPermutedCopyBehindAnotherPrefixIsTheModel(t *testing.T) {
	for _, c := range []struct {
		m   *onnx.Model
		src samples
	}{
		{real(t, "resnet20_a"), randomSamples(128, "input", 1, 28, 28)},
		{zooModel(t, "vit-t17-a"), randomSamples(128, "input", 3, 32, 32)},
	} {
		single := prepare(t, c.m)
		trunk := findTrunk(t, single, merge.Cut{})
		copied := permuted(t, single, trunk, permutations(trunk, 3))
		p := prepare(t, c.m, normalized(t, normalized(t, copied, "-0.5:0.5"), "1:2")) // ((x − 1)/2 + 1/2)·2 = x
		shared := findTrunk(t, p, merge.Cut{})
		if p.Sources.Prefixes == nil {
			t.Fatal("the prefixes are one")
		}
		ctx, e := context.Background(), engine(t)
		stats, err := p.Measure(ctx, e, shared, c.src, false, captureOptions(1))
		if err != nil {
			t.Fatal(err)
		}
		as, err := p.Assign(shared, stats, transform.Settings{Match: "zip", Represent: "mean", Alpha: 0.3, Beta: 1})
		if err != nil {
			t.Fatal(err)
		}
		newChecker(t, e, p, c.src.batch(0, 3)).check(t, p, build(t, p, shared, as), 1e-5)
	}
}

// Of three models, two with one prefix: it is computed once.
func TestEqualPrefixesAreOne(t *testing.T) {
	base := real(t, "frozen_a")
	p := prepare(t, normalized(t, base, "0.1:0.5"), normalized(t, real(t, "tuned_a"), "0.2:0.5"), normalized(t, real(t, "tuned_b"), "0.1:0.5"))
	trunk := findTrunk(t, p, merge.Cut{})
	if n := len(p.Sources.Prefixes.Parts); n != 4 {
		t.Errorf("%d nodes of prefixes, want 4", n)
	}
	m := build(t, p, trunk, full(t, p, trunk))
	if n := strings.Count(onnxtest.Dump(m.Model), "Sub("); n != 2 {
		t.Errorf("%d subtractions, want 2", n)
	}
	newChecker(t, engine(t), p, imageFeeds(3)).check(t, p, m, tolerance)
}

// What is reported of the sources does not count the others' prefixes.
func TestCostsAreTheSourcesOwn(t *testing.T) {
	a, b := normalized(t, real(t, "resnet20_a"), "0.1:0.5"), normalized(t, real(t, "resnet20_b"), "0.2:0.5")
	p := prepare(t, a, b)
	settings, err := transform.Preset("average")
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Merge(context.Background(), engine(t), randomSamples(32, "input", 1, 28, 28), transform.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	want, err := cost.AtBatch(a, 1)
	if err != nil {
		t.Fatal(err)
	}
	if c := res.Report.Cost; c.EnsembleFLOPs != 2*want.FLOPs || c.EnsembleParams != 2*want.Params {
		t.Errorf("the ensemble is %+v, want twice %d FLOPs and %d parameters", c, want.FLOPs, want.Params)
	}
	heads := map[string]bool{}
	for _, x := range res.Report.Prefixes {
		for _, h := range x.Heads {
			heads[h] = true
		}
		if len(x.Nodes) != 2 || x.FLOPs != 2*28*28 {
			t.Errorf("prefix %+v, want a subtraction and a division of 784 pixels", x)
		}
	}
	if len(heads) != 2 {
		t.Errorf("prefixes of %v", heads)
	}
}

// The ensemble, and what ends before the stem, have each model's own prefix only.
func TestEnsembleKeepsModelsAsTheyAre(t *testing.T) {
	p := prepare(t, normalized(t, real(t, "resnet20_a"), "0.1:0.5"), normalized(t, real(t, "resnet20_b"), "0.2:0.5"))
	settings, err := transform.Preset("ensemble")
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Merge(context.Background(), engine(t), nil, transform.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(onnxtest.Dump(res.Model), "Sub("); n != 2 || len(res.Report.Prefixes) > 0 {
		t.Errorf("%d subtractions, prefixes %v", n, res.Report.Prefixes)
	}
	newChecker(t, engine(t), p, imageFeeds(3)).check(t, p, res.Merged, tolerance)
}

const prefixed = `
	input x f32[2,6,8,8]
	NORM
	w = init f32[5,CHANNELS,3,3] random(SEED1)
	h = STEM {pads=[1,1,1,1]}
	r = Relu(h)
	v = init f32[3,5,1,1] random(SEED2)
	y = Conv(r, v)
	output y
`

func prefixedModel(t testing.TB, norm, stem, seed string) *onnx.Model {
	channels := "6"
	if stem == "" {
		stem = "Conv(n, w)"
	} else {
		channels = "3"
	}
	return onnxtest.Build(t, strings.NewReplacer("NORM", norm, "STEM", stem, "SEED", seed, "CHANNELS", channels).Replace(prefixed))
}

// Other operators than a normalisation's in front of the stem, and sizes that change there.
func TestKindsOfPrefixes(t *testing.T) {
	for name, c := range map[string][2]string{
		"operators":        {"n = Sigmoid(x)", "n = Tanh(x)"},
		"resize":           {"s = init f32[4] {1, 1, 2, 2}\nn = Resize(x, _, s) {mode=\"nearest\"}", "s = init f32[4] {1, 1, 2, 2}\nn = Resize(x, _, s) {mode=\"linear\"}"},
		"depthwise":        {"d = init f32[6,1,3,3] random(31)\nn = Conv(x, d) {group=6, pads=[1,1,1,1]}", "d = init f32[6,1,3,3] random(32)\nn = Conv(x, d) {group=6, pads=[1,1,1,1]}"},
		"computed and not": {"m = ReduceMean(x) {axes=[2,3], keepdims=1}\nn = Sub(x, m)", "m = Relu(x)\nn = Mul(m, m)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, prefixedModel(t, c[0], "", "1"), prefixedModel(t, c[1], "", "2"))
			trunk := findTrunk(t, p, merge.Cut{})
			if p.Sources.Prefixes == nil {
				t.Fatalf("ends: %v", trunk.Ends)
			}
			checkFullWidth(t, p, trunk)
		})
	}
}

// Where prefixes cannot stand side by side, the trunk ends as it would without, and says why.
func TestWherePrefixesAreImpossible(t *testing.T) {
	shrink := "n = MaxPool(x) {kernel_shape=[2,2], strides=[2,2]}"
	for name, c := range map[string]struct {
		a, b *onnx.Model
		why  string
	}{
		"other sizes": {prefixedModel(t, "n = Relu(x)", "", "1"), prefixedModel(t, shrink, "", "2"), "cannot be concatenated"},
		"no dense node": {
			prefixedModel(t, "e = init f32[6,8,8] random(41)\nn = MatMul(x, e)", "", "1"),
			prefixedModel(t, "e = init f32[6,8,8] random(42)\nn = MatMul(x, e)", "", "2"), "makes features first",
		},
		"other stems": {
			prefixedModel(t, "n = Relu(x)", "", "1"),
			onnxtest.Build(t, strings.NewReplacer("STEM", "Conv(n, w)", "NORM", "n = Tanh(x)", "SEED", "2", "CHANNELS,3,3", "6,5,5", "1,1,1,1", "2,2,2,2").Replace(prefixed)), "does not correspond",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, c.a, c.b)
			trunk := findTrunk(t, p, merge.Cut{})
			if p.Sources.Prefixes != nil || len(trunk.Groups) > 0 {
				t.Errorf("%d nodes shared", len(trunk.Groups))
			}
			endsWith(t, trunk, c.why)
		})
	}
}

// A skip from the normalised input past the stem stays each model's own; the stem is shared all the same.
func TestOtherReadersOfPrefixes(t *testing.T) {
	text := strings.Replace(prefixed, "y = Conv(r, v)", "k = Conv(r, v)\n\tu = init f32[3,6,1,1] random(SEED3)\n\tg = GlobalAveragePool(n)\n\tl = Conv(g, u)\n\tm = MaxPool(n) {kernel_shape=[1,1]}\n\ty = Add(k, l)\n\toutput m", 1)
	model := func(norm, seed string) *onnx.Model {
		return onnxtest.Build(t, strings.NewReplacer("NORM", norm, "STEM", "Conv(n, w)", "SEED", seed, "CHANNELS", "6").Replace(text))
	}
	p := prepare(t, model("n = Sigmoid(x)", "1"), model("n = Tanh(x)", "2"))
	trunk := findTrunk(t, p, merge.Cut{})
	if p.Sources.Prefixes == nil || shares(t, p, trunk) < 0.8 {
		t.Fatalf("%.2f of FLOPs are shared: %v", shares(t, p, trunk), trunk.Ends)
	}
	checkFullWidth(t, p, trunk)
}

func TestParseNormalization(t *testing.T) {
	for _, good := range []string{"0.5:0.25", "0.485,0.456,0.406:0.229,0.224,0.225", "127.5:1,2,3"} {
		if n, err := transform.ParseNormalization(good); err != nil || n.String() != good {
			t.Errorf("%q is read as %q, %v", good, n, err)
		}
	}
	for bad, why := range map[string]string{
		"": "no colon", "1": "no colon", "1:": "no number", "1:0": "divided", "1,2:1,2,3": "2 means and 3", "NaN:1": "no number",
	} {
		if _, err := transform.ParseNormalization(bad); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %q", bad, err, why)
		}
	}
	n, _ := transform.ParseNormalization("1,2:1,2")
	if _, err := transform.Normalize(real(t, "vgg_a"), n); err == nil || !strings.Contains(err.Error(), "no axis of channels") {
		t.Errorf("two channels for one: %v", err)
	}
	if _, err := transform.Normalize(zooModel(t, "bert-t14-a"), n); err == nil || !strings.Contains(err.Error(), "normalised") {
		t.Errorf("no image: %v", err)
	}
}

// One source's trunk as it is has no use for the other prefixes: what is left of it is the source, bit for bit.
func TestGraftDropsOtherPrefixes(t *testing.T) {
	a := normalized(t, real(t, "vgg_a"), "0.1:0.5")
	p := prepare(t, a, normalized(t, real(t, "vgg_b"), "0.2:0.7"))
	settings, err := transform.Preset("graft")
	if err != nil {
		t.Fatal(err)
	}
	settings.Base = "a"
	res, err := p.Merge(context.Background(), engine(t), randomSamples(64, "input", 1, 28, 28), transform.Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	if text := onnxtest.Dump(res.Model); strings.Count(text, "Sub(") != 1 || strings.Contains(text, "Concat(") {
		t.Error("the other prefix is still there")
	}
	if x := res.Report.Prefixes; len(x) != 1 || x[0].Heads[0] != "a" {
		t.Errorf("prefixes %v, want a's", x)
	}
	feeds := imageFeeds(3)
	got, want := run(t, engine(t), res.Model, feeds), run(t, engine(t), a, feeds)
	if d := deviation(got["a_logits"], want["logits"]); d > 1e-5 {
		t.Errorf("the base deviates by %.2g", d)
	}
}
