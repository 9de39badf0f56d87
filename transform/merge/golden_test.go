package merge

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		{"widths", widthsText, nil, wide},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := seeded(t, c.text, "1", "2")
			trunk := trunkOf(t, s, c.cut...)
			got := onnxtest.Dump(mustBuild(t, s, trunk, assign(trunk, c.zip), Options{}).Model)
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
