package calibrate_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
)

type dumper struct {
	calibrate.Engine
	prefix string
	n      int
}

func (d *dumper) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	b, _ := m.Marshal()
	os.WriteFile(fmt.Sprintf("%s_%d.onnx", d.prefix, d.n), b, 0o644)
	d.n++
	return d.Engine.Open(ctx, m, o)
}

func TestDump(t *testing.T) {
	for _, p := range []string{"vgg", "resnet20"} {
		m, src := pair(t, p), calibration(t, 64)
		b, _ := m.Marshal()
		os.WriteFile("/tmp/capproto/"+p+"_plain.onnx", b, 0o644)
		taps := realTaps(t, m, src, "Conv")
		keep := []int{1, 3, 5, 6, 7, 9, 11, 12, 13, 15, 17, 18}
		taps = slices.DeleteFunc(taps, func(t calibrate.Tap) bool {
			return p == "resnet20" && !t.Diagonal && !slices.ContainsFunc(keep, func(i int) bool { return t.Name == fmt.Sprint("space ", i) })
		})
		e := &dumper{orttest.Engine(t), "/tmp/capproto/" + p + "_all", 0}
		if _, err := calibrate.Capture(t.Context(), e, m, taps, src, calibrate.CaptureOptions{}); err != nil {
			t.Fatal(err)
		}
		taps = slices.DeleteFunc(taps, func(t calibrate.Tap) bool { return t.Diagonal })
		e = &dumper{orttest.Engine(t), "/tmp/capproto/" + p + "_spaces", 0}
		if _, err := calibrate.Capture(t.Context(), e, m, taps, src, calibrate.CaptureOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
