package ort_test

import (
	"context"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/sbinet/npyio/npz"
)

const modelPath = "../../testdata/models/fmnist_mlp_a.onnx"

func TestRealModel(t *testing.T) {
	m, err := onnx.Load(modelPath)
	if err != nil {
		t.Fatal(err)
	}
	s, err := orttest.Engine(t).Open(context.Background(), m, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := npz.Open("../../testdata/models/fmnist_calib.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Log(f.Keys(), f.Header(f.Keys()[0]))
	out, err := s.Run(context.Background(), map[string]*onnx.Tensor{"input": onnx.NewTensor(onnx.Float, 3, 1, 28, 28)})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(out["logits"].Dims)
	t.Log(out["logits"].Float64s())
	_ = os.Args
}
