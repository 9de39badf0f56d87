package onnxtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
)

const everything = `opset 17
opset com.microsoft 1
input x f32[N,3,8,8]
input "odd name" i64[?]
input r f16
w = init f32[2]{1,-0.5}
s = init i64[3]{0,-1,9223372036854775807}
one = init bool[]{1}
y = Conv(x, w, _) {a=1.0, auto_pad="SAME", big=1e-05, g=[1.5,2.0], k=[3,3], l=["a","b"], t=f32[1]{7}}
a, _, b = Split(y) {axis=-1} @cut
g = com.microsoft::FastGelu(a)
value g f32[N,?]
output b
output g f32[N,4]
`

func TestDumpIsInverse(t *testing.T) {
	if got := Dump(Build(t, everything)); got != everything {
		t.Errorf("got\n%s\nwant\n%s", got, everything)
	}
}

func TestDumpOfLargeTensorTellsContents(t *testing.T) {
	a := Dump(Build(t, "w = init f32[20] random(1)"))
	b := Dump(Build(t, "w = init f32[20] random(2)"))
	if a == b || !strings.Contains(a, "w = init f32[20] #") {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{
		"nonsense", "opset x", "ir", "input", "input x f99", "input x f32[1", "w = init f32[2] {1}",
		"w = init f32[-1] fill(0)", "w = init f32[99999,99999] fill(0)", "w = init f32[1] fill()", "y = Relu(x", "y = Relu(x) {a}", "y = Relu(x) {a=}",
		"y = Relu(x) more", "y, = Relu(x)", `y = Relu(x) {a=["s",1]}`, `y = Relu("x)`,
	} {
		if m, err := Parse(text); err == nil {
			t.Errorf("%q parsed as %q", text, Dump(m))
		} else if !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: no line in %v", text, err)
		}
	}
}

func TestRandomIsDistinctAndRepeatable(t *testing.T) {
	for _, dtype := range []onnx.DType{onnx.Float, onnx.Double, onnx.Float16} {
		a := Random(3, dtype, 16, 4, 3)
		v, err := a.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.Clone(v)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(v) {
			t.Errorf("%v: equal values", dtype)
		}
		if !slices.Equal(a.Raw, Random(3, dtype, 16, 4, 3).Raw) || slices.Equal(a.Raw, Random(4, dtype, 16, 4, 3).Raw) {
			t.Errorf("%v: the values do not follow from the seed", dtype)
		}
	}
	v, _ := RandomBetween(1, 5, 9, onnx.Int32, 50).Int64s()
	if slices.Min(v) != 5 || slices.Max(v) != 8 {
		t.Errorf("integers from 5 to 9: %v", v)
	}
}

func TestFeeds(t *testing.T) {
	m := Build(t, "input x f32[N,3]\ninput k i64[M]\ninput w f32[2]\nw = init f32[2]{1,2}")
	feeds := Feeds(m, 1, map[string]int64{"N": 5})
	if len(feeds) != 2 || !slices.Equal(feeds["x"].Dims, []int64{5, 3}) || !slices.Equal(feeds["k"].Dims, []int64{2}) {
		t.Errorf("got %v", feeds)
	}
}

func TestModelsAreFound(t *testing.T) {
	for _, path := range Models(t) {
		if _, err := onnx.Load(path); err != nil {
			t.Error(err)
		}
	}
}
