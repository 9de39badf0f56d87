package onnx_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/proto"
)

func index(t *testing.T, text string) *onnx.Index {
	t.Helper()
	ix, err := onnx.NewIndex(onnxtest.Build(t, text).Graph())
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func names(nodes []*onnx.Node) string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.GetName()
	}
	return strings.Join(out, " ")
}

func TestIndex(t *testing.T) {
	ix := index(t, `input x f32[N,3]
		input w f32[3,3]
		w = init f32[3,3] random(1)
		k = Constant() {value=f32[1]{2}}
		a = MatMul(x, w)
		b = Add(a, a)
		c, _, d = own::Cut(b, _, k)
		output c
		output d`)
	if ix.Producer("b").GetName() != "b" || ix.Producer("x") != nil || ix.Producer("w") != nil || ix.Producer("d").GetName() != "c" {
		t.Error("producers")
	}
	uses := ix.Uses("a")
	if len(uses) != 2 || uses[0].Slot != 0 || uses[1].Slot != 1 || uses[0].Node != ix.Producer("b") {
		t.Errorf("uses of a: %v", uses)
	}
	if u := ix.Uses("k"); len(u) != 1 || u[0].Slot != 2 || len(ix.Uses("d")) != 0 {
		t.Errorf("uses of k: %v", u)
	}
	if ix.Initializer("w") == nil || ix.Input("w") != nil || ix.Input("x") == nil || ix.Output("c") == nil || ix.Output("a") != nil {
		t.Error("an initializer that is listed as an input is no input")
	}
	if in := ix.Inputs(); len(in) != 1 || in[0].GetName() != "x" {
		t.Errorf("inputs %v", in)
	}
	if !ix.Has("k") || ix.Has("") || ix.Has("none") {
		t.Error("Has")
	}
	if ix.Constant("w") == nil || ix.Constant("k") == nil || ix.Constant("a") != nil || ix.Constant("x") != nil {
		t.Error("Constant")
	}
	if names(ix.Order) != "k a b c" || ix.Position(ix.Producer("b")) != 2 {
		t.Errorf("order %s", names(ix.Order))
	}
}

// A file's order is kept as far as it goes: a node moves behind its producers and no further.
func TestOrderIsStable(t *testing.T) {
	ix := index(t, `input x f32[N]
		e = Add(d, b)
		b = Relu(a)
		z = Neg(x)
		a = Abs(x)
		d = Exp(a)
		y = Sqrt(x)
		output e`)
	if got := names(ix.Order); got != "z a b d e y" {
		t.Errorf("order %s", got)
	}
	sorted := index(t, "input x f32[N]\nc = Abs(x)\nb = Abs(x)\na = Add(b, c)\noutput a")
	if got := names(sorted.Order); got != "c b a" {
		t.Errorf("a sorted file became %s", got)
	}
}

func TestIndexRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, where, want string }{
		{"two producers", "input x f32[1]\ny = Relu(x)\ny = Abs(x)", "y", "made twice"},
		{"twice from one node", "input x f32[1]\ny, y = Split(x)", "y", "made twice"},
		{"a node makes an input", "input x f32[1]\nx = Relu(x)", "x", "made twice"},
		{"a node makes an initializer", "w = init f32[1]{1}\nw = Relu(w)", "w", "made twice"},
		{"two initializers", "w = init f32[1]{1}\nw = init f32[1]{2}", "w", "two initializers"},
		{"two inputs", "input x f32[1]\ninput x f32[2]", "x", "two inputs"},
		{"nothing makes it", "y = Relu(x)", "x", "nothing makes"},
		{"an output that nothing makes", "input x f32[1]\noutput y", "y", "never made"},
		{"a cycle", "input x f32[1]\na = Add(x, b)\nb = Relu(a)\noutput b", "", "cycle"},
		{"a node that reads itself", "a = Relu(a)", "", "cycle"},
	} {
		_, err := onnx.NewIndex(onnxtest.Build(t, c.text).Graph())
		f := fault.As(err)
		if f == nil || f.Kind != fault.Model || f.Value != c.where || !strings.Contains(f.Message, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	g := onnxtest.Build(t, "input x f32[1]\ny = Add(x, s)\noutput y").Graph()
	g.SparseInitializer = []*onnxpb.SparseTensorProto{{Values: &onnx.TensorProto{Name: proto.String("s")}}}
	if _, err := onnx.NewIndex(g); err == nil || fault.As(err).Kind != fault.Unsupported || fault.As(err).Value != "s" {
		t.Errorf("a sparse initializer: %v", err)
	}
}

// branch is an If whose branches capture values of the outer graph, one of them through an inner If.
func branch(t *testing.T) *onnx.Model {
	m := onnxtest.Build(t, `input x f32[N]
		input c bool[]
		y = If(c)
		a = Relu(x)
		b = Abs(x)
		output y`)
	inner := onnxtest.Build(t, "own = Exp(b)\nz = Add(own, local)\noutput z").Graph()
	nested := onnx.NewNode("If", "nested", []string{"c"}, []string{"n"},
		&onnx.Attribute{Name: proto.String("then_branch"), G: inner})
	outer := onnxtest.Build(t, "local = Relu(a)\noutput n").Graph()
	outer.Node = append(outer.Node, nested)
	direct := onnxtest.Build(t, "output x").Graph()
	m.Graph().Node[0].Attribute = []*onnx.Attribute{
		{Name: proto.String("then_branch"), G: outer}, {Name: proto.String("else_branch"), Graphs: []*onnx.Graph{direct}},
	}
	return m
}

func TestSubgraphCaptures(t *testing.T) {
	g := branch(t).Graph()
	ix, err := onnx.NewIndex(g)
	if err != nil {
		t.Fatal(err)
	}
	if got := onnx.Reads(g.Node[0]); !slices.Equal(got, []string{"c", "a", "c", "b", "x"}) {
		t.Errorf("the If reads %v", got)
	}
	if got := names(ix.Order); got != "a b y" {
		t.Errorf("order %s", got)
	}
	for _, v := range []string{"a", "b", "x"} {
		uses := ix.Uses(v)
		if i := slices.Index(uses, onnx.Use{Node: g.Node[0], Slot: -1}); i < 0 {
			t.Errorf("%s: no capture among %v", v, uses)
		}
	}
	if ix.Uses("local") != nil || !onnx.HasSubgraph(g.Node[0]) || onnx.HasSubgraph(g.Node[1]) {
		t.Error("inner values leak")
	}
}

func TestNodeName(t *testing.T) {
	for want, n := range map[string]*onnx.Node{
		"named":   onnx.NewNode("Relu", "named", nil, []string{"y"}),
		"Relu(y)": onnx.NewNode("Relu", "", nil, []string{"", "y"}),
		"Relu":    onnx.NewNode("Relu", "", nil, nil),
	} {
		if got := onnx.NodeName(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func ExampleNewIndex() {
	g := &onnx.Graph{
		Input: []*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, onnx.Static(1, 3))},
		Node: []*onnx.Node{ // not in order
			onnx.NewNode("Add", "residual", []string{"x", "a"}, []string{"y"}),
			onnx.NewNode("Relu", "act", []string{"x"}, []string{"a"}),
		},
		Output: []*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, onnx.Static(1, 3))},
	}
	ix, err := onnx.NewIndex(g)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range ix.Order {
		fmt.Println(n.GetName())
	}
	for _, use := range ix.Uses("x") {
		fmt.Printf("x is input %d of %s\n", use.Slot, use.Node.GetName())
	}
	// Output:
	// act
	// residual
	// x is input 0 of residual
	// x is input 0 of act
}
