package calibrate_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// collect joins the batches of an output.
func collect(t *testing.T, m *onnx.Model, src calibrate.Source, o calibrate.ForwardOptions, output string) []float32 {
	t.Helper()
	var all []float32
	next := 0
	err := calibrate.Forward(t.Context(), orttest.Engine(t), m, src, o, func(b calibrate.ForwardBatch) error {
		x, err := b.Outputs[output].Float32s()
		if err != nil {
			return err
		}
		if b.From != next || b.Outputs[output].Dims[0] != int64(b.To-b.From) || b.Feeds["x"].Dims[0] != int64(b.To-b.From) {
			t.Errorf("batch [%d, %d) has the dims %v, and %d was next", b.From, b.To, b.Outputs[output].Dims, next)
		}
		next = b.To
		all = append(all, x...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != src.Samples() {
		t.Errorf("%d of %d samples", next, src.Samples())
	}
	return all
}

func TestForward(t *testing.T) {
	src := noise(21, 0, 3, 12, 12)
	want := collect(t, convNet(13), src, calibrate.ForwardOptions{Batch: 5, Workers: 1}, "y")
	for name, o := range map[string]calibrate.ForwardOptions{
		"parallel": {Batch: 5, Workers: 3},
		"named":    {Batch: 5, Outputs: []string{"y"}},
	} {
		if got := collect(t, convNet(13), src, o, "y"); !slices.Equal(got, want) {
			t.Errorf("%s: other values", name)
		}
	}
	if got := collect(t, convNet(13), src, calibrate.ForwardOptions{Outputs: []string{"r"}}, "r"); len(got) != 21*800 {
		t.Errorf("%d values inside the graph: want %d", len(got), 21*800)
	}
}

func TestForwardFillsAFixedBatch(t *testing.T) {
	m := fixBatch(convNet(13), 4, 3, 12, 12)
	for _, n := range []int{3, 4, 11} {
		src := noise(n, 0, 3, 12, 12)
		want := collect(t, convNet(13), src, calibrate.ForwardOptions{Batch: 4}, "y")
		got := collect(t, m, src, calibrate.ForwardOptions{}, "y")
		if len(got) != len(want) {
			t.Fatalf("%d values of %d samples: want %d", len(got), n, len(want))
		}
		for i := range got {
			if d := got[i] - want[i]; d > 1e-3 || d < -1e-3 {
				t.Errorf("value %d of %d samples is %v: want %v", i, n, got[i], want[i])
			}
		}
	}
}

func TestForwardStopsAtAnError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := calibrate.Forward(t.Context(), orttest.Engine(t), convNet(13), noise(40, 0, 3, 12, 12), calibrate.ForwardOptions{Batch: 1, Workers: 2},
		func(b calibrate.ForwardBatch) error {
			if calls++; calls == 3 {
				return stop
			}
			return nil
		})
	if !errors.Is(err, stop) || calls != 3 {
		t.Errorf("%d calls, error %v", calls, err)
	}
	err = calibrate.Forward(t.Context(), orttest.Engine(t), convNet(13), noise(40, 0, 3, 12, 12), calibrate.ForwardOptions{Outputs: []string{"nothing"}}, nil)
	wantFault(t, err, fault.Internal, "bad_output", "nothing")
}

// synthetic yields the same few images over and over.
type synthetic struct{ n int }

func (s synthetic) Samples() int { return s.n }

func (s synthetic) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	return noise(to-from, 0, 3, 12, 12).Batch(0, to-from)
}

// TestMemoryDoesNotGrow compares the Go heap at its largest with ten times the samples. What the engine holds
// is bounded by the number of runs at once; TestInOrderKeepsOrderAndBounds counts them.
func TestMemoryDoesNotGrow(t *testing.T) {
	tap := calibrate.Tap{Name: "r", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8})}
	peak := func(n int) uint64 {
		var most uint64
		o := calibrate.CaptureOptions{Workers: 2, Progress: func(done, _ int) {
			if done%1000 < 32 || done == n {
				most = max(most, heapInUse())
			}
		}}
		capture(t, convNet(13), []calibrate.Tap{tap}, synthetic{n}, o)
		return most
	}
	few, many := peak(1000), peak(10_000)
	if many > few+few/4+1<<20 {
		t.Errorf("%d bytes with 1,000 samples, %d with 10,000", few, many)
	}
}
