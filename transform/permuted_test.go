package transform_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"pgregory.net/rapid"
)

// silence makes, of every convolution or linear node that only a Relu reads, one feature dead (zero
// weights, bias below zero) and two constant (zero weights, biases above zero). It changes m.
func silence(t fataler, m *onnx.Model) int {
	t.Helper()
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, n := range ix.Order {
		if op := n.GetOpType(); op != "Conv" && op != "Gemm" || len(n.GetInput()) < 3 || onnx.AttrInt(n, "group", 1) != 1 {
			continue
		}
		uses := ix.Uses(n.GetOutput()[0])
		enough := ix.Initializer(n.GetInput()[2]).GetDims()[0] >= 5
		if !enough || len(uses) != 1 || uses[0].Node.GetOpType() != "Relu" {
			continue
		}
		changed++
		for f, bias := range []float64{-0.5, 0.3 + 0.01*float64(changed), 0.8} {
			setFilter(t, ix.Initializer(n.GetInput()[1]), f, 0)
			setFilter(t, ix.Initializer(n.GetInput()[2]), f, bias)
		}
	}
	return changed
}

// setFilter fills slice f of a parameter's first axis.
func setFilter(t fataler, p *onnx.TensorProto, f int, value float64) {
	t.Helper()
	tensor, err := onnx.TensorOf(p)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tensor.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	size := len(v) / int(tensor.Dims[0])
	for k := f * size; k < (f+1)*size; k++ {
		v[k] = value
	}
	*p = *onnx.FromFloat64(tensor.DType, v, tensor.Dims...).Proto(p.GetName())
}

// twins is a model and a copy of it whose features are in another order, merged.
type twins struct {
	p      *transform.Prepared
	trunk  *merge.Trunk
	orders [][]int // by space of the trunk: feature f of the model is feature orders[f] of its copy
	parted bool    // the graphs differ: the trunk ends in front of what reads a space, and the copy has nodes that restore its order there
}

func newTwins(t fataler, m *onnx.Model, seed uint64) *twins {
	t.Helper()
	return newTwinsIn(t, m, func(trunk *merge.Trunk) map[*space.Space][]int { return permutations(trunk, seed) })
}

// newTwinsIn is newTwins whose copy has its features in given orders.
func newTwinsIn(t fataler, m *onnx.Model, order func(*merge.Trunk) map[*space.Space][]int) *twins {
	t.Helper()
	single := prepare(t, m)
	trunk := findTrunk(t, single, merge.Cut{Distinct: true}) // as two models of other weights share it
	orders := order(trunk)
	w := &twins{p: prepare(t, m, permuted(t, single, trunk, orders))}
	w.trunk = findTrunk(t, w.p, merge.Cut{})
	if models := w.p.Sources.Models; len(models[0].Index.Order) != len(models[1].Index.Order) || len(w.trunk.Groups) > len(trunk.Groups) {
		w.parted = true
		return w
	}
	if len(w.trunk.Analysis.Spaces) != len(trunk.Analysis.Spaces) {
		t.Fatalf("%d spaces in the model, %d with its copy", len(trunk.Analysis.Spaces), len(w.trunk.Analysis.Spaces))
	}
	w.checkPairs(t)
	for k, s := range trunk.Analysis.Spaces {
		if twin := w.trunk.Analysis.Spaces[k]; twin.Dim != s.Dim || twin.Mode != s.Mode {
			t.Fatalf("space %q of %d features became %d", s.Name, s.Dim, twin.Dim)
		}
		w.orders = append(w.orders, orders[s])
	}
	return w
}

// checkPairs fails where a node of the trunk is paired with the copy of another one.
func (w *twins) checkPairs(t fataler) {
	t.Helper()
	for _, k := range w.trunk.Groups {
		nodes := w.p.Sources.Pairing.Nodes[k]
		// what lies behind the trunk that the copy was made by is called a/NAME in it
		if a, b := nodes[0].GetOutput()[0], strings.TrimPrefix(nodes[1].GetOutput()[0], "a/"); a != b {
			t.Fatalf("the graphs are equal, but %q is paired with %q", a, b)
		}
	}
}

