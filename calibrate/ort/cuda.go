//go:build cgo

package ort

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	ort "github.com/yalue/onnxruntime_go"
)

// useCUDA moves e to a CUDA device, after running one node there. Nothing less tells that CUDA works: the
// binding makes provider options, and ONNX Runtime makes sessions for the CPU, in silence where the
// provider, the driver or the device is missing. Where it fails, e stays on the CPU.
func (e *Engine) useCUDA(index int) error {
	if !e.lib.HasCUDA {
		return cudaMissing(e.lib, nil)
	}
	cuda := &Engine{lib: e.lib, device: device{cuda: true, index: index}}
	if err := runProbe(context.Background(), cuda); err != nil {
		return cudaMissing(e.lib, err)
	}
	e.device = cuda.device
	return nil
}

// cudaMissing says where the provider was looked for, or what it said.
func cudaMissing(lib ortlib.Library, cause error) error {
	if cause == nil {
		return fault.New(fault.Runtime, "cuda_missing", "there is no CUDA provider in %s", lib.CUDADir).
			WithHint("use --device cpu, or give `onnx-zip setup --from` a wheel of onnxruntime-gpu")
	}
	var e *fault.Error
	if errors.As(cause, &e) && e.Err != nil {
		cause = e.Err // the library's own words are enough
	}
	e = fault.Wrap(fault.Runtime, "cuda_missing", cause, "the CUDA provider in %s does not work", lib.CUDADir)
	if strings.Contains(cause.Error(), "cannot open shared object file") {
		return e.WithHint("install CUDA and cuDNN in the versions that ONNX Runtime %s asks for, or use --device cpu", lib.Version)
	}
	return e.WithHint("look at `nvidia-smi`, or use --device cpu")
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
