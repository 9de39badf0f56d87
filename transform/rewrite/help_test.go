package rewrite

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// passTest is a graph, what one pass makes of its nodes, and how many changes of each kind that took.
type passTest struct {
	name  string
	model string
	want  string         // the nodes, in onnxtest's notation
	kinds map[string]int // nil: no change, and the nodes stay as they are
	sizes map[string]int64
}

// checkPass runs tests of one pass: the nodes, the number of rewrites, no change in a second run, and equal
// outputs in ONNX Runtime.
func checkPass(t *testing.T, pass string, tests []passTest) {
	t.Helper()
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			before := onnxtest.Build(t, c.model)
			after, r := runPass(t, pass, before)
			if !maps.Equal(r.Kinds, c.kinds) {
				t.Errorf("kinds of changes: %v, want %v", r.Kinds, c.kinds)
			}
			want := trimLines(c.want)
			if c.kinds == nil {
				want = nodeLines(before)
			}
			if got := nodeLines(after); got != want {
				t.Errorf("nodes:\n%s\nwant:\n%s", got, want)
			}
			if _, again := runPass(t, pass, after); again.Changes != 0 {
				t.Errorf("the second run makes %d changes: %v", again.Changes, again.Kinds)
			}
			t.Run("outputs", func(t *testing.T) { sameOutputs(t, before, after, onnxtest.Feeds(before, 7, c.sizes)) })
		})
	}
}

// runPass runs one pass on a copy of m.
func runPass(t *testing.T, name string, m *onnx.Model) (*onnx.Model, Record) {
	t.Helper()
	for _, p := range Passes {
		if p.Name == name {
			m, r := m.Clone(), Record{Pass: name}
			if _, err := run(p, m, &r); err != nil {
				t.Fatal(err)
			}
			return m, r
		}
	}
	t.Fatalf("no pass %q", name)
	return nil, Record{}
}

func nodeLines(m *onnx.Model) string {
	var lines []string
	for _, n := range m.Graph().GetNode() {
		line, _, _ := strings.Cut(onnxtest.DumpNode(n), " @")
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func trimLines(text string) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// sameOutputs runs both models and compares: |Δ| ≤ 1e-5·max|output|.
func sameOutputs(t *testing.T, before, after *onnx.Model, feeds map[string]*onnx.Tensor) {
	t.Helper()
	want, got := outputs(t, before, feeds), outputs(t, after, feeds)
	if a, b := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(a, b) {
		t.Fatalf("outputs %v, want %v", b, a)
	}
	for name := range want {
		compare(t, name, want[name], got[name])
	}
}

func compare(t *testing.T, name string, want, got *onnx.Tensor) {
	t.Helper()
	a, errA := want.Float64s()
	b, errB := got.Float64s()
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !slices.Equal(want.Dims, got.Dims) || want.DType != got.DType {
		t.Fatalf("%s: %v%v, want %v%v", name, got.DType, got.Dims, want.DType, want.Dims)
	}
	top, worst := 0.0, 0.0
	for i := range a {
		top = max(top, math.Abs(a[i]))
		worst = max(worst, math.Abs(a[i]-b[i])) // NaN stays NaN
	}
	if !(worst <= 1e-5*top) {
		t.Errorf("%s: off by %g of %g", name, worst, top)
	}
}

func outputs(t *testing.T, m *onnx.Model, feeds map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	t.Helper()
	s, err := orttest.Engine(t).Open(context.Background(), m, calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
