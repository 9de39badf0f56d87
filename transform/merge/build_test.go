package merge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"google.golang.org/protobuf/proto"
)

func declared(vs []*onnx.ValueInfo) []string {
	var out []string
	for _, v := range vs {
		out = append(out, onnxtest.DumpValue(v))
	}
	return out
}

func TestVersionsAndMetadata(t *testing.T) {
	a := onnxtest.Build(t, strings.ReplaceAll(residualText, "SEED", "1"))
	b := onnxtest.Build(t, "opset ai.onnx 17\nopset my 2\nir 9\n"+strings.ReplaceAll(residualText, "SEED", "2"))
	b.Proto.OpsetImport = b.Proto.OpsetImport[1:] // the default domain by its other name only
	for key, value := range map[string]string{"license": "MIT", "task": "one"} {
		a.SetMetadata(key, value)
	}
	b.SetMetadata("task", "two")
	b.SetMetadata("license", "MIT")
	s := sourcesOf(t, a, b)
	trunk := trunkOf(t, s)
	m := mustBuild(t, s, trunk, assign(trunk, same(2)), Options{}).Model
	if got := m.Proto.GetIrVersion(); got != 9 {
		t.Errorf("IR version %d, want the highest", got)
	}
	var opsets []string
	for _, o := range m.Proto.GetOpsetImport() {
		opsets = append(opsets, fmt.Sprintf("%q %d", o.GetDomain(), o.GetVersion()))
	}
	if want := []string{`"" 17`, `"my" 2`}; !slices.Equal(opsets, want) {
		t.Errorf("opsets %q, want %q", opsets, want)
	}
	if len(m.Proto.GetMetadataProps()) != 3 || m.Metadata("license") != "MIT" || m.Metadata("a.task") != "one" || m.Metadata("b.task") != "two" {
		t.Errorf("metadata %v", m.Proto.GetMetadataProps())
	}
}

func TestInputsAreAsNarrowAsTheNarrowest(t *testing.T) {
	text := "input x f32[DIMS]\nw = init f32[2,1,1,1] random(1)\nc = Conv(x, w)\ny = Relu(c)\noutput y f32[DIMS]"
	a := onnxtest.Build(t, strings.ReplaceAll(text, "DIMS", "N,1,H,4"))
	b := onnxtest.Build(t, strings.ReplaceAll(text, "DIMS", "M,1,8,W"))
	s := sourcesOf(t, a, b)
	trunk := trunkOf(t, s)
	g := mustBuild(t, s, trunk, assign(trunk, same(2)), Options{}).Model.Graph()
	if got, want := declared(g.GetInput()), []string{"x f32[N,1,8,4]"}; !slices.Equal(got, want) {
		t.Errorf("inputs %q, want %q", got, want)
	}
	if got, want := declared(g.GetOutput()), []string{"a_y f32[N,1,H,4]", "b_y f32[M,1,8,W]"}; !slices.Equal(got, want) {
		t.Errorf("outputs %q, want %q", got, want)
	}
}

func TestRename(t *testing.T) {
	s := seeded(t, residualText, "1", "2")
	trunk := trunkOf(t, s)
	as := assign(trunk, same(2))
	m := mustBuild(t, s, trunk, as, Options{Rename: map[string]string{"b:logits": "sneakers"}})
	if got := m.Outputs; got[0][0] != "a_logits" || got[1][0] != "sneakers" {
		t.Errorf("outputs %q", got)
	}
	for _, c := range []struct {
		rename map[string]string
		code   string
	}{
		{map[string]string{"a:logits": "same", "b:logits": "same"}, "name_taken"},
		{map[string]string{"a:logits": "x"}, "name_taken"},  // the input
		{map[string]string{"a:logits": "c1"}, "name_taken"}, // a value of the trunk
		{map[string]string{"a:nothing": "y"}, "unknown_output"},
		{map[string]string{"logits": "y"}, "unknown_output"},
	} {
		_, err := Build(s, trunk, as, Options{Rename: c.rename})
		if err == nil {
			t.Errorf("%v: no error", c.rename)
		} else if f := fault.As(err); f.Kind != fault.Usage || f.Code != c.code || f.Hint == "" {
			t.Errorf("%v: %+v, want %s", c.rename, f, c.code)
		}
	}
}

// Names that merging makes yield to those that are there.
func TestNamesThatClash(t *testing.T) {
	text := `
		input "a/w2" f32[N,1,4,4]
		w1 = init f32[2,1,1,1] random(SEED1)
		a_y = Conv("a/w2", w1)
		"a/r" = Relu(a_y)
		w2 = init f32[2,2,1,1] random(SEED2)
		r = Conv("a/r", w2)
		z = Add(r, "a/r")
		w3 = init f32[1,2,1,1] random(SEED3)
		y = Conv(z, w3)
		output y
	`
	s := seeded(t, text, "1", "2")
	trunk := trunkOf(t, s, "a/r")
	m := mustBuild(t, s, trunk, assign(trunk, reversed), Options{})
	if m.Outputs[0][0] != "a_y_2" || m.Outputs[1][0] != "b_y" {
		t.Errorf("outputs %q", m.Outputs)
	}
	if _, err := onnx.NewIndex(m.Model.Graph()); err != nil {
		t.Error(err)
	}
	if m.Gathers != 1 {
		t.Errorf("%d gathers", m.Gathers)
	}
}

