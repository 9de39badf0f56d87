package gorgonnx

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

var _ calibrate.Engine = Engine{}

func node(op, name string, in []string, out ...string) *onnx.Node {
	return onnx.NewNode(op, name, in, out)
}

// values runs a model on x and returns an output as numbers.
func values(t *testing.T, m *onnx.Model, feeds map[string]*onnx.Tensor, output string) []float32 {
	t.Helper()
	out, err := run(t, Engine{}, m, feeds)
	if err != nil {
		t.Fatal(err)
	}
	v, err := out[output].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// onnx-go leaves such an output at zero when it runs the whole graph.
func TestOutputThatIsAlsoRead(t *testing.T) {
	feeds := map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{-1, 2}, 1, 2)}
	m := network(13, []*onnx.Node{
		node("Neg", "first", []string{"x"}, "h"),
		node("LeakyRelu", "second", []string{"h"}, "y"), // onnx-go's writes into its input
		node("Relu", "third", []string{"h"}, "z"),
	}, feeds, nil, "h", "y", "z", "x")
	for output, want := range map[string][]float32{"h": {1, -2}, "y": {1, -0.02}, "z": {1, 0}, "x": {-1, 2}} {
		got := values(t, m, feeds, output)
		if len(got) != 2 || got[0] != want[0] || got[1]-want[1] > 1e-6 || want[1]-got[1] > 1e-6 {
			t.Errorf("%s = %v, want %v", output, got, want)
		}
	}
}

// onnx-go's Gemm writes into its bias where there is one row, and its graph keeps one edge between two nodes.
func TestSharedAndRepeatedInputs(t *testing.T) {
	feeds := map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{1, 2}, 1, 2)}
	inits := map[string]*onnx.Tensor{
		"w": onnx.FromFloat32([]float32{1, 0, 0, 1}, 2, 2), "b": onnx.FromFloat32([]float32{10, 20}, 2),
	}
	m := network(13, []*onnx.Node{
		node("Gemm", "first", []string{"x", "w", "b"}, "p"),
		node("Gemm", "second", []string{"p", "w", "b"}, "q"),
		node("Add", "twice", []string{"q", "q"}, "y"),
	}, feeds, inits, "y")
	for range 2 {
		if got := values(t, m, feeds, "y"); !slices.Equal(got, []float32{42, 84}) {
			t.Errorf("y = %v, want [42 84]", got)
		}
	}
}

// Nodes that no output depends on are not run, and need not be supported.
func TestDeadNodes(t *testing.T) {
	feeds := map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{-1, 2}, 2)}
	m := network(13, []*onnx.Node{
		node("Relu", "alive", []string{"x"}, "y"), node("Erf", "dead", []string{"x"}, "z"),
	}, feeds, nil, "y")
	if got := values(t, m, feeds, "y"); !slices.Equal(got, []float32{0, 2}) {
		t.Errorf("y = %v", got)
	}
}

func TestSecondOutputIsRefused(t *testing.T) {
	feeds := map[string]*onnx.Tensor{"x": image}
	m := network(13, []*onnx.Node{node("Dropout", "drop", []string{"x"}, "y", "mask")}, feeds, nil, "y")
	_, err := run(t, Engine{}, m, feeds)
	if e := fault.As(err); err == nil || e.Kind != fault.Unsupported || e.Node != "drop" || e.Value != "mask" {
		t.Errorf("error %v", err)
	}
}

func TestFeedsAreChecked(t *testing.T) {
	x := onnx.FromFloat32([]float32{1, 2}, 1, 2)
	m := network(13, []*onnx.Node{node("Relu", "n", []string{"x"}, "y")}, map[string]*onnx.Tensor{"x": x}, nil, "y")
	m.Graph().Input[0] = onnx.NewValueInfo("x", onnx.Float, []onnx.Dim{{Size: -1}, {Size: 2}})
	for _, feeds := range []map[string]*onnx.Tensor{
		{}, {"x": x, "z": x}, {"x": random(2, 3)}, {"x": random(2)}, {"x": integers(1, 2)},
		{"x": {DType: onnx.Float, Dims: []int64{1, 2}, Raw: make([]byte, 4)}},
		{"x": {DType: onnx.Float, Dims: []int64{-1, 2}}},
	} {
		if _, err := run(t, Engine{}, m, feeds); err == nil || fault.As(err).Kind != fault.Data {
			t.Errorf("feeds %v: error %v", feeds, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	m, _ := single(13, "Relu", nil, random(2))
	_, err := Engine{}.Open(t.Context(), m, calibrate.SessionOptions{ProfilePath: "p"})
	if fault.As(err).Kind != fault.Unsupported {
		t.Errorf("a profile: %v", err)
	}
	for _, bad := range []*onnx.Model{nil, {}, {Proto: &onnx.ModelProto{}}} {
		if _, err := (Engine{}).Open(t.Context(), bad, calibrate.SessionOptions{}); err == nil || fault.As(err).Kind != fault.Model {
			t.Errorf("no graph: %v", err)
		}
	}
	custom, _ := single(13, "Relu", nil, random(2))
	domain := "com.example"
	custom.Graph().Node[0].Domain = &domain
	_, err = Engine{}.Open(t.Context(), custom, calibrate.SessionOptions{})
	if e := fault.As(err); err == nil || e.Kind != fault.Unsupported || e.Node != "the_node" {
		t.Errorf("another domain: %v", err)
	}
}

func TestCancel(t *testing.T) {
	m, feeds := single(13, "Relu", nil, random(2))
	s, err := Engine{}.Open(t.Context(), m, calibrate.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, feeds); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := (Engine{}).Open(ctx, m, calibrate.SessionOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A session may be run from several goroutines, and leaves feeds and initializers alone.
func TestConcurrentRuns(t *testing.T) {
	m, feeds := single(13, "Gemm", nil, random(1, 4), random(4, 5), random(5))
	before := slices.Clone(feeds["x0"].Raw)
	s, err := Engine{}.Open(t.Context(), m, calibrate.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	results := make([]*onnx.Tensor, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			out, err := s.Run(t.Context(), feeds)
			if err != nil {
				t.Error(err)
				return
			}
			results[i] = out["y"]
		})
	}
	wg.Wait()
	for _, r := range results {
		if r == nil || !bytes.Equal(r.Raw, results[0].Raw) {
			t.Error("runs differ")
		}
	}
	if !bytes.Equal(before, feeds["x0"].Raw) {
		t.Error("a feed was changed")
	}
}
