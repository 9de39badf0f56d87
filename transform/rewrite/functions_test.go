package rewrite

import (
	"fmt"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/proto"
)

// function makes a local function of a graph in onnxtest's notation: its inputs and outputs are the formal
// ones, its initializers become Constant nodes.
func function(t *testing.T, name, text string, attributes ...string) *onnx.Function {
	t.Helper()
	m := onnxtest.Build(t, text)
	g := m.Graph()
	f := &onnx.Function{Name: &name, Domain: proto.String("local"), Attribute: attributes, OpsetImport: m.Proto.OpsetImport}
	for _, v := range g.Input {
		f.Input = append(f.Input, v.GetName())
	}
	for _, v := range g.Output {
		f.Output = append(f.Output, v.GetName())
	}
	for _, w := range g.Initializer {
		f.Node = append(f.Node, onnx.NewNode("Constant", "", nil, []string{w.GetName()}, onnx.TensorAttr("value", w)))
	}
	f.Node = append(f.Node, g.Node...)
	return f
}

// reference makes an attribute refer to one of the function's.
func reference(a *onnx.Attribute, name string) *onnx.Attribute {
	return &onnx.Attribute{Name: a.Name, Type: a.Type, RefAttrName: &name}
}

func withFunctions(t *testing.T, text string, list ...*onnx.Function) *onnx.Model {
	m := onnxtest.Build(t, text)
	m.Proto.Functions = list
	return m
}

// leaky has an attribute with a default, an optional input, and a call of another function.
func leaky(t *testing.T) []*onnx.Function {
	inner := function(t, "Inner", "input a\nb = LeakyRelu(a)\noutput b", "slope")
	inner.Node[0].Attribute = []*onnx.Attribute{reference(onnx.FloatAttr("alpha", 0), "slope")}
	outer := function(t, "Outer", `
		opset local 1
		input a
		input low
		half = init f32[1] {0.5}
		c = local::Inner(a)
		d = Clip(c, low)
		e = Mul(d, half)
		output e`)
	outer.AttributeProto = []*onnx.Attribute{onnx.FloatAttr("slope", 0.25)}
	outer.Node[1].Attribute = []*onnx.Attribute{reference(onnx.FloatAttr("slope", 0), "slope")}
	return []*onnx.Function{outer, inner}
}

func TestFunctionsAreInlined(t *testing.T) {
	m := withFunctions(t, `
		opset local 1
		input x f32[N,4]
		low = init f32[] {-0.1}
		p = local::Outer(x, low) {slope=0.5} @first
		q = local::Outer(p) @second
		output q f32[N,4]`, leaky(t)...)
	after, r := runPass(t, "functions", m)
	if r.Kinds["inlined"] != 4 {
		t.Errorf("%v calls inlined, want 4", r.Kinds)
	}
	want := trimLines(`
		first/half = Constant() {value=f32[1]{0.5}}
		first/c = LeakyRelu(x) {alpha=0.5}
		first/d = Clip(first/c, low)
		p = Mul(first/d, first/half)
		second/half = Constant() {value=f32[1]{0.5}}
		second/c = LeakyRelu(p) {alpha=0.25}
		second/d = Clip(second/c, _)
		q = Mul(second/d, second/half)`)
	if got := nodeLines(after); got != want {
		t.Errorf("nodes:\n%s\nwant:\n%s", got, want)
	}
	if len(after.Proto.Functions) != 0 || after.Opset("local") != 0 {
		t.Error("the functions or their domain are still there")
	}
	t.Run("outputs", func(t *testing.T) { sameOutputs(t, m, after, onnxtest.Feeds(m, 3, nil)) })
}

func TestFunctionThatHandsAnInputOn(t *testing.T) {
	f := function(t, "Same", "input a\noutput a")
	m := withFunctions(t, "opset local 1\ninput x f32[4]\ny = local::Same(x)\noutput y f32[4]", f)
	after, _ := runPass(t, "functions", m)
	if got := nodeLines(after); got != "y = Identity(x)" {
		t.Errorf("nodes: %s", got)
	}
}

// TestFunctionWithSubgraph: names inside a branch are renamed, captured ones too.
func TestFunctionWithSubgraph(t *testing.T) {
	f := function(t, "Choose", "input c\ninput a\nb = Relu(a)\ny = If(c)\noutput y")
	branch := onnxtest.Build(t, "z = Neg(b)\noutput z f32[4]").Graph()
	other := onnxtest.Build(t, "z = Abs(b)\noutput z f32[4]").Graph()
	f.Node[1].Attribute = []*onnx.Attribute{graphAttr("then_branch", branch), graphAttr("else_branch", other)}
	m := withFunctions(t, `
		opset local 1
		input c bool[]
		input x f32[4]
		y = local::Choose(c, x)
		output y f32[4]`, f)
	after, _ := runPass(t, "functions", m)
	inner := onnx.Attr(after.Graph().Node[1], "then_branch").G
	if got := inner.Node[0].Input[0]; got != "y/b" {
		t.Errorf("the branch reads %q, want y/b", got)
	}
	if inner.Node[0].Output[0] != inner.Output[0].GetName() {
		t.Error("the branch's output lost its maker")
	}
}

// graphAttr is a graph attribute, for which the notation has no word.
func graphAttr(name string, g *onnx.Graph) *onnx.Attribute {
	a := onnx.Int(name, 0)
	a.I, a.G = nil, g
	*a.Type = 5 // AttributeProto.GRAPH
	return a
}

// TestFunctionsThatExplode: forty levels of two calls each would be 2^40 nodes.
func TestFunctionsThatExplode(t *testing.T) {
	list := []*onnx.Function{function(t, "f0", "input a\nb = Relu(a)\noutput b")}
	for i := range 40 {
		call := fmt.Sprintf("local::f%d", i)
		list = append(list, function(t, fmt.Sprintf("f%d", i+1), "opset local 1\ninput a\nb = "+call+"(a)\nc = "+call+"(b)\noutput c"))
	}
	m := withFunctions(t, "opset local 1\ninput x f32[4]\ny = local::f40(x)\noutput y f32[4]", list...)
	if _, _, err := Canonicalize(m); fault.As(err).Code != "functions_too_large" {
		t.Errorf("got %v", err)
	}
}

func TestFunctionsAreRefused(t *testing.T) {
	loop := function(t, "Loop", "opset local 1\ninput a\nb = local::Loop(a)\noutput b")
	other := function(t, "Other", "opset 13\ninput a\nb = Relu(a)\noutput b")
	for name, c := range map[string]struct {
		f    *onnx.Function
		code string
	}{"recursion": {loop, "recursive_function"}, "another opset": {other, "function_opset"}} {
		t.Run(name, func(t *testing.T) {
			m := withFunctions(t, "opset local 1\ninput x f32[4]\ny = local::"+c.f.GetName()+"(x)\noutput y f32[4]", c.f)
			if _, _, err := Canonicalize(m); fault.As(err).Code != c.code || fault.As(err).Node != "y" && name != "recursion" {
				t.Errorf("got %v", err)
			}
		})
	}
}
