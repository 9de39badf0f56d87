package transform_test

import (
	"path/filepath"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

func shuffleNets(t *testing.T, names ...string) *transform.Prepared {
	t.Helper()
	var models []*onnx.Model
	for _, name := range names {
		m, err := onnx.Load(filepath.Join(onnxtest.Root(t), "testdata", "zoo", "shufflenet_v2-"+name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	return prepare(t, models...)
}

// Channel shuffles, as both exporters write them, pin nothing: all but the classifier is shared, and at full width
// every head is its source.
func TestShuffleNetsAtFullWidth(t *testing.T) {
	p := shuffleNets(t, "t13-a", "d18-b", "t13-b")
	trunk := findTrunk(t, p, merge.Cut{})
	if n := len(p.Sources.Models[0].Index.Order); len(trunk.Groups) != n-1 {
		t.Errorf("%d of %d nodes shared: %v", len(trunk.Groups), n, trunk.Ends)
	}
	for _, s := range trunk.Analysis.Spaces {
		if s.Mode != space.Zip {
			t.Errorf("space %q is bound: %s", s.Name, s.Reasons())
		}
	}
	feeds := map[string]*onnx.Tensor{"input": onnxtest.Random(3, onnx.Float, 2, 3, 32, 32)}
	newChecker(t, engine(t), p, feeds).check(t, p, build(t, p, trunk, full(t, p, trunk)), tolerance)
}

// Pieces of one block may get other widths than the rest of it: the written file runs, and its trunk is as measured.
func TestShuffleNetsOfOtherWidths(t *testing.T) {
	p := shuffleNets(t, "t13-a", "d18-b")
	for _, budget := range []float64{0.5, 1.5} {
		s := preset(t, "best")
		s.Budget = budget
		res := mergeAll(t, p, randomSamples(160, "input", 3, 32, 32), transform.Options{Settings: s})
		one := float64(res.Report.Cost.EnsembleFLOPs) / 2
		if got := float64(res.Report.Cost.FLOPs) / one; got > budget || got < 0.8*budget {
			t.Errorf("a budget of %gx gives %.3fx", budget, got)
		}
		for _, n := range res.Model.Graph().GetNode() {
			if n.GetOpType() == "Transpose" {
				t.Errorf("%gx: %s is still there", budget, onnxtest.DumpNode(n))
			}
		}
	}
}
