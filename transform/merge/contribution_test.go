package merge

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// TestMergedByRows: how many rows of a parameter are merged at a time changes no bit of it, nor does whether it is read as a
// whole: single numbers, biases, filters, and filters of grouped convolutions.
func TestMergedByRows(t *testing.T) {
	grouped := `
	input x f32[N,1,4,4]
	w0 = init f32[4,1,3,3] random(SEED1)
	a = Conv(x, w0)
	r = Relu(a)
	wg = init f32[4,2,1,1] random(SEED2)
	bg = init f32[4] random(SEED3)
	g = Conv(r, wg, bg) {group=2}
	s = Relu(g)
	w1 = init f32[6,4,1,1] random(SEED4)
	c = Conv(s, w1)
	e = Relu(c)
	f = Flatten(e)
	wf = init f32[2,24] random(SEED5)
	logits = Gemm(f, wf) {transB=1}
	output logits
	`
	defer func(size int) { slabSize = size }(slabSize)
	for name, text := range map[string]string{"residual": residualText, "widths": widthsText, "grouped": grouped} {
		for which, zip := range map[string]func(*space.Space) match.Zip{"same": same(2), "reversed": reversed, "wide": wide} {
			s := seeded(t, text, "1", "2")
			trunk := trunkOf(t, s)
			as := assign(trunk, zip)
			if as.check(trunk.Analysis.Spaces, 2) != nil {
				continue // a grouped convolution's features stay in their groups
			}
			slabSize = 1 << 18
			want := mustBuild(t, s, trunk, as, Options{}).Model
			for _, slabSize = range []int{0, 1, 7} {
				if got := mustBuild(t, s, trunk, as, Options{}).Model; !onnx.Equal(got.Proto, want.Proto) {
					t.Errorf("%s, %s, %d elements at a time:\n%s\nwant\n%s", name, which, slabSize, onnxtest.Dump(got), onnxtest.Dump(want))
				}
			}
		}
	}
}
