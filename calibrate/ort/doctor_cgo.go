//go:build cgo

package ort

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func (r *Report) examine(ctx context.Context, o Options) {
	o.Device = "cpu"
	e, err := Open(o)
	if err != nil {
		r.Err = err
		return
	}
	r.Library = e.Library()
	if r.Err = runProbe(ctx, e); r.Err != nil {
		return
	}
	r.Providers = append(r.Providers, "CPU")
	if err := e.useCUDA(0); err != nil {
		r.NoCUDA = err.Error()
		return
	}
	r.Providers = append(r.Providers, "CUDA")
}

// runProbe runs one node on e's device.
func runProbe(ctx context.Context, e *Engine) error {
	s, err := e.Open(ctx, probeModel(), calibrate.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.Run(ctx, map[string]*onnx.Tensor{"x": onnx.FromFloat32([]float32{1}, 1)})
	return err
}

// probeModel is y = x·x: a node that every provider has a kernel for.
func probeModel() *onnx.Model {
	g := graphOf("probe",
		[]*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, onnx.Static(1))},
		[]*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, onnx.Static(1))},
		onnx.NewNode("Mul", "mul", []string{"x", "x"}, []string{"y"}))
	return modelOf(g, 8, 13)
}
