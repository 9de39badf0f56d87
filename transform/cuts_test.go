package transform_test

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"pgregory.net/rapid"
)

// cutValues lists the values that a trunk computes, by model 0's names.
func cutValues(p *transform.Prepared, trunk *merge.Trunk) []string {
	var out []string
	for _, k := range trunk.Groups {
		out = append(out, p.Sources.Pairing.Nodes[k][0].GetOutput()[0])
	}
	return out
}

// checkCut cuts two models at values, keeps both widths, and compares with the sources.
func checkCut(t fataler, c *checker, p *transform.Prepared, values ...string) *merge.Merged {
	t.Helper()
	trunk := findTrunk(t, p, merge.Cut{Values: values})
	m := build(t, p, trunk, full(t, p, trunk))
	c.check(t, p, m, tolerance)
	return m
}

// checkTwinCut cuts a model and its permuted copy at values; merged feature by feature they are the model.
func (w *twins) checkTwinCut(t fataler, c *checker, values ...string) *merge.Merged {
	t.Helper()
	trunk := findTrunk(t, w.p, merge.Cut{Values: values})
	m := build(t, w.p, trunk, w.assignments(t, trunk))
	c.check(t, w.p, m, tolerance)
	return m
}

// Any value of the trunk may be the cut: in the middle of a stage, of a block, of a skip connection.
func TestEveryCutKeepsTheOutputs(t *testing.T) {
	e := engine(t)
	for _, name := range []string{"mlp", "vgg", "resnet20"} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, real(t, name+"_a"), real(t, name+"_b"))
			w := newTwins(t, real(t, name+"_a"), 9)
			feeds := imageFeeds(1)
			c, d := newChecker(t, e, p, feeds), newChecker(t, e, w.p, feeds)
			for _, value := range cutValues(p, findTrunk(t, p, merge.Cut{})) {
				checkCut(t, c, p, value)
				w.checkTwinCut(t, d, value)
			}
		})
	}
}

func TestEveryCutOfRandomNetworks(t *testing.T) {
	e := engine(t)
	check := func(t fataler, tb testing.TB, plan plan, values func(all []string) [][]string) {
		a := plan.model(tb, style{seed: 1})
		p := prepare(t, a, plan.model(tb, style{seed: 2}))
		w := newTwins(t, a, 4)
		c, d := newChecker(t, e, p, netFeeds(onnx.Float)), newChecker(t, e, w.p, netFeeds(onnx.Float))
		for _, cut := range values(cutValues(p, findTrunk(t, p, merge.Cut{}))) {
			checkCut(t, c, p, cut...)
			w.checkTwinCut(t, d, cut...)
		}
	}
	t.Run("every value", func(t *testing.T) {
		plan := planOf(1, "conv", "skip over a bottleneck", "residual", "skip over a bottleneck", "dense", "padded shortcut", "gated unit", "squeeze and excitation", "shuffle")
		check(t, t, plan, func(all []string) [][]string {
			var cuts [][]string
			for _, v := range all {
				cuts = append(cuts, []string{v})
			}
			return cuts
		})
	})
	t.Run("several values", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			plan := drawPlan(rt, zipSteps)
			rt.Log(describe(plan))
			check(rt, t, plan, func(all []string) [][]string {
				return [][]string{rapid.SliceOfN(rapid.SampledFrom(all), 1, 3).Draw(rt, "cut")}
			})
		})
	})
}

// cutAt is the trunk value made by the k-th node of an operator.
func cutAt(t fataler, p *transform.Prepared, op string, k int) string {
	t.Helper()
	for _, n := range p.Sources.Models[0].Index.Order {
		if n.GetOpType() == op {
			if k == 0 {
				return n.GetOutput()[0]
			}
			k--
		}
	}
	t.Fatalf("no %s", op)
	return ""
}

// A skip hands features on as they are: no weight can take the head's order, so a Gather does.
func TestGathersWhereNoWeightTakesTheOrder(t *testing.T) {
	e := engine(t)
	p := prepare(t, real(t, "resnet20_a"), real(t, "resnet20_b"))
	c := newChecker(t, e, p, imageFeeds(2))
	for _, cut := range []struct {
		what    string
		value   string
		gathers int
	}{
		{"a block's first convolution, inside: the skip of each head", cutAt(t, p, "Conv", 1), 2},
		{"a block's end: the next block has an identity skip", cutAt(t, p, "Add", 0), 2},
		{"a stage's end: the next block begins with convolutions only", cutAt(t, p, "Add", 2), 0},
		{"the pooled features", cutAt(t, p, "GlobalAveragePool", 0), 0},
	} {
		if m := checkCut(t, c, p, cut.value); m.Gathers != cut.gathers {
			t.Errorf("cut at %s: %d gathers, want %d", cut.what, m.Gathers, cut.gathers)
		}
	}
}

func TestCutByTheSecondModelsName(t *testing.T) {
	plan := planOf(0, "residual", "conv")
	p := prepare(t, plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2, prefix: "other:"}))
	first := cutValues(p, findTrunk(t, p, merge.Cut{}))[2]
	second, _ := p.Sources.Pairing.Value(0, 1, first)
	a, b := findTrunk(t, p, merge.Cut{Values: []string{first}}), findTrunk(t, p, merge.Cut{Values: []string{"b:" + second}})
	if len(a.Groups) != len(b.Groups) || !strings.HasPrefix(second, "other:") {
		t.Errorf("cut at %q: %d nodes, at b:%s: %d", first, len(a.Groups), second, len(b.Groups))
	}
}

func TestNoCutIsTheEnsemble(t *testing.T) {
	plan := planOf(1, "conv", "residual")
	p := prepare(t, plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2}), plan.model(t, style{seed: 3}))
	trunk := findTrunk(t, p, merge.Cut{None: true})
	if len(trunk.Groups) != 0 {
		t.Errorf("%d nodes shared", len(trunk.Groups))
	}
	newChecker(t, engine(t), p, netFeeds(onnx.Float)).check(t, p, build(t, p, trunk, nil), 0)
}

func TestCutErrors(t *testing.T) {
	plan := planOf(0, "residual", "conv")
	p := prepare(t, plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2, classes: 7, prefix: "q"}))
	for _, c := range []struct {
		value string
		kind  fault.Kind
		code  string
	}{
		{"nowhere", fault.Usage, "unknown_cut"},
		{"b:nowhere", fault.Usage, "unknown_cut"},
		{"c:v3", fault.Usage, "unknown_cut"}, // no such head: a name with a colon
		{"x", fault.Usage, "unknown_cut"},    // an input ends nothing
		{"y", fault.Correspondence, "cut_not_common"},
		{"b:qy", fault.Correspondence, "cut_not_common"},
	} {
		_, err := merge.FindTrunk(p.Sources, merge.Cut{Values: []string{c.value}})
		if err == nil {
			t.Errorf("%s: no error", c.value)
			continue
		}
		if f := fault.As(err); f.Kind != c.kind || f.Code != c.code || f.Hint == "" || f.Value != c.value {
			t.Errorf("%s: %+v, want code %s", c.value, f, c.code)
		}
	}
	same := prepare(t, plan.model(t, style{seed: 1}), plan.model(t, style{seed: 2}))
	_, err := merge.FindTrunk(same.Sources, merge.Cut{Values: []string{"y"}})
	if f := fault.As(err); err == nil || f.Code != "cut_not_shared" || !strings.Contains(f.Message, "is an output of the model") {
		t.Errorf("a cut behind the trunk: %v", err)
	}
}
