package merge

import (
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

var update = flag.Bool("update", false, "write the merged graphs into testdata/*.golden, to be checked by hand")

const residualText = `
	input x f32[N,1,4,4]
	w0 = init f32[2,1,1,1] random(SEED1)
	s0 = Conv(x, w0)
	r0 = Relu(s0)
	w1 = init f32[3,2,1,1] random(SEED2)
	c1 = Conv(r0, w1)
	r1 = Relu(c1)
	w2 = init f32[2,3,1,1] random(SEED3)
	c2 = Conv(r1, w2)
	s1 = Add(c2, r0)
	r2 = Relu(s1)
	p = GlobalAveragePool(r2)
	f = Flatten(p)
	wf = init f32[2,2] random(SEED4)
	bf = init f32[2] random(SEED5)
	logits = Gemm(f, wf, bf) {transB=1}
	output logits f32[N,2]
`

// Everything whose attributes or constants hold a number of channels.
const widthsText = `
	opset 18
	input x f32[1,1,4,4]
	w0 = init f32[4,1,1,1] random(SEED1)
	h = Conv(x, w0)
	wd = init f32[4,1,1,1] random(SEED2)
	depthwise = Conv(h, wd) {group=4}
	two = init i64[2]{1,3}
	left, right = Split(depthwise, two) {axis=1}
	one, other = Split(h) {axis=1, num_outputs=2}
	together = Concat(right, left, one, other) {axis=1}
	p = init i64[2]{1,2}
	pa = init i64[1]{1}
	padded = Pad(together, p, _, pa)
	from = init i64[1]{-9}
	to = init i64[1]{-1}
	sa = init i64[1]{1}
	sliced = Slice(padded, from, to, sa)
	order = init i64[8]{4,5,6,7,0,1,2,3}
	shuffled = Gather(sliced, order) {axis=1}
	sizes = init i64[4]{1,8,8,8}
	big = Resize(shuffled, _, _, sizes) {mode="nearest"}
	target = init i64[3]{1,8,64}
	flat = Reshape(big, target)
	f = Flatten(flat)
	wf = init f32[2,512] random(SEED3)
	logits = Gemm(f, wf) {transB=1}
	output logits
`

func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name, text string
		cut        []string
		zip        func(*space.Space) match.Zip
	}{
		{"residual", residualText, nil, reversed},
		{"residual_wide", residualText, nil, wide},
		{"residual_inside_block", residualText, []string{"c1"}, reversed},
		{"widths_wide", widthsText, nil, wide},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := seeded(t, c.text, "1", "2")
			trunk := trunkOf(t, s, c.cut...)
			m := mustBuild(t, s, trunk, assign(trunk, c.zip), Options{})
			if strings.HasSuffix(c.name, "wide") { // all features are kept: the heads compute what the sources do
				sameOutputs(t, s, m)
			}
			got := onnxtest.Dump(m.Model)
			path := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("merged graph (-want +got), -update if it is right:\n%s", d)
			}
		})
	}
}

func sameOutputs(t *testing.T, s *Sources, m *Merged) {
	t.Helper()
	got := outputsOf(t, m.Model)
	for i, src := range s.Models {
		for k, v := range src.Index.Graph.GetOutput() {
			x, y := outputsOf(t, src.Model)[v.GetName()], got[m.Outputs[i][k]]
			if len(x) != len(y) {
				t.Fatalf("%d values, want %d", len(y), len(x))
			}
			for j := range x {
				if math.Abs(x[j]-y[j]) > 1e-5 {
					t.Errorf("head %d: value %d is %v, want %v", i, j, y[j], x[j])
				}
			}
		}
	}
}

func outputsOf(t *testing.T, m *onnx.Model) map[string][]float64 {
	t.Helper()
	session, err := orttest.Engine(t).Open(t.Context(), m, calibrate.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Run(t.Context(), onnxtest.Feeds(m, 3, nil))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float64{}
	for name, tensor := range out {
		if values[name], err = tensor.Float64s(); err != nil {
			t.Fatal(err)
		}
	}
	return values
}
