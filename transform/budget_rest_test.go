package transform_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// TestBudgetIsSpent: rounding widths leaves next to nothing of a budget unspent, and no space is far from the common factor,
// that of residual streams 1.6 times the others'. Channels of convolutions are multiples of four, many ones of eight.
func TestBudgetIsSpent(t *testing.T) {
	s := preset(t, "halves")
	s.Represent, s.Refit = "mean", "none" // no data is needed to draw features
	for _, pair := range []string{"mlp", "vgg", "resnet20"} {
		p := prepare(t, real(t, pair+"_a"), real(t, pair+"_b"))
		for _, budget := range []float64{0.25, 0.5, 1, 1.5} {
			s.Budget = budget
			res, err := p.Merge(t.Context(), nil, nil, transform.Options{Settings: s})
			if err != nil {
				t.Fatal(err)
			}
			if share := 2 * res.Report.Cost.FLOPsRatio / budget; share > 1 || share < 0.97 {
				t.Errorf("%s: %.3f of a budget of %gx is spent", pair, share, budget)
			}
			streams, others := []float64{}, []float64{}
			for k, sp := range res.Report.Spaces {
				factor := float64(sp.Width) / float64(sp.Dim)
				if convolutions := pair != "mlp" && !(pair == "vgg" && k == len(res.Report.Spaces)-1); convolutions {
					if sp.Dim < 16 || sp.Width%4 != 0 || sp.Width >= 72 && sp.Width%8 != 0 {
						t.Errorf("%s, %gx: %d of %d channels", pair, budget, sp.Width, sp.Dim)
					}
				}
				if writersOf(p, res.Trunk, sp.Name) > 1 {
					streams = append(streams, factor)
				} else {
					others = append(others, factor)
				}
			}
			if (pair == "resnet20") != (len(streams) == 3) {
				t.Errorf("%s: %d streams", pair, len(streams))
			}
			if len(streams) > 0 && slices.Min(streams) < 1.2*slices.Max(others) {
				t.Errorf("%s, %gx: streams of %.2f, others of %.2f of their own", pair, budget, streams, others)
			}
			if slices.Max(others) > 1.4*slices.Min(others) {
				t.Errorf("%s, %gx: widths of %.2f of their own", pair, budget, others)
			}
		}
	}
}

// writersOf counts the convolutions and dense layers that make the features of a value.
func writersOf(p *transform.Prepared, trunk *merge.Trunk, value string) int {
	n, sp := 0, trunk.Analysis.Layouts(0, value)[1][0].Space
	for _, node := range trunk.Nodes0(p.Sources) {
		if op := node.GetOpType(); op == "Conv" || op == "Gemm" {
			if l := trunk.Analysis.Layouts(0, node.GetOutput()[0])[1]; l[0].Space == sp {
				n++
			}
		}
	}
	return n
}

// TestOnesHaveTheShapes: the graph in which FLOPs are counted has the shapes of the merged one, for all pairs of the zoo
// that share something, every feature kept.
func TestOnesHaveTheShapes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(onnxtest.Root(t), "testdata", "zoo", "*-a.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		var models []*onnx.Model
		for _, f := range []string{file, strings.Replace(file, "-a.onnx", "-b.onnx", 1)} {
			if m, err := onnx.Load(f); err == nil {
				models = append(models, m)
			}
		}
		if len(models) < 2 {
			continue // its partner has another name
		}
		p := prepare(t, models...)
		trunk := findTrunk(t, p, merge.Cut{})
		as := full(t, p, trunk)
		var dims [2]map[string][]int64
		var refused [2]string // sizes that are written into a model, of some exports of GPT-2
		for k, ones := range []bool{false, true} {
			m, err := merge.Build(p.Sources, trunk, as, merge.Options{Ones: ones})
			dims[k] = map[string][]int64{}
			if err != nil {
				refused[k] = err.Error()
				continue
			}
			for _, w := range m.Model.Graph().GetInitializer() {
				dims[k][w.GetName()] = w.GetDims()
			}
		}
		if refused[0] != refused[1] {
			t.Errorf("%s: %q, with ones %q", file, refused[0], refused[1])
		}
		if len(dims[0]) != len(dims[1]) {
			t.Errorf("%s: %d initializers, %d with ones", file, len(dims[0]), len(dims[1]))
		}
		for name, want := range dims[0] {
			if !slices.Equal(dims[1][name], want) {
				t.Errorf("%s: %s is %v, with ones %v", file, name, want, dims[1][name])
			}
		}
		if refused[0] == "" {
			compared++
		}
	}
	if compared < 70 {
		t.Errorf("%d pairs were compared", compared)
	}
}
