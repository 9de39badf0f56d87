package calibrate_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// noise is a source of normal samples with a mean of their own for each position of axis 1.
func noise(n int, offset float64, dims ...int64) samples {
	r := rand.New(rand.NewPCG(1, 2))
	x := onnx.NewTensor(onnx.Float, append([]int64{int64(n)}, dims...)...)
	v := make([]float32, x.Len())
	inner := len(v) / n / int(dims[0])
	for i := range v {
		v[i] = float32(r.NormFloat64() + offset*float64(i/inner%int(dims[0])))
	}
	return samples{"x", onnx.FromFloat32(v, x.Dims...), n}
}

func random(seed uint64, dims ...int64) *onnx.Tensor {
	r := rand.New(rand.NewPCG(seed, 3))
	v := make([]float32, onnx.NewTensor(onnx.Float, dims...).Len())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return onnx.FromFloat32(v, dims...)
}

// convNet is x (N,3,12,12) → c (N,8,10,10) → r → f (N,800), y, in nodes that are the same in all opsets.
func convNet(opset int64) *onnx.Model {
	return model(opset, []int64{3, 12, 12}, map[string]*onnx.Tensor{"w": random(1, 8, 3, 3, 3), "v": random(2, 800, 2)},
		node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("MatMul", "f v", "y"))
}

// check captures taps and compares with a computation in float64.
func check(t *testing.T, m *onnx.Model, src calibrate.Source, o calibrate.CaptureOptions, taps ...calibrate.Tap) {
	t.Helper()
	checkWithin(t, 5e-6, m, src, o, taps...)
}

func checkWithin(t *testing.T, tolerance float64, m *onnx.Model, src calibrate.Source, o calibrate.CaptureOptions, taps ...calibrate.Tap) {
	t.Helper()
	got := capture(t, m, taps, src, o)
	for _, tap := range taps {
		near(t, tap.Name, got[tap.Name], reference(t, orttest.Engine(t), m, tap, src), tolerance)
	}
}

func parts(p ...calibrate.Part) []calibrate.Part { return p }

func TestCaptureInEveryOpset(t *testing.T) {
	for _, opset := range []int64{7, 8, 9, 10, 11, 12, 13, 17, 18, 21, 23} {
		t.Run(fmt.Sprint("opset=", opset), func(t *testing.T) {
			check(t, convNet(opset), noise(37, 3, 3, 12, 12), calibrate.CaptureOptions{},
				calibrate.Tap{Name: "planes", Parts: parts(calibrate.Part{Value: "r", Axis: 1, From: 2, Len: 4})},
				calibrate.Tap{Name: "flattened", Parts: parts(calibrate.Part{Value: "f", Axis: 1, Len: 8, Inner: 100})},
				calibrate.Tap{Name: "rows", Parts: parts(calibrate.Part{Value: "f", Axis: 1, From: 700, Len: 100}, calibrate.Part{Value: "y", Axis: -1, Len: 2})},
				calibrate.Tap{Name: "variances", Diagonal: true, Parts: parts(calibrate.Part{Value: "c", Axis: 1, Len: 3}, calibrate.Part{Value: "c", Axis: 1, From: 5, Len: 3})},
				calibrate.Tap{Name: "input", Diagonal: true, Parts: parts(calibrate.Part{Value: "x", Axis: 1, Len: 3})},
			)
		})
	}
	_, err := calibrate.Capture(t.Context(), orttest.Engine(t), convNet(6), []calibrate.Tap{{Name: "r", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8})}},
		noise(4, 0, 3, 12, 12), calibrate.CaptureOptions{})
	wantFault(t, err, fault.Unsupported, "opset", "")
}

func wantFault(t *testing.T, err error, kind fault.Kind, code, value string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want %s", code)
	}
	if f := fault.As(err); f.Kind != kind || f.Code != code || f.Value != value {
		t.Errorf("error %q (kind %d, %s, value %q): want kind %d, %s, value %q", err, f.Kind, f.Code, f.Value, kind, code, value)
	}
}

