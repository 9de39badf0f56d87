package transform_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

func dataFree(t *testing.T, match, refit string) transform.Options {
	s := preset(t, "zip")
	s.Match, s.Refit, s.DataFree = match, refit, true
	return transform.Options{Settings: s}
}

// TestDataFreePermutedCopy: weights alone find the order of a permuted copy, so that zipping the two gives the model.
func TestDataFreePermutedCopy(t *testing.T) {
	for _, name := range []string{"mlp_a", "vgg_a", "resnet20_a"} {
		m := real(t, name)
		one := prepare(t, m)
		trunk := findTrunk(t, one, merge.Cut{})
		copied := permuted(t, one, trunk, permutations(trunk, 7))
		p := prepare(t, m, copied)
		for _, match := range []string{"permute", "zip"} {
			res := mergeAll(t, p, nil, dataFree(t, match, "repair"))
			if e := outputError(t, p, res.Model, testImages(t, p, 50)); e > 1e-5 {
				t.Errorf("%s, %s: the outputs of a zip with a permuted copy are off by %.3g", name, match, e)
			}
		}
	}
}

// TestDataFreePair: on models of different origin, matching by weights is better than none, and correcting the
// variance better than not; the same weights give the same bytes.
func TestDataFreePair(t *testing.T) {
	p, _ := pairOf(t, "mlp", "a", "b")
	test := testImages(t, p, 500)
	errorOf := func(match, refit string) float64 {
		return outputError(t, p, mergeAll(t, p, nil, dataFree(t, match, refit)).Model, test)
	}
	average, plain, folded := errorOf("identity", "none"), errorOf("zip", "none"), errorOf("zip", "repair")
	if plain > 0.5*average || folded > 0.8*plain {
		t.Errorf("errors: average %.3f, zip %.3f, corrected %.3f", average, plain, folded)
	}
	var files [][]byte
	for range 2 {
		b, err := mergeAll(t, p, nil, dataFree(t, "zip", "repair")).Model.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two merges of the same weights differ")
	}
}

// noise is n images of uniform noise over the range of real ones.
func noise(n int) samples {
	rng := rand.New(rand.NewPCG(8, 9))
	v := make([]float32, n*784)
	for k := range v {
		v[k] = float32(-0.81 + 2.83*rng.Float64())
	}
	return samples{n: n, batch: func(from, to int) map[string]*onnx.Tensor {
		return map[string]*onnx.Tensor{"input": onnx.FromFloat32(v[from*784:to*784], int64(to-from), 1, 28, 28)}
	}}
}

// TestMeasureDataFree prints the table of docs/data-free.md: ONNX_ZIP_MEASURE=datafree go test ./transform -run MeasureDataFree -v
func TestMeasureDataFree(t *testing.T) {
	if os.Getenv("ONNX_ZIP_MEASURE") != "datafree" {
		t.Skip("set ONNX_ZIP_MEASURE to datafree")
	}
	for _, pair := range []string{"mlp", "vgg", "tuned", "resnet20"} {
		p, calib := pairOf(t, pair, "a", "b")
		test := testImages(t, p, 1000)
		for _, match := range []string{"permute", "zip"} {
			line := "| " + pair + " | " + match
			for _, way := range []struct {
				free  bool
				src   calibrate.Source
				refit string
			}{{true, nil, "none"}, {true, nil, "repair"}, {false, noise(640), "repair"}, {false, noise(640), "ls"}, {false, calib, "repair"}, {false, calib, "ls"}} {
				o := dataFree(t, match, way.refit)
				o.DataFree = way.free
				res := mergeAll(t, p, way.src, o)
				line += fmt.Sprintf(" | %.2f, %s", outputError(t, p, res.Model, test), agreements(t, p, res.Model, test))
			}
			fmt.Println(line + " |")
		}
	}
}

// agreements is each output's share of samples with its source's largest entry, in percent.
func agreements(t *testing.T, p *transform.Prepared, m *onnx.Model, src calibrate.Source) string {
	t.Helper()
	side, err := p.SideBySide(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, got := allOutputs(t, side.Model, src), allOutputs(t, m, src)
	text := ""
	for k, names := range side.Outputs {
		if k > 0 {
			text += " / "
		}
		w, g := want[names[0]], got[names[0]]
		classes, same := len(w)/src.Samples(), 0
		for s := range src.Samples() {
			if top(w[s*classes:(s+1)*classes]) == top(g[s*classes:(s+1)*classes]) {
				same++
			}
		}
		text += fmt.Sprintf("%.0f", 100*float64(same)/float64(src.Samples()))
	}
	return text
}

func top(v []float32) int {
	best := 0
	for k := range v {
		if v[k] > v[best] {
			best = k
		}
	}
	return best
}

// TestDataFreeRefuses: without data there is nothing to fit, and nothing tells what explains a feature.
func TestDataFreeRefuses(t *testing.T) {
	p, _ := pairOf(t, "mlp", "a", "b")
	for _, o := range []transform.Options{dataFree(t, "zip", "ls"), dataFree(t, "subset", "repair")} {
		if _, err := p.Merge(context.Background(), engine(t), nil, o); err == nil || fault.As(err).Code != "needs_data" {
			t.Errorf("%s, %s without data: %v", o.Match, o.Settings.Refit, err)
		}
	}
}
