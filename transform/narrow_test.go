package transform_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// narrowed are settings that spend a budget in trunk and heads; with method ensemble there is no trunk.
func narrowed(t *testing.T, method string, budget float64) transform.Settings {
	s := preset(t, method)
	s.Refit, s.Narrow, s.Budget = "ls", true, budget
	return s
}

// TestNarrowSpendsTheBudget: what is planned is what the merged model needs, wherever the trunk ends, and behind it no head
// reads anything of another model's.
func TestNarrowSpendsTheBudget(t *testing.T) {
	for _, pair := range []string{"mlp", "vgg", "resnet20"} {
		p, src := pairOf(t, pair, "a", "b")
		for _, c := range []struct {
			method, until string
			budget        float64
		}{{"ensemble", "", 0.5}, {"ensemble", "", 1.5}, {"best", "30%", 0.75}, {"best", "60%", 1.25}} {
			what := fmt.Sprintf("%s, %s %s, %gx", pair, c.method, c.until, c.budget)
			res := mergeAll(t, p, src, transform.Options{Settings: narrowed(t, c.method, c.budget), Until: c.until})
			if share := 2 * res.Report.Cost.FLOPsRatio / c.budget; share > 1 || share < 0.97 {
				t.Errorf("%s: %.3f of the budget is spent", what, share)
			}
			if res.Exact || len(res.Report.Narrowed) != 2 {
				t.Errorf("%s: exact %t, %d models are narrowed", what, res.Exact, len(res.Report.Narrowed))
			}
			a, b := res.Report.Narrowed[0].Spaces, res.Report.Narrowed[1].Spaces
			if len(a) == 0 || !slices.EqualFunc(a, b, func(x, y transform.NarrowedSpace) bool { return x.Width == y.Width && x.Width <= x.Dim }) {
				t.Errorf("%s: models of one kind keep %v and %v", what, a, b)
			}
			for name, heads := range readBy(t, res) {
				if scoped := strings.HasPrefix(name, "a/") || strings.HasPrefix(name, "b/"); len(heads) != 1 && (scoped || c.method == "ensemble") {
					t.Errorf("%s: parameter %q is read by heads %v", what, name, heads)
				}
			}
			if e := res.Report.HeldOut.RelativeError(); !(e > 0 && e < 0.3) {
				t.Errorf("%s: the outputs err by %.3f", what, e)
			}
		}
	}
}

// readBy lists the heads whose outputs depend on each parameter.
func readBy(t *testing.T, res *transform.Result) map[string][]int {
	t.Helper()
	ix, err := onnx.NewIndex(res.Model.Graph())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int{}
	for head, outputs := range res.Merged.Outputs {
		seen := map[string]bool{}
		var visit func(v string)
		visit = func(v string) {
			if seen[v] || v == "" {
				return
			}
			seen[v] = true
			if ix.Initializer(v) != nil {
				out[v] = append(out[v], head)
			}
			if n := ix.Producer(v); n != nil {
				for _, in := range onnx.Reads(n) {
					visit(in)
				}
			}
		}
		for _, v := range outputs {
			visit(v)
		}
	}
	return out
}

// TestNarrowFindsWhatIsThereTwice: networks whose hidden units were all doubled, each of both halves read by half the weight,
// are narrowed to what they were before, and compute it exactly.
func TestNarrowFindsWhatIsThereTwice(t *testing.T) {
	plain := []*onnx.Model{real(t, "mlp_a"), real(t, "mlp_b")}
	_, src := pairOf(t, "mlp", "a", "b")
	p := prepare(t, doubled(t, plain[0]), doubled(t, plain[1]))
	before, wide := flopsOf(t, plain[0]), flopsOf(t, p.Originals[0])
	res := mergeAll(t, p, src, transform.Options{Settings: narrowed(t, "ensemble", 2*float64(before)/float64(wide)*1.0001)})
	for _, h := range res.Report.Narrowed {
		for _, sp := range h.Spaces {
			if 2*sp.Width != sp.Dim {
				t.Errorf("%s keeps %d of %d units", h.Head, sp.Width, sp.Dim)
			}
		}
	}
	feeds := imageFeeds(8)
	got := run(t, engine(t), res.Model, feeds)
	for i, m := range plain {
		want := run(t, engine(t), m, feeds)
		if d := deviation(got[res.Merged.Outputs[i][0]], want[m.Graph().GetOutput()[0].GetName()]); d > 1e-5 {
			t.Errorf("head %d deviates by %.2g from the network that was doubled", i, d)
		}
	}
}

