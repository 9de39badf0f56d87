package calibrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// stacked makes a tap over all features of axis 1 of some values.
func stacked(name string, w map[string]int, diagonal bool, values ...string) calibrate.Tap {
	t := calibrate.Tap{Name: name, Diagonal: diagonal}
	for _, v := range values {
		t.Parts = append(t.Parts, calibrate.Part{Value: v, Axis: 1, Len: w[v]})
	}
	return t
}

// reference computes a tap's moments in float64 from activations that leave the engine.
func reference(t testing.TB, e calibrate.Engine, m *onnx.Model, tap calibrate.Tap, src calibrate.Source) *calibrate.Moments {
	t.Helper()
	var values []string
	for _, p := range tap.Parts {
		if !slices.Contains(values, p.Value) {
			values = append(values, p.Value)
		}
	}
	total := &calibrate.Moments{}
	o := calibrate.ForwardOptions{Outputs: values, Batch: 16}
	err := calibrate.Forward(t.Context(), e, m, src, o, func(b calibrate.ForwardBatch) error {
		var rows [][]float64
		for _, p := range tap.Parts {
			rows = appendColumns(t, rows, b.Outputs[p.Value], p)
		}
		return total.Merge(momentsOf(rows, tap.Diagonal))
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

// appendColumns appends the features of a part to the rows, one row for each position.
func appendColumns(t testing.TB, rows [][]float64, x *onnx.Tensor, p calibrate.Part) [][]float64 {
	t.Helper()
	v, err := x.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	axis := (p.Axis + len(x.Dims)) % len(x.Dims)
	inner := max(1, p.Inner)
	width := int(x.Dims[axis]) / inner
	for _, d := range x.Dims[axis+1:] {
		inner *= int(d)
	}
	outer := len(v) / (width * inner)
	if rows == nil {
		rows = make([][]float64, outer*inner)
	}
	for i := range rows {
		for c := p.From; c < p.From+p.Len; c++ {
			rows[i] = append(rows[i], v[(i/inner*width+c)*inner+i%inner])
		}
	}
	return rows
}

func capture(t testing.TB, m *onnx.Model, taps []calibrate.Tap, src calibrate.Source, o calibrate.CaptureOptions) map[string]*calibrate.Moments {
	t.Helper()
	got, err := calibrate.Capture(t.Context(), orttest.Engine(t), m, taps, src, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// realTaps taps a pair of models side by side: corresponding activations stacked, and the variances of what
// goes into them.
func realTaps(t testing.TB, m *onnx.Model, src calibrate.Source, before string) []calibrate.Tap {
	w := widths(t, orttest.Engine(t), m, src)
	var taps []calibrate.Tap
	b := outputsOf(m, "Relu", "1/")
	for i, a := range outputsOf(m, "Relu", "0/") {
		taps = append(taps, stacked(fmt.Sprint("space ", i), w, false, a, b[i]))
	}
	for _, v := range outputsOf(m, before, "") {
		taps = append(taps, stacked(v, w, true, v))
	}
	return taps
}

// TestCaptureIsExact holds the real models to 1e-5 of a computation in float64.
func TestCaptureIsExact(t *testing.T) {
	for _, c := range []struct {
		pair, before string
		samples      int
	}{{"mlp", "Gemm", 200}, {"vgg", "Conv", 40}, {"resnet20", "Conv", 12}} {
		t.Run(c.pair, func(t *testing.T) {
			m, src := pair(t, c.pair), calibration(t, c.samples)
			taps := realTaps(t, m, src, c.before)
			if testing.Short() {
				taps = taps[:3]
			}
			got := capture(t, m, taps, src, calibrate.CaptureOptions{})
			worst, where := 0.0, ""
			for _, tap := range taps {
				want := reference(t, orttest.Engine(t), m, tap, src)
				near(t, tap.Name, got[tap.Name], want, 1e-5)
				if d := distance(got[tap.Name], want); d >= worst {
					worst, where = d, tap.Name
				}
			}
			t.Logf("%d taps differ by at most %.2g (%s)", len(taps), worst, where)
		})
	}
}

// TestCaptureIsTheSameForAnyWorkers also has a smaller last batch, with a graph of its own.
func TestCaptureIsTheSameForAnyWorkers(t *testing.T) {
	m, src := pair(t, "resnet20"), calibration(t, 75)
	taps := realTaps(t, m, src, "Conv")
	var want map[string]*calibrate.Moments
	for _, workers := range []int{1, 2, 4} {
		got := capture(t, m, taps, src, calibrate.CaptureOptions{Workers: workers, Batch: 8})
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%d workers give other bytes than 1:\n%s", workers, diff)
		}
	}
}

func TestShardsEqualTheWhole(t *testing.T) {
	m, src := pair(t, "mlp"), calibration(t, 150)
	taps := realTaps(t, m, src, "Gemm")
	whole := capture(t, m, taps, src, calibrate.CaptureOptions{})
	first := capture(t, m, taps, samples{"input", src.x, 50}, calibrate.CaptureOptions{})
	rest := samples{"input", &onnx.Tensor{DType: onnx.Float, Dims: []int64{100, 1, 28, 28}, Raw: src.x.Raw[50*784*4 : 150*784*4]}, 100}
	for name, shard := range capture(t, m, taps, rest, calibrate.CaptureOptions{Batch: 64}) {
		if err := shard.Merge(first[name]); err != nil {
			t.Fatal(err)
		}
		near(t, name, shard, whole[name], 2e-6)
	}
}

// TestCaptureHandsOutExtra: what a caller appends to the graph runs in the same passes over the samples, batch by batch,
// and leaves the moments as they are.
func TestCaptureHandsOutExtra(t *testing.T) {
	m, src := pair(t, "mlp"), calibration(t, 75)
	taps := realTaps(t, m, src, "Gemm")[:2]
	plain := capture(t, m, taps, src, calibrate.CaptureOptions{Batch: 32})
	const batches = 3
	value := outputsOf(m, "Gemm", "1/")[0]
	for workers, memory := range map[int]int64{1: 0, 3: 0, 2: 1} { // the last piece by piece
		var got [batches][]float64
		extra := &calibrate.Extra{
			Values: []string{value},
			Batch:  32,
			Extend: func(g *onnx.Graph, values []string) {
				if !slices.Equal(values, []string{value}) {
					t.Errorf("asked to extend %v, want %q", values, value)
				}
				g.Input = append(g.Input, onnx.NewValueInfo("extra/factor", onnx.Float, nil))
				g.Node = append(g.Node, onnx.NewNode("Mul", "extra/product", []string{value, "extra/factor"}, []string{"extra/product"}))
				g.Output = append(g.Output, onnx.NewValueInfo("extra/product", onnx.Float, nil))
			},
			Feed: func(batch int, feeds map[string]*onnx.Tensor) {
				feeds["extra/factor"] = onnx.FromFloat32([]float32{float32(batch + 1)}, 1)
			},
			Take: func(batch int, out map[string]*onnx.Tensor) (err error) {
				got[batch], err = out["extra/product"].Float64s()
				return err
			},
		}
		with := capture(t, m, taps, src, calibrate.CaptureOptions{Batch: 32, Workers: workers, MemoryBytes: memory, Extra: extra})
		for _, tap := range taps {
			near(t, tap.Name, with[tap.Name], plain[tap.Name], 1e-6)
		}
		extra.Take = func(int, map[string]*onnx.Tensor) error { return errors.New("batches of another size are none of it") }
		capture(t, m, taps[:1], src, calibrate.CaptureOptions{Batch: 16, Extra: extra})
		err := calibrate.Forward(t.Context(), orttest.Engine(t), m, src, calibrate.ForwardOptions{Outputs: []string{value}, Batch: 32}, func(b calibrate.ForwardBatch) error {
			want, err := b.Outputs[value].Float64s()
			batch := b.From / 32
			if len(want) == 0 || len(want) != len(got[batch]) {
				t.Fatalf("batch %d: %d values, want %d", batch, len(got[batch]), len(want))
			}
			for k, x := range want {
				if d := got[batch][k] - x*float64(batch+1); !(d*d <= 1e-8*(1+x*x)) {
					t.Fatalf("batch %d: value %d is %g, want %d times %g", batch, k, got[batch][k], batch+1, x)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// recorder is an engine that notes what it opens.
type recorder struct {
	calibrate.Engine
	mu     sync.Mutex
	opened []*onnx.Model
}

func (r *recorder) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	if !o.Unoptimized { // the first look is not
		r.mu.Lock()
		defer r.mu.Unlock()
		r.opened = append(r.opened, m)
	}
	return r.Engine.Open(ctx, m, o)
}

// TestCapturePieceByPiece: where products take more than the memory allowed, the model runs in pieces, none of its nodes twice,
// and the moments are the same.
func TestCapturePieceByPiece(t *testing.T) {
	m, src := pair(t, "resnet20"), calibration(t, 45)
	taps := realTaps(t, m, src, "Conv")
	want := capture(t, m, taps, src, calibrate.CaptureOptions{Batch: 15})
	original := map[string]bool{}
	for _, n := range m.Graph().GetNode() {
		original[n.GetOutput()[0]] = true
	}
	for _, memory := range []int64{1, 40 << 10} {
		var first map[string]*calibrate.Moments
		for _, workers := range []int{1, 4} {
			e := &recorder{Engine: orttest.Engine(t)}
			got, err := calibrate.Capture(t.Context(), e, m, taps, src, calibrate.CaptureOptions{Workers: workers, Batch: 15, MemoryBytes: memory})
			if err != nil {
				t.Fatal(err)
			}
			for _, tap := range taps {
				near(t, tap.Name, got[tap.Name], want[tap.Name], 1e-5)
			}
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("%d workers give other bytes than 1:\n%s", workers, diff)
			}
			checkPieces(t, e.opened, original, memory, len(taps))
		}
	}
	// A smaller last batch has pieces of its own.
	src.n = 40
	want = capture(t, m, taps, src, calibrate.CaptureOptions{Batch: 15})
	for name, got := range capture(t, m, taps, src, calibrate.CaptureOptions{Batch: 15, MemoryBytes: 1 << 20}) {
		near(t, name, got, want[name], 1e-5)
	}
}

// checkPieces holds pieces to what they promise: each node of the model in one of them, and no more products than memory
// allows where a piece has several taps.
func checkPieces(t *testing.T, pieces []*onnx.Model, original map[string]bool, memory int64, taps int) {
	t.Helper()
	if len(pieces) < 3 || memory == 1 && len(pieces) != taps {
		t.Fatalf("%d taps in %d bytes: %d pieces", taps, memory, len(pieces))
	}
	seen := map[string]bool{}
	for _, p := range pieces {
		for _, n := range p.Graph().GetNode() {
			if out := n.GetOutput()[0]; original[out] && seen[out] {
				t.Errorf("node %q is in two pieces", out)
			} else {
				seen[out] = true
			}
		}
		products, bytes := 0, int64(0)
		for _, out := range p.Graph().GetOutput() {
			if d, dims, ok := onnx.TensorType(out); ok && d == onnx.Double && len(dims) == 2 {
				products, bytes = products+1, bytes+8*dims[0].Size*dims[1].Size
			}
		}
		if bytes > memory && products > 3 { // of one tap of two parts
			t.Errorf("a piece hands out %d products of %d bytes: %d are allowed", products, bytes, memory)
		}
	}
}

// TestCapturePieceByPieceFails: an error in one batch ends those that wait for it.
func TestCapturePieceByPieceFails(t *testing.T) {
	m, src := pair(t, "mlp"), calibration(t, 60)
	taps := realTaps(t, m, src, "Gemm")
	src.x = &onnx.Tensor{DType: src.x.DType, Dims: src.x.Dims, Raw: slices.Clone(src.x.Raw)}
	copy(src.x.Raw[784*4*25:], []byte{0, 0, 0xc0, 0x7f}) // NaN
	_, err := calibrate.Capture(t.Context(), orttest.Engine(t), m, taps, src, calibrate.CaptureOptions{Workers: 4, Batch: 10, MemoryBytes: 1})
	if err == nil || fault.As(err).Code != "not_finite" || !strings.Contains(err.Error(), "sample 25") {
		t.Fatalf("a NaN in sample 25: %v", err)
	}
}
