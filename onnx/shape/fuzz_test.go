package shape_test

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// FuzzInfer: whatever parses as a model is either inferred or refused, without a panic, and what is inferred
// keeps to the package's limits.
func FuzzInfer(f *testing.F) {
	for _, c := range allCases() {
		data, err := onnxtest.Build(f, c.text).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, c := range contradictions {
		data, err := onnxtest.Build(f, c.text).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := onnx.Parse(data, "fuzz")
		if err != nil {
			return
		}
		shapes, err := shape.Infer(m, shape.Options{})
		if err != nil {
			return
		}
		for name, v := range shapes {
			checkLimits(t, name, v)
		}
	})
}

// FuzzInferText is FuzzInfer through the notation, whose mutations stay graphs more often.
func FuzzInferText(f *testing.F) {
	for _, c := range allCases() {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := onnxtest.Parse(text)
		if err != nil {
			return
		}
		shapes, err := shape.Infer(m, shape.Options{})
		if err != nil {
			return
		}
		for name, v := range shapes {
			checkLimits(t, name, v)
		}
	})
}

func checkLimits(t *testing.T, name string, v shape.Value) {
	if len(v.Dims) > 64 || len(v.Ints) > 64 {
		t.Fatalf("%s: %d dims, %d contents", name, len(v.Dims), len(v.Ints))
	}
	if !v.HasRank && v.Dims != nil || v.Ints != nil && len(v.Dims) > 1 {
		t.Fatalf("%s: %v with contents %v", name, v, v.Ints)
	}
	for _, d := range v.Dims {
		if d.Sym == "?" || d.Known() && d.Size < 0 || !d.Known() && d.Size != -1 {
			t.Fatalf("%s: size %+v", name, d)
		}
	}
	for _, d := range v.Ints {
		if d.Sym == "?" || !d.Known() && d.Size != -1 {
			t.Fatalf("%s: entry %+v", name, d)
		}
	}
}
