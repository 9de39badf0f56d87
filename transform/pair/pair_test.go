package pair

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func index(t testing.TB, text string) *onnx.Index {
	t.Helper()
	ix, err := onnx.NewIndex(onnxtest.Build(t, text).Graph())
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func find(t testing.TB, o Options, texts ...string) *Pairing {
	t.Helper()
	var graphs []*onnx.Index
	for _, text := range texts {
		graphs = append(graphs, index(t, text))
	}
	p, err := Find(graphs, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// groups lists the paired nodes as "a=b=c", by their first outputs.
func groups(p *Pairing) []string {
	var out []string
	for _, nodes := range p.Nodes {
		var names []string
		for _, n := range nodes {
			names = append(names, n.GetOutput()[0])
		}
		out = append(out, strings.Join(names, "="))
	}
	return out
}

func checkGroups(t testing.TB, p *Pairing, want ...string) {
	t.Helper()
	if got := groups(p); !slices.Equal(got, want) {
		t.Errorf("pairs %q, want %q", got, want)
	}
}

const small = `
	input x f32[N,3,8,8]
	w = init f32[4,3,3,3] random(1)
	b = init f32[4] random(2)
	c = Conv(x, w, b)
	r = Relu(c)
	p = GlobalAveragePool(r)
	f = Flatten(p)
	v = init f32[5,4] random(3)
	y = Gemm(f, v) {transB=1}
	output y
`

func TestNamesAndOrdersDoNotMatter(t *testing.T) {
	other := `
		input image f32[M,3,8,8]
		fc = init f32[5,4] random(7)
		bias = init f32[4] random(8)
		kernel = init f32[4,3,3,3] random(9)
		h1 = Conv(image, kernel, bias) @stem
		h2 = Relu(h1)
		h3 = GlobalAveragePool(h2)
		h4 = Flatten(h3)
		logits = Gemm(h4, fc) {transB=1}
		output logits
	`
	p := find(t, Options{}, small, other, small)
	checkGroups(t, p, "c=h1=c", "r=h2=r", "p=h3=p", "f=h4=f", "y=logits=y")
	if p.First != nil {
		t.Errorf("they differ: %s", p.First.Why)
	}
	for name, want := range map[string]string{"x": "image", "w": "kernel", "b": "bias", "v": "fc", "y": "logits"} {
		if got, ok := p.Value(0, 1, name); !ok || got != want {
			t.Errorf("%s corresponds to %q, want %q", name, got, want)
		}
		if got, ok := p.Value(1, 2, want); !ok || got != name {
			t.Errorf("%s corresponds to %q, want %q", want, got, name)
		}
	}
	if _, ok := p.Value(0, 1, "nothing"); ok {
		t.Error("a value that is not there has a counterpart")
	}
	for k, nodes := range p.Nodes {
		for _, n := range nodes {
			if got, ok := p.Of(n); !ok || got != k {
				t.Errorf("%s is in group %d, want %d", n.GetName(), got, k)
			}
		}
	}
	if p.Share(0) != 1 || p.Share(1) != 1 {
		t.Errorf("shares %v and %v, want 1", p.Share(0), p.Share(1))
	}
}

func TestFirstDifference(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		paired         int
		why            string
		nodes          string // their names, - where a model has none
	}{
		{"number of classes", "f32[5,4]", "f32[7,4]", 4,
			`Gemm "y" in model 1, Gemm "y" in model 2: shape [5 4] against [7 4]`, "y y"},
		{"operator", "Relu(c)", "Tanh(c)", 1, `Relu "r" in model 1, Tanh "r" in model 2: Relu against Tanh`, "r r"},
		{"attribute", "{transB=1}", "{transB=0}", 4,
			`Gemm "y" in model 1, Gemm "y" in model 2: attribute transB: 1 against 0`, "y y"},
		{"absent attribute", "Flatten(p)", "Flatten(p) {axis=1}", 3,
			`Flatten "f" in model 1, Flatten "f" in model 2: attribute axis: absent against 1`, "f f"},
		{"other attributes", "Relu(c)", `Relu(c) {b="s", a=[1,2], c=0.5, d=[1.5]}`, 1,
			`Relu "r" in model 1, Relu "r" in model 2: attribute a: absent against [1 2]`, "r r"},
		{"domain", "Relu(c)", "my::Relu(c)", 1, `Relu "r" in model 1, Relu "r" in model 2: Relu against Relu`, "r r"},
		{"missing input", "Conv(x, w, b)", "Conv(x, w)", 0,
			`Conv "c" in model 1, Conv "c" in model 2: different numbers of inputs or outputs`, "c c"},
		{"element type", "v = init f32", "v = init f16", 4,
			`Gemm "y" in model 1, Gemm "y" in model 2: float32 against float16`, "y y"},
		{"reads another value", "Flatten(p)", "Flatten(r)", 3,
			`Flatten "f" in model 1: model 2 has no node there`, "f -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			other := strings.Replace(small, c.from, c.to, 1)
			if other == small {
				t.Fatal("nothing is replaced")
			}
			p := find(t, Options{}, small, other)
			if len(p.Nodes) != c.paired {
				t.Errorf("%d nodes paired, want %d", len(p.Nodes), c.paired)
			}
			if p.First == nil {
				t.Fatal("no difference is found")
			}
			if p.First.Why != c.why {
				t.Errorf("why:\n%s\nwant:\n%s", p.First.Why, c.why)
			}
			var nodes []string
			for _, n := range p.First.Nodes {
				if n == nil {
					nodes = append(nodes, "-")
				} else {
					nodes = append(nodes, n.GetName())
				}
			}
			if got := strings.Join(nodes, " "); got != c.nodes {
				t.Errorf("nodes %s, want %s", got, c.nodes)
			}
		})
	}
}

func TestOnlyOneModelDiffers(t *testing.T) {
	other := strings.Replace(small, "f32[5,4]", "f32[7,4]", 1)
	p := find(t, Options{}, small, small, other)
	checkGroups(t, p, "c=c=c", "r=r=r", "p=p=p", "f=f=f")
	if want := "shape [5 4] against [7 4]"; !strings.Contains(p.First.Why, want) {
		t.Errorf("why %q does not say %q", p.First.Why, want)
	}
}

func TestIntegerConstantsMustBeEqual(t *testing.T) {
	text := "input x f32[N,4]\ns = init i64[2]{%d,-1}\ny = Reshape(x, s)\noutput y"
	p := find(t, Options{}, fmt.Sprintf(text, 0), fmt.Sprintf(text, 2))
	if len(p.Nodes) != 0 || !strings.Contains(p.First.Why, `constants "s" and "s" differ`) {
		t.Errorf("paired %q, first difference %v", groups(p), p.First)
	}
	e := fault.As(p.ErrNothing())
	if e.Kind != fault.Correspondence || e.Code != "no_common_trunk" || e.Hint == "" || !strings.Contains(e.Message, p.First.Why) {
		t.Errorf("refused with %+v", e)
	}
}

func TestSurplus(t *testing.T) {
	more := small + "\nz = Softmax(y)\noutput z"
	p := find(t, Options{}, small, more)
	if want := `Softmax "z" in model 2 has no counterpart in model 1`; p.First == nil || p.First.Why != want {
		t.Errorf("first difference %+v, want %q", p.First, want)
	}
	p = find(t, Options{}, more, small)
	if want := `Softmax "z" in model 1: model 2 has no node there`; p.First == nil || p.First.Why != want || p.First.Value != "y" {
		t.Errorf("first difference %+v, want %q at y", p.First, want)
	}
	if got := p.Share(0); got != 5./6 {
		t.Errorf("share %v, want 5/6", got)
	}
}

func TestSwappedOperands(t *testing.T) {
	text := `
		input x f32[N,3,8,8]
		w = init f32[4,3,3,3] random(1)
		c = Conv(x, w)
		r = Relu(c)
		k = init f32[4,1,1] random(2)
		a = OP(ONE)
		b = OP(TWO)
		z = Identity(b)
		output z
	`
	build := func(op, one, two string) string {
		return strings.NewReplacer("OP", op, "ONE", one, "TWO", two).Replace(text)
	}
	for _, op := range []string{"Add", "Mul", "Max", "Min"} {
		p := find(t, Options{}, build(op, "c, r", "a, k"), build(op, "r, c", "k, a"))
		checkGroups(t, p, "c=c", "r=r", "a=a", "b=b", "z=z")
		if got, ok := p.Value(0, 1, "k"); !ok || got != "k" {
			t.Errorf("%s: the constant corresponds to %q", op, got)
		}
	}
	p := find(t, Options{}, build("Sub", "c, r", "a, k"), build("Sub", "r, c", "a, k"))
	checkGroups(t, p, "c=c", "r=r")
}

// branches are parallel paths of one form that only what follows tells apart: the first convolutions are
// alike, the next ones are not.
func branches(classes int, swapped bool) string {
	one, two := "a", "b"
	if swapped {
		one, two = "b", "a"
	}
	return fmt.Sprintf(`
		input x f32[N,3,8,8]
		wa = init f32[4,3,1,1] random(1)
		wb = init f32[4,3,1,1] random(2)
		%[2]s1 = Conv(x, w%[2]s) {pads=[0,0,0,0]}
		%[3]s1 = Conv(x, w%[3]s) {pads=[0,0,0,0]}
		a2 = Relu(a1)
		b2 = Relu(b1)
		va = init f32[4,4,3,3] random(3)
		vb = init f32[4,4,5,5] random(4)
		a3 = Conv(a2, va) {pads=[1,1,1,1]}
		b3 = Conv(b2, vb) {pads=[2,2,2,2]}
		c = Concat(a3, b3) {axis=1}
		p = GlobalAveragePool(c)
		f = Flatten(p)
		wf = init f32[%[1]d,8] random(5)
		y = Gemm(f, wf) {transB=1}
		output y
	`, classes, one, two)
}

func TestParallelBranches(t *testing.T) {
	for _, classes := range []int{5, 7} { // different heads must not hide which branch is which
		p := find(t, Options{}, branches(5, false), branches(classes, true))
		if got, _ := p.Value(0, 1, "a1"); got != "a1" {
			t.Errorf("%d classes: branch a is paired with %s", classes, got)
		}
		if got, ok := p.Value(0, 1, "c"); !ok || got != "c" {
			t.Errorf("%d classes: the branches do not come together: %v", classes, p.First)
		}
	}
}

// Branches that differ in nothing but their place in a Concat.
func TestBranchesToldApartByConcat(t *testing.T) {
	text := `
		input x f32[N,3,8,8]
		u = init f32[4,3,1,1] random(1)
		v = init f32[4,3,1,1] random(2)
		FIRST
		r = Relu(a)
		s = Relu(b)
		c = Concat(r, s) {axis=1}
		wf = init f32[CLASSES,8,1,1] random(5)
		y = Conv(c, wf)
		output y
	`
	one := strings.NewReplacer("FIRST", "a = Conv(x, u)\nb = Conv(x, v)", "CLASSES", "5").Replace(text)
	two := strings.NewReplacer("FIRST", "b = Conv(x, v)\na = Conv(x, u)", "CLASSES", "7").Replace(text)
	p := find(t, Options{}, one, two)
	checkGroups(t, p, "a=a", "b=b", "r=r", "s=s", "c=c")
}

// The same where widths may differ: sizes tell nothing then, what follows does.
func TestBranchesOfOtherWidths(t *testing.T) {
	text := `
		input x f32[N,3,8,8]
		u = init f32[ONE,3,1,1] random(1)
		v = init f32[TWO,3,1,1] random(2)
		FIRST
		r = Relu(a)
		s = Relu(b)
		c = Concat(r, s) {axis=1}
		wf = init f32[5,BOTH,1,1] random(5)
		y = Conv(c, wf)
		output y
	`
	a, b := "a = Conv(x, u)", "b = Conv(x, v)"
	one := strings.NewReplacer("FIRST", a+"\n"+b, "ONE", "2", "TWO", "4", "BOTH", "6").Replace(text)
	two := strings.NewReplacer("FIRST", b+"\n"+a, "ONE", "8", "TWO", "3", "BOTH", "11").Replace(text)
	p := find(t, Options{AnyWidth: true}, one, two)
	checkGroups(t, p, "a=a", "b=b", "r=r", "s=s", "c=c", "y=y")
	p = find(t, Options{}, one, two)
	if want := "shape [2 3 1 1] against [3 3 1 1]"; len(p.Nodes) > 0 || !strings.Contains(p.First.Why, want) {
		t.Errorf("paired %q, first difference %v, want %q", groups(p), p.First, want)
	}
}

func TestUnusedOutputsWithoutNames(t *testing.T) {
	text := "input x f32[N,4,8]\na, _, b = Split(x) {axis=1}\nc, _, d = Split(x) {axis=2}\ne = Relu(a)\nf = Relu(d)\noutput e\noutput f"
	named := strings.Replace(text, "a, _, b", "a, q, b", 1)
	checkGroups(t, find(t, Options{}, text, text), "a=a", "c=c", "e=e", "f=f")
	checkGroups(t, find(t, Options{}, text, named), "a=a", "c=c", "e=e", "f=f")
	checkGroups(t, find(t, Options{}, named, text), "a=a", "c=c", "e=e", "f=f")
}

func BenchmarkFind(b *testing.B) {
	var text strings.Builder
	fmt.Fprintln(&text, "input x f32[N,4,8,8]\nv0 = Relu(x)")
	for k := range 1000 {
		fmt.Fprintf(&text, "w%[2]d = init f32[4,4,1,1] fill(1)\nc%[2]d = Conv(v%[1]d, w%[2]d)\nv%[2]d = Add(c%[2]d, v%[1]d)\n", k, k+1)
	}
	graphs := []*onnx.Index{index(b, text.String()), index(b, text.String())}
	for b.Loop() {
		if _, err := Find(graphs, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