// alive tells which features of a space vary, and whether all that do are distinct.
func alive(m *calibrate.Moments, n int) (live []bool, distinct bool) {
	v := func(i, j int) float64 { return m.Cov[i*2*n+j] }
	largest := 0.0
	for f := range n {
		largest = max(largest, v(f, f))
	}
	live, distinct = make([]bool, n), true
	for f := range n {
		// rounding makes what is constant vary too: the mean over positions that an InstanceNormalization made equal
		live[f] = v(f, f) > 1e-6*largest && v(f, f) > 1e-10*m.Mean[f]*m.Mean[f]
		for g := range f {
			if live[f] && live[g] && v(f, g) > 0.999*math.Sqrt(v(f, f)*v(g, g)) {
				distinct = false
			}
		}
	}
	return live, distinct
}

// checkZip zips the twins by their statistics and fails unless the model comes out again. It reports
// false where the graphs differ, features are not distinct, or silent where not quiet, so that the property claims nothing. Outputs
// are compared on samples that were measured: what is dead there may live elsewhere.
func (w *twins) checkZip(t fataler, e calibrate.Engine, src samples, batch int, quiet bool, tolerance float64) bool {
	t.Helper()
	if w.parted {
		return false
	}
	stats, err := w.p.Measure(context.Background(), e, w.trunk, src, false, calibrate.CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []transform.Settings{
		{Match: "zip", Represent: "mean", Alpha: 0.3, Beta: 1}, {Match: "subset", Represent: "mean"},
	} {
		if !w.checkMatch(t, e, src.batch(0, batch), stats, s, quiet, tolerance) {
			return false
		}
	}
	return true
}

// checkMatch is checkZip for one way to match.
func (w *twins) checkMatch(t fataler, e calibrate.Engine, feeds map[string]*onnx.Tensor, stats *transform.Statistics, settings transform.Settings, quiet bool, tolerance float64) bool {
	t.Helper()
	as, err := w.p.Assign(w.trunk, stats, settings)
	if err != nil {
		t.Fatal(err)
	}
	exact := true // every feature found its twin
	for k, s := range w.trunk.Analysis.Spaces {
		if s.Constant || w.trunk.Identical[s] { // not measured
			continue
		}
		live, distinct := alive(stats.Space(s), s.Dim)
		if !distinct || !quiet && slices.Contains(live, false) {
			return false
		}
		if as[s].Mix != nil { // its outputs tell: each combination has something of all features
			exact = false
			continue
		}
		for f, to := range w.orders[k] {
			found := as[s].Of[f] == as[s].Of[s.Dim+to]
			if live[f] && !found {
				t.Fatalf("%s: space %q: feature %d and its twin %d are merged features %d and %d", settings.Match,
					s.Name, f, to, as[s].Of[f], as[s].Of[s.Dim+to])
			}
			exact = exact && found
		}
	}
	merged := build(t, w.p, w.trunk, as)
	newChecker(t, e, w.p, feeds).check(t, w.p, merged, tolerance)
	if exact {
		w.checkBits(t, merged, as)
	}
	return true
}

// checkBits fails unless the merged trunk's parameters are the model's, its features renumbered as
// merged, bit for bit.
func (w *twins) checkBits(t fataler, merged *merge.Merged, as merge.Assignments) {
	t.Helper()
	single := prepare(t, w.p.Originals[0])
	trunk := findTrunk(t, single, merge.Cut{Distinct: true}) // as two models of other weights share it
	own := merge.Assignments{}
	for k, s := range trunk.Analysis.Spaces {
		z := as[w.trunk.Analysis.Spaces[k]]
		own[s] = merge.Average(match.Zip{Width: z.Width, Of: z.Of[:s.Dim]})
	}
	want := map[string]*onnx.TensorProto{}
	for _, p := range build(t, single, trunk, own).Model.Graph().GetInitializer() {
		want[p.GetName()] = p
	}
	for _, p := range merged.Model.Graph().GetInitializer() {
		if q := want[p.GetName()]; q != nil && !bytes.Equal(p.GetRawData(), q.GetRawData()) {
			t.Fatalf("parameter %q is not the model's", p.GetName())
		}
	}
}

func TestZipWithPermutedCopyIsTheModel(t *testing.T) {
	e := engine(t)
	for _, name := range []string{"mlp", "vgg", "resnet20", "tuned"} {
		for _, quiet := range []bool{false, true} {
			m := real(t, name+"_a")
			if quiet && silence(t, m) == 0 {
				t.Fatalf("%s: no feature is silenced", name)
			}
			w := newTwins(t, m, 3)
			if !w.checkZip(t, e, randomSamples(128, "input", 1, 28, 28), 3, true, 1e-6) {
				t.Errorf("%s: the features are not distinct", name)
			}
		}
	}
}

// A space is measured at one place, the last that reads it. Where all features vary there, the permutation
// is found; features that are silent there but differ elsewhere (an activation in between) are not told
// apart.
func TestZipWithPermutedCopyOfRandomNetworks(t *testing.T) {
	e := engine(t)
	claimed := 0
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt, slices.Concat(zipSteps, permuteSteps))
		rt.Log(describe(plan))
		seed, kept := rapid.Uint64().Draw(rt, "seed"), rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "kept")
		w := newTwinsIn(rt, plan.model(t, style{seed: 1}), func(trunk *merge.Trunk) map[*space.Space][]int {
			return somePermutations(trunk, seed, kept)
		})
		if w.checkZip(rt, e, randomSamples(64, "x", 3, 8, 8), 4, false, randomTolerance) {
			claimed++
		}
	})
	if claimed < 3 { // few random networks have distinct features everywhere
		t.Errorf("only %d networks had distinct features", claimed)
	}
}

