package calibrate_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
)

func TestScratchKeepsInMemoryUpToItsLimit(t *testing.T) {
	dir := t.TempDir()
	s := calibrate.NewScratch(dir, 3<<20)
	const n = 1 << 18 // 2 MiB
	var all [][]float64
	for k := range 3 {
		x, err := s.Floats(n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range x {
			if x[i] != 0 {
				t.Fatalf("matrix %d: element %d is %g", k, i, x[i])
			}
			x[i] = float64(k)
		}
		all = append(all, x)
	}
	for k, x := range all {
		if len(x) != n || x[0] != float64(k) || x[n-1] != float64(k) {
			t.Errorf("matrix %d: %d elements from %g to %g", k, len(x), x[0], x[n-1])
		}
	}
	if memory, files := s.Used(); memory != 2<<20 || files != 4<<20 {
		t.Errorf("%d bytes in memory, %d in files", memory, files)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("files with names: %v, %v", names, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestScratchWithoutRoom(t *testing.T) {
	_, err := calibrate.NewScratch(t.TempDir()+"/missing", 0).Floats(1 << 20)
	if err == nil || fault.As(err).Kind != fault.Output || fault.As(err).Code != "scratch_failed" {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestCaptureInScratch: moments are the same wherever they are kept, and what they take was foreseen.
func TestCaptureInScratch(t *testing.T) {
	m, src := pair(t, "mlp"), calibration(t, 64)
	tap := calibrate.Tap{Name: "pixels"}
	for _, v := range outputsOf(m, "Flatten", "") {
		tap.Parts = append(tap.Parts, calibrate.Part{Value: v, Axis: 1, Len: 784})
	}
	taps := append(realTaps(t, m, src, "Gemm"), tap)
	want := capture(t, m, taps, src, calibrate.CaptureOptions{})
	s := calibrate.NewScratch(t.TempDir(), 1<<20)
	defer s.Close()
	memory, files := s.Foresee(taps)
	got := capture(t, m, taps, src, calibrate.CaptureOptions{Scratch: s})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("moments in scratch space differ")
	}
	if m, f := s.Used(); m != memory || f != files || f != 8*1568*1568 {
		t.Errorf("%d and %d bytes were foreseen, %d and %d used", memory, files, m, f)
	}
}
