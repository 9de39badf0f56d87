//go:build cgo

package ort

import (
	"strconv"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

// probeCUDA runs one node on the device. Nothing less tells that CUDA works: the binding makes provider
// options, and ONNX Runtime makes sessions for the CPU, in silence where the provider, the driver or the
// device is missing.
func probeCUDA(lib ortlib.Library, index int) error {
	if !lib.HasCUDA {
		return cudaMissing(lib, nil)
	}
	options, err := sessionOptions(device{cuda: true, index: index}, probeOptions)
	if err != nil {
		return cudaMissing(lib, err)
	}
	defer options.Destroy()
	data, err := probeModel().Marshal()
	if err != nil {
		return err
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(data, []string{"x"}, []string{"y"}, options)
	if err != nil {
		return cudaMissing(lib, err)
	}
	defer s.Destroy()
	x, err := ort.NewTensor(ort.NewShape(1), []float32{1})
	if err != nil {
		return cudaMissing(lib, err)
	}
	defer x.Destroy()
	outputs := make([]ort.Value, 1)
	if err := s.Run([]ort.Value{x}, outputs); err != nil {
		return cudaMissing(lib, err)
	}
	return outputs[0].Destroy()
}

// probeModel is y = x·x: a node that the CUDA provider has a kernel for.
func probeModel() *onnx.Model {
	g := graphOf("probe",
		[]*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, onnx.Static(1))},
		[]*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, onnx.Static(1))},
		onnx.NewNode("Mul", "mul", []string{"x", "x"}, []string{"y"}))
	return modelOf(g, 8, 13)
}

// cudaMissing says where the provider was looked for, or what it said.
func cudaMissing(lib ortlib.Library, cause error) error {
	e := fault.New(fault.Runtime, "cuda_missing", "there is no CUDA provider in %s", lib.CUDADir)
	if cause != nil {
		e = fault.Wrap(fault.Runtime, "cuda_missing", cause, "the CUDA provider in %s does not work", lib.CUDADir)
	}
	return e.WithHint("use --device cpu, or install the library with its CUDA provider: " +
		"`onnx-zip setup --from onnxruntime_gpu-" + ortlib.Version + "-….whl`")
}

// appendCUDA makes the session use the device. Without the error check the same options would make a
// session for the CPU.
func appendCUDA(options *ort.SessionOptions, index int) error {
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return err
	}
	defer cuda.Destroy()
	if err := cuda.Update(map[string]string{
		"device_id": strconv.Itoa(index),
		"use_tf32":  "0", // the default loses three digits
	}); err != nil {
		return err
	}
	return options.AppendExecutionProviderCUDA(cuda)
}
