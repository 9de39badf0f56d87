package shape_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// show is a value as the cases write it.
func show(v shape.Value) string {
	if v.Ints == nil {
		return v.String()
	}
	contents := make([]string, len(v.Ints))
	for i, d := range v.Ints {
		contents[i] = d.String()
	}
	return v.String() + "=[" + strings.Join(contents, ",") + "]"
}

func TestRules(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.name, func(t *testing.T) {
			shapes, err := shape.Infer(onnxtest.Build(t, c.text), shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.Split(c.want, "\n") {
				name, want, _ := strings.Cut(strings.TrimSpace(line), " ")
				if got := show(shapes[name]); got != want {
					t.Errorf("%s: got %s, want %s", name, got, want)
				}
			}
		})
	}
}

func infer(t *testing.T, text string, o shape.Options) shape.Shapes {
	t.Helper()
	shapes, err := shape.Infer(onnxtest.Build(t, text), o)
	if err != nil {
		t.Fatal(err)
	}
	return shapes
}

func expect(t *testing.T, shapes shape.Shapes, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got := show(shapes[name]); got != w {
			t.Errorf("%s: got %s, want %s", name, got, w)
		}
	}
}

func TestDeclarationsOnlyRefine(t *testing.T) {
	shapes := infer(t, `input x f32[N,4]
		u = own::Op(x)
		value u f32[N,7]
		y = Relu(x)
		value y f32[9,9,9]
		z = NonZero(x)
		value z i64[2,17]
		r = Relu(x)
		value r f32[1,4]
		v = own::Op(y)
		value v f32
		w = own::Op(u)
		n = Concat(u, w) {axis=1}
		output n f32[N,10]`, shape.Options{})
	expect(t, shapes, map[string]string{
		"u": "float32[N,7]",
		"y": "float32[N,4]", // a contradiction: own inference wins
		"z": "int64[2,17]",
		"r": "float32[N,4]", // a declared batch of 1 does not bind the symbol
		"v": "float32?",
		"w": "??",
		"n": "float32[N,10]",
	})
	if got := shape.Unknown(shapes); !slices.Equal(got, []string{"v", "w"}) {
		t.Errorf("unknown: %v", got)
	}
}

func TestInputDims(t *testing.T) {
	text := `input x f32[N,H,?]
		input z f32[N,3]
		input q f32
		u = own::Op(x)
		value u f32[N,5]
		s = Shape(z)
		y = Relu(q)
		output y`
	shapes := infer(t, text, shape.Options{InputDims: map[string][]int64{"x": {2, -1, 6}, "q": {4, 4}}})
	expect(t, shapes, map[string]string{
		"x": "float32[2,H,6]", "z": "float32[2,3]", "u": "float32[2,5]", "s": "int64[2]=[2,3]", "y": "float32[4,4]",
	})
	for _, bad := range []map[string][]int64{
		{"x": {1, 2}}, {"none": {1}}, {"z": {2, 4}}, {"x": {2, 2, 2}, "z": {3, 3}},
	} {
		_, err := shape.Infer(onnxtest.Build(t, text), shape.Options{InputDims: bad})
		if f := fault.As(err); f == nil || f.Code != "input_dims" || f.Value == "" {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func TestInputsWithoutSizes(t *testing.T) {
	shapes := infer(t, `input x f32[?,3]
		input y f32
		z = Relu(x)
		a = Add(x, z)
		b = Relu(y)`, shape.Options{})
	expect(t, shapes, map[string]string{
		"x": "float32[x@0,3]", "a": "float32[x@0,3]", "y": "float32?", "b": "float32?",
	})
	if got := shape.Unknown(shapes); !slices.Equal(got, []string{"b", "y"}) {
		t.Errorf("unknown: %v", got)
	}
}

// Every operator with a rule occurs in a case.
func TestEveryRuleHasACase(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range allCases() {
		for _, n := range onnxtest.Build(t, c.text).Graph().GetNode() {
			seen[shape.Key(n)] = true
		}
	}
	for _, op := range shape.Operators() {
		if !seen[op] {
			t.Errorf("no case for %s", op)
		}
	}
}

// A hostile graph that doubles ranks or sizes at each node must not grow what is known about it.
func TestGrowthIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("input x i64[N,3]\nv0 = Shape(x)\ng0 = Identity(x)\n")
	for i := range 200 {
		fmt.Fprintf(&b, "v%d = Add(v%d, x0)\nv%d = Mul(v%d, v%d)\n", 2*i+1, 2*i, 2*i+2, 2*i+1, 2*i+1)
		fmt.Fprintf(&b, "g%d = Gather(g%d, g%d)\n", i+1, i, i)
	}
	b.WriteString("x0 = Shape(x)\n")
	shapes := infer(t, b.String(), shape.Options{})
	for name, v := range shapes {
		for _, d := range append(v.Dims, v.Ints...) {
			if len(d.Sym) > 200 {
				t.Fatalf("%s has a symbol of %d bytes", name, len(d.Sym))
			}
		}
		if len(v.Dims) > 64 || len(v.Ints) > 64 {
			t.Fatalf("%s has %d dims, %d entries", name, len(v.Dims), len(v.Ints))
		}
	}
}

func TestValueString(t *testing.T) {
	v := shape.Value{}
	if v.Rank() != -1 || v.String() != "??" {
		t.Errorf("rank %d, %s", v.Rank(), v)
	}
	v = shape.Value{DType: onnx.Float, HasRank: true, Dims: []shape.Dim{{Size: 2}, {Size: 3}}}
	if sizes, ok := v.Static(); !ok || !slices.Equal(sizes, []int64{2, 3}) || v.Rank() != 2 {
		t.Errorf("got %v", sizes)
	}
}