// TestCaptureOfTokens has the features last, samples and tokens in one axis, and features first.
func TestCaptureOfTokens(t *testing.T) {
	m := model(13, []int64{50, 6}, map[string]*onnx.Tensor{"w": random(1, 6, 10), "flat": onnx.FromInt64([]int64{-1, 10}, 2)},
		node("MatMul", "x w", "tokens"),                                   // (N, 50, 10)
		node("Reshape", "tokens flat", "flattened"),                       // (N·50, 10)
		node("Transpose", "tokens", "first", onnx.Ints("perm", 2, 0, 1)),  // (10, N, 50)
		node("Transpose", "tokens", "middle", onnx.Ints("perm", 0, 2, 1)), // (N, 10, 50)
		node("Relu", "tokens", "y"),
	)
	// 70 samples are 3,500 rows in several chunks; the last batch of 6 has chunks of its own.
	for _, batch := range []int{32, 64} {
		check(t, m, noise(70, 1, 50, 6), calibrate.CaptureOptions{Batch: batch},
			calibrate.Tap{Name: "tokens", Parts: parts(calibrate.Part{Value: "tokens", Axis: 2, Len: 10})},
			calibrate.Tap{Name: "flattened", Parts: parts(calibrate.Part{Value: "flattened", Axis: 1, From: 1, Len: 5})},
			calibrate.Tap{Name: "first", Parts: parts(calibrate.Part{Value: "first", Axis: 0, Len: 10})},
			calibrate.Tap{Name: "different forms", Parts: parts(
				calibrate.Part{Value: "y", Axis: -1, Len: 10}, calibrate.Part{Value: "middle", Axis: 1, Len: 10}, calibrate.Part{Value: "first", Axis: 0, From: 3, Len: 2})},
			calibrate.Tap{Name: "variances", Diagonal: true, Parts: parts(calibrate.Part{Value: "tokens", Axis: 2, Len: 10})},
		)
	}
}

// TestCaptureOfLargePlanes has planes that are summed in chunks, whole ones, and too little memory for planes.
func TestCaptureOfLargePlanes(t *testing.T) {
	m := model(13, []int64{3, 50, 50}, nil, node("Relu", "x", "y"))
	for _, memory := range []int64{0, 1} {
		check(t, m, noise(9, 1, 3, 50, 50), calibrate.CaptureOptions{Batch: 4, MemoryBytes: memory},
			calibrate.Tap{Name: "full", Parts: parts(calibrate.Part{Value: "y", Axis: 1, Len: 3}, calibrate.Part{Value: "x", Axis: 1, Len: 2})},
			calibrate.Tap{Name: "variances", Diagonal: true, Parts: parts(calibrate.Part{Value: "y", Axis: 1, Len: 3})})
	}
}

// TestCaptureWithAnOffset has means of up to 3,000 deviations: without a shift their squares would have no
// digits left in float32.
func TestCaptureWithAnOffset(t *testing.T) {
	m := model(13, []int64{4, 8, 8}, nil, node("Identity", "x", "y"))
	taps := []calibrate.Tap{
		{Name: "full", Parts: parts(calibrate.Part{Value: "y", Axis: 1, Len: 4})},
		{Name: "variances", Diagonal: true, Parts: parts(calibrate.Part{Value: "y", Axis: 1, Len: 4})},
	}
	check(t, m, noise(100, 1000, 4, 8, 8), calibrate.CaptureOptions{}, taps...)
}

func TestCaptureOfHalfPrecision(t *testing.T) {
	m := model(13, []int64{4, 8, 8}, nil, node("Cast", "x", "h", onnx.Int("to", int64(onnx.Float16))),
		node("Relu", "h", "r"), node("Cast", "r", "d", onnx.Int("to", int64(onnx.Double))), node("Cast", "d", "y", onnx.Int("to", int64(onnx.Float))))
	// The tolerance is that of float16: ONNX Runtime computes this in float32 and may leave the rounding out.
	checkWithin(t, 1e-3, m, noise(20, 0, 4, 8, 8), calibrate.CaptureOptions{},
		calibrate.Tap{Name: "half", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 4})},
		calibrate.Tap{Name: "double", Diagonal: true, Parts: parts(calibrate.Part{Value: "d", Axis: 1, Len: 4})})
}

// fixBatch declares a fixed batch axis.
func fixBatch(m *onnx.Model, batch int64, dims ...int64) *onnx.Model {
	m.Graph().Input[0] = onnx.NewValueInfo("x", onnx.Float, onnx.Static(append([]int64{batch}, dims...)...))
	return m
}

func TestCaptureWithAFixedBatch(t *testing.T) {
	m, src := fixBatch(convNet(13), 4, 3, 12, 12), noise(11, 0, 3, 12, 12)
	tap := calibrate.Tap{Name: "r", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8})}
	got := capture(t, m, []calibrate.Tap{tap}, src, calibrate.CaptureOptions{Batch: 32})["r"]
	eight := samples{"x", src.x, 8} // of 11 samples 8 fill batches
	near(t, "r", got, reference(t, orttest.Engine(t), m, tap, eight), 2e-6)

	_, err := calibrate.Capture(t.Context(), orttest.Engine(t), m, []calibrate.Tap{tap}, samples{"x", src.x, 3}, calibrate.CaptureOptions{})
	wantFault(t, err, fault.Data, "too_few_samples", "")
}

func TestCaptureOfOneSample(t *testing.T) {
	check(t, convNet(13), noise(1, 0, 3, 12, 12), calibrate.CaptureOptions{},
		calibrate.Tap{Name: "r", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8})},
		calibrate.Tap{Name: "variances", Diagonal: true, Parts: parts(calibrate.Part{Value: "c", Axis: 1, Len: 8})})
}

