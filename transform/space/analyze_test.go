package space

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/pair"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// residual is a small network: a stem, blocks of two convolutions around a skip, a head.
func residual(blocks int) string {
	var b strings.Builder
	fmt.Fprintln(&b, "input x f32[N,3,8,8]\nw0 = init f32[4,3,3,3] random(1)\ns0 = Conv(x, w0) {pads=[1,1,1,1]}")
	for k := range blocks {
		fmt.Fprintf(&b, `
			a%[2]d = init f32[6,4,3,3] random(%[3]d)
			c%[2]d = Conv(s%[1]d, a%[2]d) {pads=[1,1,1,1]}
			r%[2]d = Relu(c%[2]d)
			b%[2]d = init f32[4,6,3,3] random(%[4]d)
			d%[2]d = Conv(r%[2]d, b%[2]d) {pads=[1,1,1,1]}
			s%[2]d = Add(s%[1]d, d%[2]d)
		`, k, k+1, 2*k+2, 2*k+3)
	}
	fmt.Fprintf(&b, `
		p = GlobalAveragePool(s%d)
		f = Flatten(p)
		wf = init f32[5,4] random(0)
		y = Gemm(f, wf) {transB=1}
		output y
	`, blocks)
	return b.String()
}

func TestResidualStreamIsOneSpace(t *testing.T) {
	in := build(t, residual(2))
	a := Analyze([]Input{in}, nil, Options{})
	want := strings.TrimSpace(`
zip 4: w0.0:out s0.1 a1.1:in b1.0:out d1.1 s1.1 a2.1:in b2.0:out d2.1 s2.1 p.1 f.1 wf.1:in
zip 6: a1.0:out c1.1 r1.1 b1.1:in
zip 6: a2.0:out c2.1 r2.1 b2.1:in
pinned 5: wf.0:out y.1
  < output y is an output of the model`)
	if got := dump(a, in.Index); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReads(t *testing.T) {
	a := Analyze([]Input{build(t, residual(1))}, nil, Options{})
	var got []string
	for _, r := range a.Reads() {
		got = append(got, fmt.Sprintf("%s reads %s.%d, fan %d", r.Node, r.Value, r.Axis, r.Fan))
	}
	want := []string{"s0 reads x.1, fan 36", "c1 reads s0.1, fan 54", "d1 reads r1.1, fan 36", "y reads f.1, fan 5"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// subgraph makes a node of one branch, a graph that reads a value of the outer graph.
func subgraph(op, output, input, captured string) *onnx.Node {
	body := &onnx.Graph{
		Name:   proto.String("body"),
		Node:   []*onnx.Node{onnx.NewNode("Relu", "inner", []string{captured}, []string{"inner"})},
		Output: []*onnx.ValueInfo{{Name: proto.String("inner")}},
	}
	n := onnx.NewNode(op, output, []string{input}, []string{output}, onnx.Int("n", 1))
	n.Attribute[0] = &onnx.Attribute{Name: proto.String("body"), G: body}
	return n
}

func TestSubgraphsPinWhatTheyCapture(t *testing.T) {
	for _, op := range []string{"If", "Loop", "Scan"} {
		in := build(t, "use image\ninput c bool[]\nw = init f32[6,4,1,1] random(2)\ng = Conv(h, w)")
		in.Index.Graph.Node = append(in.Index.Graph.Node, subgraph(op, "y", "c", "g"))
		var err error
		if in.Index, err = onnx.NewIndex(in.Index.Graph); err != nil {
			t.Fatal(err)
		}
		a := Analyze([]Input{in}, nil, Options{})
		for value, want := range map[string]Mode{"h": Zip, "g": Pinned} {
			if got := a.Layouts(0, value)[1][0].Space; got.Mode != want {
				t.Errorf("%s: %s is %v (%s), want %v", op, value, got.Mode, got.Reasons(), want)
			}
		}
	}
}

func TestNodesWithoutOutputsAreNoTrouble(t *testing.T) {
	in := build(t, presets["use image"])
	n := onnx.NewNode("Sink", "sink", []string{"h"}, nil)
	in.Index.Order = append(in.Index.Order, n)
	a := Analyze([]Input{in}, nil, Options{})
	if s := a.Layouts(0, "h")[1][0].Space; s.Mode != Pinned {
		t.Errorf("what an unknown operator reads is %v", s.Mode)
	}
}

func TestKeepFreesWhatOthersRead(t *testing.T) {
	in := build(t, "use image\ny = LRN(h) {size=3}")
	all := Analyze([]Input{in}, nil, Options{})
	some := Analyze([]Input{in}, nil, Options{Keep: func(_ int, n *onnx.Node) bool { return n.GetOpType() == "Conv" }})
	if m := all.Layouts(0, "h")[1][0].Space.Mode; m != Pinned {
		t.Errorf("with its reader the space is %v", m)
	}
	if m := some.Layouts(0, "h")[1][0].Space.Mode; m != Zip {
		t.Errorf("without its reader the space is %v", m)
	}
	if some.Layouts(0, "y") != nil {
		t.Error("a node that is left out has layouts")
	}
}

// Spaces are common to the models, and as strict as the strictest.
func TestModelsShareSpaces(t *testing.T) {
	first := "use image\nr = Relu(h)\nz = Add(r, r)\noutput z"
	second := "input in f32[M,3,8,8]\nv = init f32[4,3,1,1] random(7)\nc = Conv(in, v)\na = Relu(c)\nb = Add(a, a)\ni = init i64[2]{0,2}\ns = Gather(c, i) {axis=1}\nq = LRN(s) {size=3}\noutput b\noutput q"
	inputs := []Input{build(t, first), build(t, second)}
	p, err := pair.Find([]*onnx.Index{inputs[0].Index, inputs[1].Index}, pair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := Analyze(inputs, p, Options{Keep: func(int, *onnx.Node) bool { return true }})
	x, y := a.Layouts(0, "r")[1], a.Layouts(1, "a")[1]
	if !slices.Equal(x, y) || len(x) != 4 {
		t.Fatalf("layouts of corresponding values: %v and %v", x, y)
	}
	for k, want := range []Mode{Pinned, Zip, Pinned, Zip} { // the second model picks features 0 and 2 for an LRN
		if x[k].Space.Mode != want {
			t.Errorf("feature %d is %v, want %v", k, x[k].Space.Mode, want)
		}
	}
	if why := x[0].Space.Reasons(); !strings.Contains(why, `LRN "q" is an operator that the analysis does not know`) || x[0].Space.Why[0].Model != 1 {
		t.Errorf("reason %q of model %d", why, x[0].Space.Why[0].Model)
	}
	if !slices.Equal(a.Layouts(0, "wx")[0], x) || !slices.Equal(a.Layouts(1, "v")[0], x) {
		t.Error("the weights' layouts are not the values'")
	}
}

// feature is what lies at a position: the part (a block that is not cut) and the place in it.
type feature struct {
	b        *block
	f, inner int
}

// positions lists what an axis holds, one by one.
func positions(x axis) []feature {
	var out []feature
	for _, r := range resolve(x) {
		for p := range r.positions() {
			if r.b == nil {
				out = append(out, feature{})
			} else {
				out = append(out, feature{r.b, p / r.inner, p % r.inner})
			}
		}
	}
	return out
}

// TestUnify compares unify with what it means: after it, position k of one axis holds what position k of
// the other does, or what is there is pinned, at all axes of all earlier ties too.
func TestUnify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &analyzer{inputs: make([]Input, 1)}
		blocks := make([]*block, rapid.IntRange(1, 4).Draw(t, "blocks"))
		for i := range blocks {
			blocks[i] = a.newBlock(0, rapid.IntRange(1, 6).Draw(t, "size"))
		}
		draw := func(n int) axis {
			var x axis
			for x.positions() < n {
				if rapid.IntRange(0, 5).Draw(t, "aligned") == 0 {
					x = append(x, run{size: rapid.IntRange(1, 4).Draw(t, "size"), inner: 1})
				} else {
					x = append(x, run{b: rapid.SampledFrom(blocks).Draw(t, "block"), inner: rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(t, "inner")})
				}
			}
			return x
		}
		var ties [][2]axis
		for range rapid.IntRange(1, 3).Draw(t, "ties") {
			x := draw(rapid.IntRange(1, 10).Draw(t, "length"))
			y := draw(x.positions())
			ties = append(ties, [2]axis{x, y})
			a.unify(x, y, Reason{Text: "ties"})
		}
		for _, tie := range ties {
			x, y := positions(tie[0]), positions(tie[1])
			for k := range max(len(x), len(y)) {
				var p, q feature
				if k < len(x) {
					p = x[k]
				}
				if k < len(y) {
					q = y[k]
				}
				if p != q && !(stuck(p) && stuck(q)) && !sameHead(p, q) {
					t.Fatalf("position %d holds %v and %v", k, p, q)
				}
			}
		}
	})
}

// stuck is true of positions that nothing may move.
func stuck(f feature) bool {
	return f.b == nil || f.b.mode == Pinned || f.b.aligned != nil || f.b.heads != nil && f.b.heads.group.find().fixed && inOrder(f.b)
}

func inOrder(b *block) bool { return b.heads.inside || b.partSize(InsidePart) == 1 }

// sameHead is true of positions in the same head of blocks whose heads move together, and where nothing moves inside.
func sameHead(p, q feature) bool {
	if p.b == nil || q.b == nil || p.b.heads == nil || q.b.heads == nil || p.b.heads.group.find() != q.b.heads.group.find() {
		return false
	}
	return p.b.heads.count == q.b.heads.count && inOrder(p.b) && inOrder(q.b) &&
		p.f/p.b.partSize(InsidePart) == q.f/q.b.partSize(InsidePart)
}

func TestTextOfModesAndReasons(t *testing.T) {
	if text, _ := Permute.MarshalText(); string(text) != "permute" {
		t.Errorf("got %q", text)
	}
	s := Space{Why: []Reason{{Node: "probs", Op: "Softmax", Text: "normalises over the features"}, {Text: "is fixed"}}}
	if got := s.Reasons(); got != `Softmax "probs" normalises over the features; is fixed` {
		t.Errorf("got %q", got)
	}
}

// A layout of many runs must not take quadratic time: NHWC features behind a large flatten.
func TestManyRuns(t *testing.T) {
	a := &analyzer{inputs: make([]Input, 1)}
	x, y := a.newBlock(0, 4), a.newBlock(0, 4)
	long, ok := product([]axis{aligned(maxCopies), {{b: x, inner: 1}}})
	other, ok2 := product([]axis{aligned(maxCopies), {{b: y, inner: 1}}})
	if !ok || !ok2 {
		t.Fatal("the copies are refused")
	}
	a.unify(long, other, Reason{})
	if x.find() != y.find() {
		t.Error("the blocks are not united")
	}
}

func BenchmarkAnalyze(b *testing.B) {
	for _, nodes := range []int{100, 1000} {
		in := build(b, residual(nodes/4))
		b.Run(fmt.Sprintf("nodes=%d", len(in.Index.Order)/nodes*nodes), func(b *testing.B) {
			for b.Loop() {
				Analyze([]Input{in}, nil, Options{})
			}
		})
	}
}