// assignments is the known matching of twins on any trunk of theirs, found position by position on
// the axes that the trunk's spaces lie on.
func (w *twins) assignments(t fataler, trunk *merge.Trunk) merge.Assignments {
	t.Helper()
	known := merge.Assignments{}
	for k, s := range w.trunk.Analysis.Spaces {
		z := match.Zip{Width: s.Dim, Of: make([]int, 2*s.Dim)}
		for f, to := range w.orders[k] {
			z.Of[f], z.Of[s.Dim+to] = f, f
		}
		known[s] = merge.Average(z)
	}
	as := merge.Assignments{}
	for _, k := range trunk.Groups {
		for i, n := range w.p.Sources.Pairing.Nodes[k] {
			for _, out := range n.GetOutput() {
				for axis, layout := range trunk.Analysis.Layouts(i, out) {
					w.read(t, known, as, layout, w.trunk.Analysis.Layouts(i, out)[axis], i)
				}
			}
		}
	}
	return as
}

// read takes what is known about an axis (its layout in the whole trunk) over to the spaces of another
// layout of it.
func (w *twins) read(t fataler, known, as merge.Assignments, layout, whole space.Layout, model int) {
	t.Helper()
	if layout.Aligned() {
		return
	}
	to, _, _ := known.Map(whole, model, 2)
	at := 0
	for _, seg := range layout {
		if s := seg.Space; s != nil {
			a, ok := as[s]
			if !ok {
				a = merge.Average(match.Zip{Width: s.Dim, Of: make([]int, 2*s.Dim)})
				for k := range a.Of {
					a.Coef[k] = 0.5
				}
			}
			for f := range s.Dim {
				a.Of[model*s.Dim+f] = (to[at+f*seg.Inner] - at) / seg.Inner
			}
			as[s] = a
		}
		at += seg.Size
	}
}
