package rewrite

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// Sizes that hold the number of samples follow it, wherever it lies; others stay.
func TestFreeBatch(t *testing.T) {
	for name, c := range map[string]struct {
		model     string
		rewritten []string
		want      string // the dims of y
	}{
		"in front":         {"to = init i64[3] {1,2,12}\ny = Reshape(x, to)", []string{"y"}, "[s 2 12]"},
		"open already":     {"to = init i64[2] {-1,24}\ny = Reshape(x, to)", nil, "[s 24]"},
		"taken over":       {"to = init i64[2] {0,24}\ny = Reshape(x, to)", nil, "[s 24]"},
		"another one open": {"to = init i64[3] {1,-1,12}\ny = Reshape(x, to)", []string{"y"}, "[s 2 12]"},
		"behind an axis":   {"a = Transpose(x) {perm=[1,0,2]}\nto = init i64[3] {4,3,2}\ny = Reshape(a, to)", []string{"y"}, "[4 3·s 2]"},
		"joined with an axis": {"a = Transpose(x) {perm=[1,0,2]}\nto = init i64[2] {4,6}\nb = Reshape(a, to)\nback = init i64[3] {4,1,6}\ny = Reshape(b, back)",
			[]string{"b", "y"}, "[4 s 6]"},
		"appended": {"c = init f32[1,1,6] random(1)\ny = Concat(c, x) {axis=1}", []string{"y"}, "[s 5 6]"},
	} {
		t.Run(name, func(t *testing.T) {
			m := onnxtest.Build(t, "input x f32[1,4,6]\n"+c.model+"\noutput y")
			free, rewritten, err := FreeBatch(m, "s")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(rewritten, c.rewritten) {
				t.Errorf("rewritten %q, want %q", rewritten, c.rewritten)
			}
			shapes, err := shape.Infer(free, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := "["
			for k, d := range shapes["y"].Dims {
				if k > 0 {
					got += " "
				}
				got += d.String()
			}
			if got += "]"; got != c.want {
				t.Errorf("y is %s, want %s", got, c.want)
			}
			if _, dims, _ := onnx.TensorType(m.Graph().GetInput()[0]); dims[0].Size != 1 {
				t.Error("the model given was changed")
			}
		})
	}
}

func TestFreeBatchRefuses(t *testing.T) {
	for _, text := range []string{
		"input x f32[1,4]\ninput z f32[2,4]\ny = Concat(x, z) {axis=0}\noutput y",
		"input x f32[1,4]\ninput z f32[]\ny = Mul(x, z)\noutput y",
	} {
		if _, _, err := FreeBatch(onnxtest.Build(t, text), "s"); err == nil {
			t.Errorf("no error for %s", text)
		}
	}
}
