package data

import (
	"archive/zip"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// agree checks that every sample of a source made of ramps has its label and its origin.
func agree(t *testing.T, src Source, starts ...int) {
	t.Helper()
	labels, err := src.Labels()
	if err != nil || len(labels) != src.Samples() {
		t.Fatalf("%d labels for %d samples, %v", len(labels), src.Samples(), err)
	}
	for i, x := range all(t, src) {
		o := src.Origin(i)
		if labels[i] != int64(10*x) || starts[o.Source]+o.Sample != int(x) || !strings.HasSuffix(o.File, "data.npz") {
			t.Errorf("sample %d is %v: label %d, origin %+v", i, x, labels[i], o)
		}
	}
}

func concatOf(t *testing.T, sources ...Source) Source {
	t.Helper()
	c, err := Concat(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConcat(t *testing.T) {
	c := concatOf(t, ramps(t, -1, 0, 4), ramps(t, -1, 100, 5))
	if got := all(t, c); !slices.Equal(got, []float64{0, 1, 2, 3, 100, 101, 102, 103, 104}) {
		t.Errorf("samples %v", got)
	}
	agree(t, c, 0, 100)
	if f := concatOf(t, ramps(t, 4, 0, 4), ramps(t, 4, 0, 9)); f.Samples() != 12 || f.BatchSize() != 4 {
		t.Errorf("%d samples in batches of %d", f.Samples(), f.BatchSize())
	}
	_, err := Concat()
	refused(t, err, fault.Data, "no data")
	other := bind(t, one(t, Options{}, "<f4", []int64{2, 2}, ramp(4)), spec("x", onnx.Float, -1, 2))
	_, err = Concat(c, other)
	refused(t, err, fault.Data, "data.npz", "same inputs")
}

func TestSample(t *testing.T) {
	c := concatOf(t, ramps(t, -1, 0, 5), ramps(t, -1, 100, 50), ramps(t, -1, 200, 60))
	s, err := Sample(c, 45, 7)
	if err != nil {
		t.Fatal(err)
	}
	agree(t, s, 0, 100, 200)
	got := all(t, s)
	var per [3]int
	for _, x := range got {
		per[int(x)/100]++
	}
	if per != [3]int{5, 20, 20} {
		t.Errorf("samples of each origin: %v", per)
	}
	sorted := slices.Sorted(slices.Values(got))
	if slices.Equal(got, sorted) || len(slices.Compact(sorted)) != 45 {
		t.Error("not shuffled, or a sample occurs twice")
	}
	again, _ := Sample(c, 45, 7)
	other, _ := Sample(c, 45, 8)
	if !slices.Equal(got, all(t, again)) || slices.Equal(got, all(t, other)) {
		t.Error("the choice does not follow the seed")
	}
	if everything, _ := Sample(c, 0, 7); everything.Samples() != 115 {
		t.Errorf("%d samples of all 115", everything.Samples())
	}
}

// The order is part of what a report promises to reproduce: it must not change with a version.
func TestSampleIsStable(t *testing.T) {
	s, err := Sample(ramps(t, -1, 0, 8), 5, 42)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := all(t, s), []float64{4, 1, 6, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestSampleFixedBatch(t *testing.T) {
	b := ramps(t, 4, 0, 20)
	if s, err := Sample(b, 10, 0); err != nil || s.Samples() != 8 {
		t.Errorf("%v, %v", s, err)
	}
	_, err := Sample(b, 3, 0)
	refused(t, err, fault.Data, "batches")
}

func TestSplit(t *testing.T) {
	rest, held, err := Split(ramps(t, -1, 0, 25), 10)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, held); !slices.Equal(got, []float64{9, 19}) || rest.Samples() != 23 {
		t.Errorf("held out %v, %d left", got, rest.Samples())
	}
	agree(t, rest, 0)
	agree(t, held, 0)
	if n, err := Overlap(rest, held); n != 0 || err != nil {
		t.Errorf("%d samples in both parts, %v", n, err)
	}
	_, _, err = Split(rest, 1)
	refused(t, err, fault.Usage, "one sample in 1")
	_, _, err = Split(held, 10)
	refused(t, err, fault.Data, "too few")
}

// TestHalves: each half has every class in its share, whatever the order of the labels.
func TestHalves(t *testing.T) {
	src := ramps(t, -1, 0, 25)
	labels := make([]int64, 25) // 0 1 2 3 4 0 1 …: a split by position would do as well as one by chance
	for i := range labels {
		labels[i] = int64(i % 4)
	}
	first, second, err := Halves(src, labels)
	if err != nil {
		t.Fatal(err)
	}
	for name, half := range map[string][]float64{"first": all(t, first), "second": all(t, second)} {
		count := map[int64]int{}
		for _, v := range half {
			count[labels[int(v)]]++
		}
		for class := range int64(4) {
			if n := count[class]; n < 3 || n > 4 {
				t.Errorf("the %s half has %d samples of class %d", name, n, class)
			}
		}
	}
	if first.Samples()+second.Samples() != 25 || first.Samples() != 13 {
		t.Errorf("%d and %d samples", first.Samples(), second.Samples())
	}
	if n, err := Overlap(first, second); n != 0 || err != nil {
		t.Errorf("%d samples in both halves, %v", n, err)
	}
	_, _, err = Halves(src, []int64{1})
	refused(t, err, fault.Data, "too few")
}

func TestOverlap(t *testing.T) {
	a, b := ramps(t, -1, 0, 100), ramps(t, -1, 90, 100)
	if n, err := Overlap(a, b); n != 10 || err != nil {
		t.Errorf("%d samples in common, %v", n, err)
	}
	h, err := Fingerprint(a)
	if err != nil || len(h) != 100 || h[0] == h[1] {
		t.Errorf("%d hashes, %v", len(h), err)
	}
}

func TestStats(t *testing.T) {
	path := npz(t, zip.Store,
		entry{"b", npy("<i8", false, []int64{3, 1}, []int64{-4, 0, 1})},
		entry{"a", npy("<f4", false, []int64{3, 2}, ramp(6))})
	got, err := Stats(open(t, path, Options{}), 2)
	want := []InputStats{{"a", 0, 2.5, 5, 6}, {"b", -4, -1, 1, 3}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("stats %+v, %v, want %+v", got, err, want)
	}
}

func TestRecipe(t *testing.T) {
	one := Recipe([]InputSpec{spec("input.1", onnx.Float, 8, 1, 28, 28)})
	want := `import numpy as np
rows = [preprocess(s) for s in samples]  # as in training; one input without the axis N; give a multiple of 8 samples: float32 (8,1,28,28)
np.savez("data.npz", **{"input.1": np.stack([r for r in rows]).astype(np.float32)})
`
	if one != want {
		t.Errorf("recipe:\n%s", one)
	}
	two := Recipe([]InputSpec{
		{"ids", onnx.Int64, []onnx.Dim{{Size: -1}, {Size: -1, Param: "seq"}}}, spec("mask", onnx.Bool, -1, 4),
	})
	for _, part := range []string{`"ids": np.stack([r[0] for r in rows]).astype(np.int64)`, `"mask": np.stack([r[1]`, "np.bool_", "(N,seq)"} {
		if !strings.Contains(two, part) || strings.Count(two, "\n") != 3 {
			t.Errorf("recipe:\n%s", two)
		}
	}
}
