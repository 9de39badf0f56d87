//go:build cgo

package ort_test

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/sbinet/npyio/npz"
)

const models = "../../testdata/models"

func realModel(t testing.TB) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(filepath.Join(models, "fmnist_mlp_a.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var loadImages = sync.OnceValues(func() ([]float32, error) {
	f, err := npz.Open(filepath.Join(models, "fmnist_calib.npz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []float32
	err = f.Read("input.npy", &all)
	return all, err
})

// images returns the first n calibration images.
func images(t testing.TB, n int) map[string]*onnx.Tensor {
	t.Helper()
	all, err := loadImages()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*onnx.Tensor{"input": onnx.FromFloat32(all[:n*28*28], int64(n), 1, 28, 28)}
}

func TestRealModelIsTheSameEveryWay(t *testing.T) {
	m := realModel(t)
	before := m.Clone()
	feeds := images(t, 64)
	want := run(t, open(t, m, calibrate.SessionOptions{Threads: 1}), feeds)["logits"]
	for name, o := range map[string]calibrate.SessionOptions{
		"one thread again": {Threads: 1},
		"unoptimised":      {Threads: 1, Unoptimized: true},
		"two threads":      {Threads: 2},
		"the default":      {},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, open(t, m, o), feeds)["logits"]
			if o.Threads == 1 && !o.Unoptimized && !bytes.Equal(got.Raw, want.Raw) {
				t.Error("one thread gave two results")
			}
			if d := distance(t, got, want); d > 1e-5 {
				t.Errorf("differs by %g", d)
			}
		})
	}
	if !onnx.Equal(m.Proto, before.Proto) {
		t.Error("Open has changed the model")
	}
}

// distance is the largest difference relative to the largest element.
func distance(t testing.TB, a, b *onnx.Tensor) float64 {
	t.Helper()
	x, errX := a.Float64s()
	y, errY := b.Float64s()
	if errX != nil || errY != nil || len(x) != len(y) {
		t.Fatal(errX, errY, len(x), len(y))
	}
	var diff, scale float64
	for i := range x {
		diff, scale = max(diff, math.Abs(x[i]-y[i])), max(scale, math.Abs(y[i]))
	}
	return diff / max(scale, math.SmallestNonzeroFloat64)
}

func TestDynamicBatch(t *testing.T) {
	s := open(t, realModel(t), calibrate.SessionOptions{Threads: 1})
	all := run(t, s, images(t, 7))["logits"]
	for _, n := range []int{1, 2, 7} {
		got := run(t, s, images(t, n))["logits"]
		if got.Dims[0] != int64(n) || got.Dims[1] != 5 {
			t.Fatalf("batch %d gave %v", n, got.Dims)
		}
		part := &onnx.Tensor{DType: all.DType, Dims: got.Dims, Raw: all.Raw[:len(got.Raw)]}
		if d := distance(t, got, part); d > 1e-5 {
			t.Errorf("batch %d differs from batch 7 by %g", n, d)
		}
	}
}

func TestConcurrentRuns(t *testing.T) {
	s := open(t, realModel(t), calibrate.SessionOptions{Threads: 1})
	want := run(t, s, images(t, 16))["logits"]
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				got, err := s.Run(context.Background(), images(t, 16))
				if err != nil {
					t.Error(err)
				} else if !bytes.Equal(got["logits"].Raw, want.Raw) {
					t.Error("another result at the same time")
				}
			}
		})
	}
	wg.Wait()
}

func TestCloseWaitsForRuns(t *testing.T) {
	s := open(t, realModel(t), calibrate.SessionOptions{Threads: 1})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				if _, err := s.Run(context.Background(), images(t, 8)); err != nil {
					if !strings.Contains(err.Error(), "closed") {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error("closing twice:", err)
	}
}

func TestProfileGetsItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.json")
	s, err := orttest.Engine(t).Open(context.Background(), realModel(t), calibrate.SessionOptions{ProfilePath: path})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, images(t, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) != 1 || files[0] != path {
		t.Errorf("%v %v", files, err)
	}
}

func TestModelTooLargeForOneMessage(t *testing.T) {
	feeds := images(t, 4)
	want := run(t, open(t, realModel(t), calibrate.SessionOptions{Threads: 1}), feeds)["logits"]
	defer ort.SetMaxMessage(1000)()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	s := open(t, realModel(t), calibrate.SessionOptions{Threads: 1})
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := run(t, s, feeds)["logits"]; !bytes.Equal(got.Raw, want.Raw) {
		t.Error("by path and by bytes differ")
	}
}

func TestName(t *testing.T) {
	name := orttest.Engine(t).Name()
	if !strings.HasPrefix(name, "ONNX Runtime 1.") || !strings.HasSuffix(name, ", CPU") {
		t.Errorf("%q", name)
	}
}
