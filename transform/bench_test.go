package transform_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
)

// BenchmarkMerge compares a whole merge with a plain forward pass of both models, side by side, over the same
// 640 images with the same workers, the two in turn. All figures are medians over the iterations:
//
//	forward-ms, merge-ms    without the opening of sessions, wall clock
//	merge/forward           the median ratio of the two, within an iteration
//	cpu/cpu                 the same of CPU times, which other programs disturb less
//	fixed-ms                loading, analysing, opening all sessions, and verifying the result
//	sessions                opened by the merge
//	<stage>-ms              stages of the merge, the opening of their sessions included
func BenchmarkMerge(b *testing.B) {
	for _, pair := range []string{"resnet20", "vgg"} {
		for _, refit := range []string{"none", "repair", "ls"} {
			for _, workers := range slices.Compact([]int{1, runtime.GOMAXPROCS(0)}) {
				b.Run(fmt.Sprintf("pair=%s/refit=%s/workers=%d/samples=640", pair, refit, workers), func(b *testing.B) {
					benchmarkMerge(b, pair, refit, workers)
				})
			}
		}
	}
}

func benchmarkMerge(b *testing.B, pair, refit string, workers int) {
	e := &meteredEngine{Engine: orttest.Engine(b)}
	settings, err := transform.Preset("zip")
	require(b, err)
	settings.Refit = refit
	figures := map[string][]float64{}
	note := func(unit string, x float64) { figures[unit] = append(figures[unit], x) }
	for b.Loop() {
		start := time.Now()
		p, src := benchPair(b, pair)
		loading := time.Since(start)

		side, err := p.SideBySide(nil)
		require(b, err)
		forward, forwardCPU := e.run(func() {
			require(b, calibrate.Forward(b.Context(), e, side.Model, src, calibrate.ForwardOptions{Workers: workers}, func(calibrate.ForwardBatch) error { return nil }))
		})
		sessions, before := e.sessions, e.opening
		var res *transform.Result
		merging, mergeCPU := e.run(func() {
			res, err = p.Merge(b.Context(), e, src, transform.Options{Settings: settings, Workers: workers})
			require(b, err)
		})
		note("sessions", float64(e.sessions-sessions))
		opened := e.opening - before

		start = time.Now()
		_, err = p.Verify(b.Context(), e, res.Model, res, src)
		require(b, err)
		note("fixed-ms", ms(loading+opened+time.Since(start)))
		note("forward-ms", ms(forward))
		note("merge-ms", ms(merging))
		note("merge/forward", merging.Seconds()/forward.Seconds())
		note("cpu/cpu", mergeCPU.Seconds()/forwardCPU.Seconds())
		for stage, seconds := range res.Report.Seconds {
			note(stage+"-ms", 1000*seconds)
		}
	}
	for unit, x := range figures {
		slices.Sort(x)
		b.ReportMetric(x[len(x)/2], unit)
	}
}

// benchPair loads and prepares a pair of real models with 640 images for calibration.
func benchPair(b *testing.B, pair string) (*transform.Prepared, calibrate.Source) {
	folder := filepath.Join(onnxtest.Root(b), "testdata", "models")
	var models []*onnx.Model
	for _, half := range []string{"a", "b"} {
		m, err := onnx.Load(filepath.Join(folder, "fmnist_"+pair+"_"+half+".onnx"))
		require(b, err)
		models = append(models, m)
	}
	p, err := transform.Prepare(models, transform.PrepareOptions{})
	require(b, err)
	file, err := data.Open(filepath.Join(folder, "fmnist_calib.npz"), data.Options{})
	require(b, err)
	inputs, err := data.Inputs(models[0])
	require(b, err)
	src, err := file.Bind(inputs)
	require(b, err)
	if src.Samples() != 640 {
		b.Fatalf("%d calibration images", src.Samples())
	}
	return p, src
}

func require(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// meteredEngine counts sessions, and the time and CPU time that opening them takes. Sessions are opened one
// at a time, while nothing else runs.
type meteredEngine struct {
	calibrate.Engine
	sessions            int
	opening, openingCPU time.Duration
}

func (e *meteredEngine) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	start, before := time.Now(), cpuTime()
	s, err := e.Engine.Open(ctx, m, o)
	e.sessions++
	e.opening += time.Since(start)
	e.openingCPU += cpuTime() - before
	return s, err
}

// run returns the wall clock and the CPU time of f, without the opening of sessions.
func (e *meteredEngine) run(f func()) (wall, cpu time.Duration) {
	opening, openingCPU := e.opening, e.openingCPU
	start, before := time.Now(), cpuTime()
	f()
	return time.Since(start) - (e.opening - opening), cpuTime() - before - (e.openingCPU - openingCPU)
}

// cpuTime is the CPU time that the process has taken so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