// What computes the number of features from other constants than those that are rewritten is refused.
func TestWidthsThatCannotFollow(t *testing.T) {
	text := `
		input x f32[2,1,4,4]
		w = init f32[4,1,1,1] random(SEED1)
		h = Conv(x, w)
		half = init i64[2]{1,2}
		shape = init i64[2]{2,32}
		double = Mul(shape, half)
		f = Reshape(h, double)
		wf = init f32[2,64] random(SEED2)
		y = Gemm(f, wf) {transB=1}
		output y
	`
	s := seeded(t, text, "1", "2")
	trunk := trunkOf(t, s)
	mustBuild(t, s, trunk, assign(trunk, same(2)), Options{})
	_, err := Build(s, trunk, assign(trunk, wide), Options{})
	if err == nil || fault.As(err).Code != "fixed_width" {
		t.Errorf("a computed shape that does not follow: %v", err)
	}
}

// A weight that contracts another axis than the one whose features moved cannot take over their order.
func TestContractionOfAnotherAxis(t *testing.T) {
	text := `
		input x f32[2,5,6]
		w = init f32[6,4] random(SEED1)
		k = MatMul(x, w)
		kt = Transpose(k) {perm=[0,2,1]}
		v = init f32[5,3] random(SEED2)
		m = MatMul(kt, v)
		u = init f32[2,4] random(SEED3)
		y = MatMul(u, m)
		output y
	`
	s := seeded(t, text, "1", "2")
	for _, cut := range []string{"k", "kt"} {
		trunk := trunkOf(t, s, cut)
		if m := mustBuild(t, s, trunk, assign(trunk, reversed), Options{}); m.Gathers != 1 {
			t.Errorf("behind %s: %d gathers, want 1", cut, m.Gathers)
		}
	}
}

// A node that holds graphs is no part of a trunk: what it captures is not paired.
func TestSubgraphsStayInTheHeads(t *testing.T) {
	var models []*onnx.Model
	for _, seed := range []string{"1", "2"} {
		m := onnxtest.Build(t, strings.ReplaceAll("input x f32[2,3]\ninput c bool[]\nw = init f32[3] random(SEED)\ny = If(c)\nz = Relu(y)\noutput z\nvalue y f32[2,3]", "SEED", seed))
		branch := func() *onnx.Graph {
			return &onnx.Graph{Name: proto.String("g"),
				Node:   []*onnx.Node{onnx.NewNode("Mul", "m", []string{"x", "w"}, []string{"inner"})},
				Output: []*onnx.ValueInfo{onnx.NewValueInfo("inner", onnx.Float, onnx.Static(2, 3))}}
		}
		m.Graph().Node[0].Attribute = []*onnx.Attribute{
			{Name: proto.String("then_branch"), G: branch()}, {Name: proto.String("else_branch"), G: branch()}}
		models = append(models, m)
	}
	s := sourcesOf(t, models...)
	trunk := trunkOf(t, s)
	if len(trunk.Groups) != 0 {
		t.Fatalf("%d nodes shared", len(trunk.Groups))
	}
	m := mustBuild(t, s, trunk, nil, Options{})
	ix, err := onnx.NewIndex(m.Model.Graph())
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []string{"a", "b"} {
		if ix.Initializer(head+"/w") == nil || !slices.Contains(onnx.Reads(ix.Producer(head+"/y")), head+"/w") {
			t.Errorf("head %s does not read its own weight", head)
		}
	}
}

func TestTrunkNodesAndCounts(t *testing.T) {
	s := seeded(t, residualText, "1", "2", "3")
	trunk := trunkOf(t, s)
	m := mustBuild(t, s, trunk, assign(trunk, same(3)), Options{})
	for _, k := range trunk.Groups {
		if n := m.Nodes[k]; n == nil || n.GetOpType() != s.Pairing.Nodes[k][0].GetOpType() {
			t.Errorf("group %d is node %v", k, n)
		}
	}
	if len(m.Outputs) != 3 || m.Gathers != 0 || len(m.Model.Graph().GetNode()) != len(trunk.Groups)+3 {
		t.Errorf("outputs %q, %d gathers, %d nodes", m.Outputs, m.Gathers, len(m.Model.Graph().GetNode()))
	}
	modes := map[space.Mode]int{}
	for _, sp := range trunk.Analysis.Spaces {
		modes[sp.Mode]++
	}
	if modes[space.Zip] != 2 || len(modes) != 1 {
		t.Errorf("spaces %v", modes)
	}
}

func TestWeightsMustBeFloats(t *testing.T) {
	s := seeded(t, "input x i32[N,3]\nw = init i32[3,4] fill(SEED)\nm = MatMul(x, w)\nf = Cast(m) {to=1}\ny = Relu(f)\noutput y", "1", "1")
	if trunk := trunkOf(t, s); len(trunk.Groups) != 2 || !trunk.Exact {
		t.Errorf("equal integer weights: %d nodes shared, exact %v: %v", len(trunk.Groups), trunk.Exact, trunk.Ends)
	}
}
