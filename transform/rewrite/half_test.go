package rewrite

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// halfConv reads and writes half precision; TYPE stands for it.
const halfConv = `
	opset 13
	input x TYPE[N,2,4,4]
	w = init TYPE[3,2,3,3] random(1)
	b = init TYPE[3] random(2)
	s = init f32[4] {1, 1, 2, 2}
	c = Conv(x, w, b)
	r = Relu(c)
	u = Resize(r, _, s) {mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"}
	k = Constant() {value=TYPE[]{0.5}}
	y = Mul(u, k)
	output y TYPE[N,3,4,4]
	output r TYPE[N,3,2,2]`

// halfIsland computes its softmax in float32.
const halfIsland = `
	opset 13
	input x TYPE[N,4]
	w = init TYPE[4,3] random(1)
	e = init f32[] {1e-12}
	m = MatMul(x, w)
	f = Cast(m) {to=1}
	g = Add(f, e)
	p = Softmax(g) {axis=1}
	h = Cast(p) {to=NUMBER}
	y = Neg(h)
	output y TYPE[N,3]`

func halfModel(t *testing.T, text string, dtype onnx.DType) *onnx.Model {
	t.Helper()
	word, number := "f16", "10"
	if dtype == onnx.BFloat16 {
		word, number = "bf16", "16"
	}
	return onnxtest.Build(t, strings.NewReplacer("TYPE", word, "NUMBER", number).Replace(text))
}

// near is max|a−b|/max|a| over all outputs; types and dims must be equal.
func near(t *testing.T, before, after *onnx.Model, feeds map[string]*onnx.Tensor) float64 {
	t.Helper()
	want, got := outputs(t, before, feeds), outputs(t, after, feeds)
	off := 0.0
	for name, w := range want {
		g := got[name]
		if g == nil || g.DType != w.DType || len(g.Raw) != len(w.Raw) {
			t.Fatalf("%s: got %v, want %v%v", name, g, w.DType, w.Dims)
		}
		a, _ := w.Float64s()
		b, _ := g.Float64s()
		top, worst := 0.0, 0.0
		for i := range a {
			top, worst = max(top, math.Abs(a[i])), max(worst, math.Abs(a[i]-b[i]))
		}
		off = max(off, worst/top)
	}
	return off
}

func widen(t *testing.T, m *onnx.Model) (*onnx.Model, Precision) {
	t.Helper()
	wide, p, err := ToFloat32(m)
	if err != nil {
		t.Fatal(err)
	}
	return wide, p
}