func TestCaptureRefuses(t *testing.T) {
	e, src := orttest.Engine(t), noise(40, 0, 3, 12, 12)
	fails := func(m *onnx.Model, src calibrate.Source, p ...calibrate.Part) error {
		_, err := calibrate.Capture(t.Context(), e, m, []calibrate.Tap{{Name: "tap", Parts: p}}, src, calibrate.CaptureOptions{})
		return err
	}
	r := calibrate.Part{Value: "r", Axis: 1, Len: 8}
	wantFault(t, fails(convNet(13), src, calibrate.Part{Value: "nothing", Axis: 1, Len: 8}), fault.Internal, "bad_tap", "nothing")
	wantFault(t, fails(convNet(13), src, calibrate.Part{Value: "r", Axis: 1, Len: 9}), fault.Internal, "bad_tap", "r")
	wantFault(t, fails(convNet(13), src), fault.Internal, "bad_tap", "")
	wantFault(t, fails(convNet(13), src, r, calibrate.Part{Value: "x", Axis: 1, Len: 3}), fault.Internal, "bad_tap", "x")
	wantFault(t, fails(convNet(13), src, calibrate.Part{Value: "w", Axis: 1, Len: 3}), fault.Unsupported, "constant_value", "w")
	wantFault(t, fails(convNet(13), samples{"y", src.x, 40}, r), fault.Data, "missing_input", "x")
	wantFault(t, fails(convNet(13), samples{"x", src.x, 0}, r), fault.Data, "no_samples", "")
	wantFault(t, fails(convNet(13), noise(40, 0, 1, 12, 12), r), fault.Data, "input_shape", "x")
	wantFault(t, fails(convNet(13), samples{"x", onnx.NewTensor(onnx.Double, 40, 3, 12, 12), 40}, r), fault.Data, "input_type", "x")
}

func TestCaptureNamesWhatIsNotFinite(t *testing.T) {
	e, src := orttest.Engine(t), noise(40, 1, 3, 12, 12)
	m := convNet(13)
	m.Graph().Initializer = append(m.Graph().Initializer, onnx.FromFloat32([]float32{1e38}, 1).Proto("huge"))
	m.Graph().Node = append(m.Graph().Node, node("Mul", "r huge", "over"))
	tap := calibrate.Tap{Name: "tap", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8}, calibrate.Part{Value: "over", Axis: 1, Len: 8})}
	for _, tap.Diagonal = range []bool{false, true} {
		_, err := calibrate.Capture(t.Context(), e, m, []calibrate.Tap{tap}, src, calibrate.CaptureOptions{})
		wantFault(t, err, fault.Runtime, "not_finite", "over")
	}
	bad := noise(40, 1, 3, 12, 12)
	v, _ := bad.x.Float32s()
	v[35*3*144] = float32(math.NaN())
	bad.x = onnx.FromFloat32(v, bad.x.Dims...)
	_, err := calibrate.Capture(t.Context(), e, convNet(13), []calibrate.Tap{{Name: "r", Parts: tap.Parts[:1]}}, bad, calibrate.CaptureOptions{})
	wantFault(t, err, fault.Data, "not_finite", "x")
}

// TestCaptureStopsWhenCancelled cancels after the first batches.
func TestCaptureStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last atomic.Int64
	o := calibrate.CaptureOptions{Batch: 1, Workers: 2, Progress: func(done, total int) {
		if last.Store(int64(done)); done == 3 {
			cancel()
		}
	}}
	_, err := calibrate.Capture(ctx, orttest.Engine(t), convNet(13), []calibrate.Tap{{Name: "r", Parts: parts(calibrate.Part{Value: "r", Axis: 1, Len: 8})}},
		noise(400, 0, 3, 12, 12), o)
	if err == nil || last.Load() > 10 {
		t.Errorf("%d of 400 samples done, error %v", last.Load(), err)
	}
}

// Wide parts are divided, of whole values and of slices, with positions inside or without.
func TestCaptureOfWideParts(t *testing.T) {
	m := model(17, []int64{3, 12, 12}, map[string]*onnx.Tensor{"w": random(1, 1200, 3, 11, 11), "v": random(2, 2400, 600)},
		node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Flatten", "r", "f"), node("Reshape", "c s", "u"), node("MatMul", "u v", "y"))
	m.Graph().Initializer = append(m.Graph().Initializer, onnx.FromInt64([]int64{-1, 2400}, 2).Proto("s"))
	check(t, m, noise(21, 3, 3, 12, 12), calibrate.CaptureOptions{},
		calibrate.Tap{Name: "planes", Parts: parts(calibrate.Part{Value: "r", Axis: 1, From: 7, Len: 1100})},
		calibrate.Tap{Name: "inner", Parts: parts(calibrate.Part{Value: "f", Axis: 1, From: 3, Len: 1190, Inner: 4})},
		calibrate.Tap{Name: "stacked", Parts: parts(calibrate.Part{Value: "y", Axis: 1, Len: 513}, calibrate.Part{Value: "u", Axis: 1, From: 1000, Len: 1300})})
}