// doubled doubles the hidden units of an MLP of Gemm nodes with transB, without a change to what it computes.
func doubled(t *testing.T, m *onnx.Model) *onnx.Model {
	t.Helper()
	m = m.Clone()
	var gemms []*onnx.Node
	for _, n := range m.Graph().GetNode() {
		if n.GetOpType() == "Gemm" {
			gemms = append(gemms, n)
		}
	}
	for k, n := range gemms {
		for slot, name := range n.GetInput()[1:] {
			for at, w := range m.Graph().GetInitializer() {
				if w.GetName() != name {
					continue
				}
				tensor, err := onnx.TensorOf(w)
				if err != nil {
					t.Fatal(err)
				}
				v, err := tensor.Float64s()
				if err != nil {
					t.Fatal(err)
				}
				dims := slices.Clone(tensor.Dims)
				if slot == 0 && k > 0 { // its inputs
					var wide []float64
					for row := range dims[0] {
						half := slices.Clone(v[row*dims[1] : (row+1)*dims[1]])
						for i := range half {
							half[i] /= 2
						}
						wide = append(append(wide, half...), half...)
					}
					v, dims[1] = wide, 2*dims[1]
				}
				if k < len(gemms)-1 { // its outputs
					v, dims[0] = append(slices.Clone(v), v...), 2*dims[0]
				}
				m.Graph().Initializer[at] = onnx.FromFloat64(tensor.DType, v, dims...).Proto(name)
			}
		}
	}
	m.Graph().ValueInfo = nil
	return m
}