func TestHalfThereAndBack(t *testing.T) {
	before := halfModel(t, halfConv, onnx.Float16)
	wide, p := widen(t, before)
	if p != (Precision{Type: onnx.Float16}) {
		t.Fatalf("precision %+v", p)
	}
	feeds := onnxtest.Feeds(before, 7, map[string]int64{"N": 2})
	if off := near(t, before, wide, feeds); off > 2e-3 {
		t.Errorf("in float32 it is off by %g", off)
	}
	canonical, _, err := Canonicalize(wide)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Restore(canonical); err != nil {
		t.Fatal(err)
	}
	if off := near(t, before, canonical, feeds); off > 1e-3 {
		t.Errorf("written back it is off by %g", off)
	}
	want := "c = Conv(x, w, b)\nr = Relu(c)\nu = Resize(r, _, s)\ny = Mul(u, k)"
	var got []string
	for _, line := range strings.Split(nodeLines(canonical), "\n") {
		line, _, _ = strings.Cut(line, " {")
		got = append(got, line)
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("nodes:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
	ix, err := onnx.NewIndex(canonical.Graph())
	if err != nil {
		t.Fatal(err)
	}
	for name, dtype := range map[string]onnx.DType{"w": onnx.Float16, "b": onnx.Float16, "k": onnx.Float16, "s": onnx.Float} {
		if got := onnx.DType(ix.Initializer(name).GetDataType()); got != dtype {
			t.Errorf("%s is %v, want %v", name, got, dtype)
		}
	}
}

// ONNX Runtime has no bfloat16 kernels on the CPU: only the float32 form can run, and the weights be compared.
func TestBFloat16RunsInFloat32(t *testing.T) {
	before := halfModel(t, halfConv, onnx.BFloat16)
	wide, p := widen(t, before)
	back := wide.Clone()
	if err := p.Restore(back); err != nil {
		t.Fatal(err)
	}
	for i, tensor := range before.Graph().Initializer {
		if !onnx.Equal(tensor, back.Graph().Initializer[i]) {
			t.Errorf("%s changed", tensor.GetName())
		}
	}
	again, _ := widen(t, back)
	feeds := onnxtest.Feeds(before, 7, map[string]int64{"N": 2})
	if off := near(t, wide, again, feeds); off != 0 {
		t.Errorf("off by %g", off)
	}
}

func TestFloat32IslandsStay(t *testing.T) {
	for _, dtype := range []onnx.DType{onnx.Float16, onnx.BFloat16} {
		before := halfModel(t, halfIsland, dtype)
		wide, p := widen(t, before)
		if p != (Precision{Type: dtype, WeightsOnly: true}) {
			t.Fatalf("precision %+v", p)
		}
		back, _, err := Canonicalize(wide)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Restore(back); err != nil {
			t.Fatal(err)
		}
		feeds := onnxtest.Feeds(before, 7, map[string]int64{"N": 2})
		if off := near(t, wide, back, feeds); off != 0 {
			t.Errorf("%v: off by %g", dtype, off)
		}
		again, q := widen(t, back)
		if q != p {
			t.Errorf("%v: read again as %+v", dtype, q)
		}
		if off := near(t, wide, again, feeds); off != 0 {
			t.Errorf("%v: read again it is off by %g", dtype, off)
		}
	}
}

// A border of full precision around half weights: what converters write with keep_io_types.
func TestHalfInside(t *testing.T) {
	before := onnxtest.Build(t, `
		input x f32[N,4]
		w = init f16[4,3] random(1)
		h = Cast(x) {to=10}
		m = MatMul(h, w)
		y = Cast(m) {to=1}
		output y f32[N,3]`)
	wide, p := widen(t, before)
	if p != (Precision{Type: onnx.Float16}) {
		t.Fatalf("precision %+v", p)
	}
	back, _, err := Canonicalize(wide)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Restore(back); err != nil {
		t.Fatal(err)
	}
	if off := near(t, before, back, onnxtest.Feeds(before, 7, map[string]int64{"N": 2})); off > 1e-3 {
		t.Errorf("off by %g", off)
	}
}

func TestFullPrecisionIsLeftAlone(t *testing.T) {
	m := onnxtest.Build(t, convBN)
	same, p := widen(t, m)
	if same != m || p != (Precision{}) {
		t.Errorf("precision %+v", p)
	}
	if err := p.Restore(m); err != nil {
		t.Error(err)
	}
}

func TestPrecisionErrors(t *testing.T) {
	if _, err := (Precision{Type: onnx.Float16}).Join(Precision{}); fault.As(err).Code != "mixed_precision" {
		t.Errorf("joined: %v", err)
	}
	if p, err := (Precision{Type: onnx.Float16}).Join(Precision{Type: onnx.Float16, WeightsOnly: true}); err != nil || !p.WeightsOnly {
		t.Errorf("joined: %+v, %v", p, err)
	}
	both := onnxtest.Build(t, "input x f16[2]\na = init f16[2] random(1)\nb = init bf16[2] random(2)\ny = Add(x, a)\nz = Cast(b) {to=1}\noutput y\noutput z")
	if _, _, err := ToFloat32(both); fault.As(err).Code != "mixed_precision" {
		t.Errorf("both types: %v", err)
	}
	big := onnxtest.Build(t, "input x f32[2]\na = init f32[2] {1, 70000}\ny = Add(x, a)\noutput y")
	if err := (Precision{Type: onnx.Float16}).Restore(big); fault.As(err).Code != "half_overflow" {
		t.Errorf("overflow: %v", err)
	}
}
