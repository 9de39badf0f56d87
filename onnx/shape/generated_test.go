package shape_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// TestGeneratedAgainstEngine runs random chains of operators with random attributes over images. A chain
// that Infer refuses, because the image gets too small, the engine must refuse too.
func TestGeneratedAgainstEngine(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			text := generate(rand.New(rand.NewPCG(seed, 1)), 6)
			m := onnxtest.Build(t, text)
			sizes := map[string]int64{"N": 2, "H": 40 + int64(seed%7), "W": 37}
			dims := []int64{2, 4, sizes["H"], sizes["W"]}
			_, err := shape.Infer(m, shape.Options{InputDims: map[string][]int64{"v0": dims}})
			if err == nil {
				againstEngine(t, m, sizes)
			} else if _, ran := runAll(t, m, nil, onnxtest.Feeds(m, 1, sizes)); ran == nil {
				t.Errorf("the engine runs what is refused: %v", err)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// generate writes a chain of nodes that hold [N,channels,height,width] all along.
func generate(r *rand.Rand, nodes int) string {
	g := &generator{Rand: r, channels: 4}
	g.add("input v0 f32[N,4,H,W]")
	for g.last = 0; g.last < nodes; g.last++ {
		steps := []func(){g.conv, g.pool, g.deconv, g.resize, g.residual, g.view, g.pad, g.slice}
		steps[r.IntN(len(steps))]()
	}
	g.add("output v%d", nodes)
	return g.text.String()
}

type generator struct {
	*rand.Rand
	text     strings.Builder
	last     int // the newest value is v<last>
	channels int
}

func (g *generator) add(format string, args ...any) { fmt.Fprintf(&g.text, format+"\n", args...) }

// node adds the step's last node.
func (g *generator) node(format string, args ...any) {
	g.add("v%d = %s", g.last+1, fmt.Sprintf(format, args...))
}

func (g *generator) conv() {
	group := 1 + g.IntN(2)
	k := 1 + g.IntN(3)
	out := 2 * (1 + g.IntN(4))
	g.add("w%d = init f32[%d,%d,%d,%d] random(1)", g.last, out, g.channels/group, k, 2)
	dilation := 1 + g.IntN(2)
	padding := fmt.Sprintf("pads=[%d,%d,1,0]", g.IntN(3), g.IntN(3))
	if g.IntN(3) == 0 {
		dilation = 1 // ONNX Runtime wants it so
		padding = `auto_pad="` + []string{"SAME_UPPER", "SAME_LOWER", "VALID"}[g.IntN(3)] + `"`
	}
	g.node("Conv(v%d, w%d) {group=%d, strides=[%d,1], dilations=[%d,1], %s}",
		g.last, g.last, group, 1+g.IntN(2), dilation, padding)
	g.channels = out
}

func (g *generator) deconv() {
	g.add("w%d = init f32[%d,3,2,3] random(1)", g.last, g.channels)
	g.node("ConvTranspose(v%d, w%d) {group=2, strides=[%d,2], pads=[0,1,%d,0], output_padding=[0,%d]}",
		g.last, g.last, 1+g.IntN(2), g.IntN(2), g.IntN(2))
	g.channels = 6
}

func (g *generator) pool() {
	op := []string{"MaxPool", "AveragePool"}[g.IntN(2)]
	g.node("%s(v%d) {kernel_shape=[%d,3], strides=[%d,%d], pads=[0,%d,0,1], ceil_mode=%d}",
		op, g.last, 1+g.IntN(3), 1+g.IntN(3), 1+g.IntN(2), g.IntN(2), g.IntN(2))
}

func (g *generator) resize() {
	g.add("s%d = init f32[4]{1,1,%.2f,2}", g.last, 0.5+g.Float64())
	g.node("Resize(v%d, _, s%d)", g.last, g.last)
}

func (g *generator) residual() {
	g.add("r%d = Relu(v%d)", g.last, g.last)
	g.node("Concat(v%d, r%d) {axis=1}", g.last, g.last)
	g.channels *= 2
}

// view reshapes there and back through a computed shape.
func (g *generator) view() {
	i := g.last
	g.add("shape%d = Shape(v%d)", i, i)
	g.add("zero%d = init i64[1]{0}\nrest%d = init i64[1]{-1}", i, i)
	g.add("n%d = Gather(shape%d, zero%d)", i, i, i)
	g.add("flat%d = Concat(n%d, rest%d) {axis=0}", i, i, i)
	g.add("m%d = Reshape(v%d, flat%d)", i, i, i)
	g.node("Reshape(m%d, shape%d)", i, i)
}

func (g *generator) pad() {
	g.add("p%d = init i64[8]{0,0,%d,%d,0,0,1,-1}", g.last, g.IntN(3), g.IntN(3))
	g.node("Pad(v%d, p%d)", g.last, g.last)
}

func (g *generator) slice() {
	i := g.last
	g.add("a%d = init i64[2]{%d,1}\nb%d = init i64[2]{%d,-1}", i, g.IntN(3), i, 5+g.IntN(40))
	g.add("c%d = init i64[2]{-2,3}\nd%d = init i64[2]{%d,1}", i, i, 1+g.IntN(2))
	g.node("Slice(v%d, a%d, b%d, c%d, d%d)", i, i, i, i, i)
}

func BenchmarkInfer(b *testing.B) {
	m := onnxtest.Build(b, generate(rand.New(rand.NewPCG(1, 1)), 1000))
	for b.Loop() {
		if _, err := shape.Infer(m, shape.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
