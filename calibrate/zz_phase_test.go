package calibrate_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
)

type timer struct{ calibrate.Engine }
type timedSession struct {
	calibrate.Session
	times []float64
}

func (d *timer) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	t := time.Now()
	s, err := d.Engine.Open(ctx, m, o)
	fmt.Printf("open %.1f ms ", time.Since(t).Seconds()*1e3)
	return &timedSession{Session: s}, err
}

func (s *timedSession) Run(ctx context.Context, f map[string]*onnx.Tensor) (map[string]*onnx.Tensor, error) {
	t := time.Now()
	o, err := s.Session.Run(ctx, f)
	s.times = append(s.times, time.Since(t).Seconds()*1e3)
	return o, err
}
func (s *timedSession) Close() error {
	slices.Sort(s.times)
	fmt.Printf(" runs %d min %.1f med %.1f max %.1f\n", len(s.times), s.times[0], s.times[len(s.times)/2], s.times[len(s.times)-1])
	return s.Session.Close()
}

func TestPhase(t *testing.T) {
	for _, p := range []string{"vgg", "resnet20"} {
		m, src := pair(t, p), calibration(t, 640)
		taps := realTaps(t, m, src, "Conv")
		keep := []int{1, 3, 5, 6, 7, 9, 11, 12, 13, 15, 17, 18}
		taps = slices.DeleteFunc(taps, func(t calibrate.Tap) bool {
			return p == "resnet20" && !t.Diagonal && !slices.ContainsFunc(keep, func(i int) bool { return t.Name == fmt.Sprint("space ", i) })
		})
		e := &timer{orttest.Engine(t)}
		for range 2 {
			t0 := time.Now()
			calibrate.Forward(t.Context(), e, m, src, calibrate.ForwardOptions{Workers: 1}, func(calibrate.ForwardBatch) error { return nil })
			fmt.Println(p, "forward", time.Since(t0))
			for _, b := range []int{16, 32, 64} {
				t0 = time.Now()
				if _, err := calibrate.Capture(t.Context(), e, m, taps, src, calibrate.CaptureOptions{Workers: 1, Batch: b}); err != nil {
					t.Fatal(err)
				}
				fmt.Println(p, "capture", b, time.Since(t0))
			}
		}
	}
}
