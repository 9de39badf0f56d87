package transform

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// counted is a source of so many samples, each its own number.
type counted int

func (c counted) Samples() int { return int(c) }

func (c counted) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	v := make([]float32, to-from)
	for i := range v {
		v[i] = float32(from + i)
	}
	return map[string]*onnx.Tensor{"x": onnx.FromFloat32(v, int64(len(v)))}, nil
}

// TestSplitSource: every sample is on one side, the held-out side is bounded, and batches hold what they should.
func TestSplitSource(t *testing.T) {
	for samples, wantHeld := range map[int]int{5: 0, 19: 0, 20: 2, 640: 64, 5120: 512, 1000000: 511} {
		rest, held := splitSource(counted(samples), HeldOut)
		if held.Samples() != wantHeld || rest.Samples()+held.Samples() != samples {
			t.Errorf("%d samples: %d held out and %d left, want %d held out", samples, held.Samples(), rest.Samples(), wantHeld)
		}
	}
	rest, held := splitSource(counted(40), HeldOut)
	seen := map[float32]int{}
	for _, src := range []interface {
		Samples() int
		Batch(from, to int) (map[string]*onnx.Tensor, error)
	}{rest, held} {
		feeds, err := src.Batch(0, src.Samples())
		if err != nil {
			t.Fatal(err)
		}
		v, err := feeds["x"].Float32s()
		if err != nil || len(v) != src.Samples() {
			t.Fatalf("%d values for %d samples: %v", len(v), src.Samples(), err)
		}
		for _, x := range v {
			seen[x]++
		}
	}
	for i := range 40 {
		if seen[float32(i)] != 1 {
			t.Errorf("sample %d occurs %d times", i, seen[float32(i)])
		}
	}
}