func flopsOf(t *testing.T, m *onnx.Model) int64 {
	t.Helper()
	c, err := cost.AtBatch(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	return c.FLOPs
}

// TestNarrowIgnoresOrder: what is kept of a model does not depend on the order of its features.
func TestNarrowIgnoresOrder(t *testing.T) {
	p, src := pairOf(t, "vgg", "a", "b")
	one := prepare(t, real(t, "vgg_a"))
	trunk := findTrunk(t, one, merge.Cut{Distinct: true})
	other := permuted(t, one, trunk, permutations(trunk, 3))
	q, err := transform.Prepare([]*onnx.Model{other, real(t, "vgg_b")}, transform.PrepareOptions{Heads: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	o := transform.Options{Settings: narrowed(t, "ensemble", 1)}
	feeds := imageFeeds(8)
	want := run(t, engine(t), mergeAll(t, p, src, o).Model, feeds)
	got := run(t, engine(t), mergeAll(t, q, src, o).Model, feeds)
	for name := range want {
		if d := deviation(got[name], want[name]); d > 1e-3 { // of rounding: sums are taken in another order
			t.Errorf("output %q deviates by %.2g", name, d)
		}
	}
}

// TestNarrowIsNearer: at the FLOPs of one source and more, models that are narrowed side by side come nearer to themselves
// than a trunk that they share; that is why the report holds a merge against them.
func TestNarrowIsNearer(t *testing.T) {
	for _, pair := range []string{"vgg", "resnet20"} {
		p, src := pairOf(t, pair, "a", "b")
		s := preset(t, "best")
		s.Budget = 1.5
		shared := mergeAll(t, p, src, transform.Options{Settings: s}).Report.HeldOut.RelativeError()
		apart := mergeAll(t, p, src, transform.Options{Settings: narrowed(t, "ensemble", 1.5)}).Report.HeldOut.RelativeError()
		if apart > 0.9*shared {
			t.Errorf("%s: sharing all errs by %.4f, sharing nothing by %.4f", pair, shared, apart)
		}
	}
}

// TestNarrowZoo narrows networks of many kinds, of random weights, to budgets between one of them and both.
func TestNarrowZoo(t *testing.T) {
	for name, spaces := range map[string]int{
		"mobilenet_v2-t13": 30, "vit-t17": 2, "densenet-t13": 40, "autoencoder-t13": 6, "scripted_cell-t13": 2, "conv_gru-t13": 2, "shufflenet_v2-t13": 30,
	} {
		t.Run(name, func(t *testing.T) {
			var models []*onnx.Model
			for _, half := range []string{"a", "b"} {
				m, err := onnx.Load(filepath.Join(onnxtest.Root(t), "testdata", "zoo", name+"-"+half+".onnx"))
				if err != nil {
					t.Fatal(err)
				}
				models = append(models, m)
			}
			p := prepare(t, models...)
			src := randomInputs(t, models[0], 40)
			o := transform.Options{Settings: narrowed(t, "ensemble", 1.5)}
			res := mergeAll(t, p, src, o)
			n := 0
			for _, h := range res.Report.Narrowed {
				for _, sp := range h.Spaces {
					if sp.Width < sp.Dim {
						n++
					}
				}
			}
			if n < spaces {
				t.Errorf("%d spaces became narrower, want %d", n, spaces)
			}
			if share := 2 * res.Report.Cost.FLOPsRatio / o.Budget; share > 1 {
				t.Errorf("%.3f of the budget is spent", share)
			}
			checks, err := p.Verify(t.Context(), engine(t), res.Model, res, src)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if !c.Passed {
					t.Errorf("%s: %q deviates by %.2g", c.Name, c.Output, c.Deviation)
				}
			}
		})
	}
}

// randomInputs are samples of what a model reads: normal random numbers, and small integers.
func randomInputs(t *testing.T, m *onnx.Model, n int) samples {
	t.Helper()
	sizes, err := cost.Bind(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	return samples{n, func(from, to int) map[string]*onnx.Tensor {
		out := map[string]*onnx.Tensor{}
		for _, in := range m.Graph().GetInput() {
			dtype, _, _ := onnx.TensorType(in)
			dims := append([]int64{int64(to - from)}, sizes[in.GetName()][1:]...)
			var rows []float64
			for k := from; k < to; k++ {
				row, err := onnxtest.RandomBetween(int64(k), -1.7, 1.7, onnx.Float, append([]int64{1}, dims[1:]...)...).Float64s()
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, row...)
			}
			out[in.GetName()] = onnx.FromFloat64(dtype, rows, dims...)
		}
		return out
	}}
}

// TestNarrowNeedsLeastSquares: what cannot be narrowed says so.
func TestNarrowNeedsLeastSquares(t *testing.T) {
	p, src := pairOf(t, "mlp", "a", "b")
	for what, change := range map[string]func(*transform.Settings){
		"without a budget": func(s *transform.Settings) { s.Budget = 0 },
		"repaired":         func(s *transform.Settings) { s.Refit = "repair" },
		"of the ensemble":  func(s *transform.Settings) { s.Budget = 2 },
	} {
		s := narrowed(t, "ensemble", 1)
		change(&s)
		if _, err := p.Merge(t.Context(), engine(t), src, transform.Options{Settings: s}); err == nil || fault.As(err).Kind != fault.Usage {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := p.Merge(t.Context(), engine(t), nil, transform.Options{Settings: narrowed(t, "ensemble", 1)}); err == nil || fault.As(err).Code != "no_data" {
		t.Errorf("without data: %v", err)
	}
}
