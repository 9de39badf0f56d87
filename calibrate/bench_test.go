package calibrate_test

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// BenchmarkCapture compares Capture with a plain run of the same models over the same samples with the same
// threads, in turn: forward-ms, capture-ms (wall clock) and the CPU time of the process as forward-cpu-ms
// and capture-cpu-ms are medians over the iterations; capture/forward is the median ratio of wall clocks,
// cpu/cpu that of CPU times, which other programs disturb less. Opening the sessions counts on both sides.
func BenchmarkCapture(b *testing.B) {
	for _, c := range []struct {
		pair, before string
		spaces       []int // of the Relus in order: those that end a space
	}{
		{"mlp", "Gemm", []int{0, 1, 2}},
		{"vgg", "Conv", []int{0, 1, 2, 3, 4, 5, 6}},
		// The first Relu of each block, and the last of each stage (the residual streams).
		{"resnet20", "Conv", []int{1, 3, 5, 6, 7, 9, 11, 12, 13, 15, 17, 18}},
	} {
		m, src := pair(b, c.pair), calibration(b, 640)
		all := realTaps(b, m, src, c.before)
		taps := slices.DeleteFunc(slices.Clone(all), func(t calibrate.Tap) bool {
			return !t.Diagonal && !slices.ContainsFunc(c.spaces, func(i int) bool { return t.Name == fmt.Sprint("space ", i) })
		})
		spaces := slices.DeleteFunc(slices.Clone(taps), func(t calibrate.Tap) bool { return t.Diagonal })
		for _, set := range []struct {
			name string
			taps []calibrate.Tap
		}{{"spaces", spaces}, {"spaces+variances", taps}} {
			for _, workers := range slices.Compact([]int{1, runtime.GOMAXPROCS(0)}) {
				b.Run(fmt.Sprintf("pair=%s/taps=%s/workers=%d/samples=640", c.pair, set.name, workers), func(b *testing.B) {
					benchmarkCapture(b, c.pair, set.taps, src, workers)
				})
			}
		}
	}
}

func benchmarkCapture(b *testing.B, name string, taps []calibrate.Tap, src calibrate.Source, workers int) {
	m, e := pair(b, name), orttest.Engine(b)
	samples := map[string][]float64{}
	for b.Loop() {
		wallF, cpuF := stopwatch(func() {
			o := calibrate.ForwardOptions{Workers: workers}
			if err := calibrate.Forward(b.Context(), e, m, src, o, func(calibrate.ForwardBatch) error { return nil }); err != nil {
				b.Fatal(err)
			}
		})
		wallC, cpuC := stopwatch(func() { capture(b, m, taps, src, calibrate.CaptureOptions{Workers: workers}) })
		for unit, x := range map[string]float64{
			"forward-ms": wallF, "capture-ms": wallC, "capture/forward": wallC / wallF,
			"forward-cpu-ms": cpuF, "capture-cpu-ms": cpuC, "cpu/cpu": cpuC / cpuF,
		} {
			samples[unit] = append(samples[unit], x)
		}
	}
	for unit, x := range samples {
		slices.Sort(x)
		b.ReportMetric(x[len(x)/2], unit)
	}
}

// stopwatch returns the milliseconds that f takes, by the clock and of this process' CPU time.
func stopwatch(f func()) (wall, cpu float64) {
	start, before := time.Now(), cpuTime()
	f()
	return time.Since(start).Seconds() * 1000, (cpuTime() - before).Seconds() * 1000
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCaptureWide takes the moments of the hidden units of two transformers' MLPs at 1,024 tokens.
func BenchmarkCaptureWide(b *testing.B) {
	m := model(17, []int64{64, 768}, map[string]*onnx.Tensor{"v": random(1, 768, 3072), "w": random(2, 768, 3072)},
		node("MatMul", "x v", "p"), node("Relu", "p", "r"), node("MatMul", "x w", "q"), node("Relu", "q", "s"), node("Add", "r s", "y"))
	tap := calibrate.Tap{Name: "units", Parts: parts(calibrate.Part{Value: "r", Axis: 2, Len: 3072}, calibrate.Part{Value: "s", Axis: 2, Len: 3072})}
	src := noise(16, 0, 64, 768)
	for b.Loop() {
		if _, err := calibrate.Capture(b.Context(), orttest.Engine(b), m, []calibrate.Tap{tap}, src, calibrate.CaptureOptions{Batch: 16}); err != nil {
			b.Fatal(err)
		}
	}
}
