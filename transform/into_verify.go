package transform

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/attach"
)

// Verify checks a written and reloaded file: every node and tensor of the untouched heads has the bytes that it had,
// and their outputs, at several batch sizes and with optimisations off and on, are the old file's bit for bit; new
// heads compute what was fitted, and what their models compute where they must be equal; nothing is NaN or infinite.
// The error, of kind fault.Verification, names the first check that failed.
func (in *Into) Verify(ctx context.Context, e calibrate.Engine, file *onnx.Model, res *IntoResult, src calibrate.Source) ([]Check, error) {
	v := &verifier{p: &Prepared{Precision: in.precision}, e: e, file: file, src: src}
	if err := in.verifyBytes(v); err != nil {
		return nil, err
	}
	if err := in.verifyTypes(file); err != nil {
		return nil, err
	}
	for _, batch := range v.batches() {
		if err := in.verifyRuns(ctx, v, res, batch); err != nil {
			return v.checks, err
		}
	}
	return v.checks, v.failed()
}

// verifyBytes compares nodes and tensors.
func (in *Into) verifyBytes(v *verifier) error {
	for _, head := range in.Untouched {
		outputs := attach.Outputs(in.File, head)
		if now := attach.Outputs(v.file, head); !slices.Equal(now, outputs) {
			return fault.New(fault.Verification, "output_changed", "head %s has the outputs %v, and had %v", head, now, outputs)
		}
		n, difference, err := attach.Same(in.File, v.file, outputs)
		if err != nil {
			return fault.Wrap(fault.Verification, "invalid_file", err, "the written file is invalid")
		}
		c := Check{Name: fmt.Sprintf("head %s with its trunk, %d nodes, byte for byte", head, n), Passed: difference == "", Output: difference}
		if !c.Passed {
			c.Deviation = math.Inf(1)
			return fault.New(fault.Verification, "head_changed", "head %s was to stay as it was, but differs: %s", head, difference)
		}
		v.checks = append(v.checks, c)
	}
	return nil
}

// verifyTypes compares the new heads' declared outputs with their models'.
func (in *Into) verifyTypes(file *onnx.Model) error {
	ix, err := onnx.NewIndex(file.Graph())
	if err != nil {
		return fault.Wrap(fault.Verification, "invalid_file", err, "the written file is invalid")
	}
	for _, h := range in.New {
		for k, want := range h.source.Index.Graph.GetOutput() {
			got := ix.Output(h.Outputs[k])
			if got == nil || !onnx.Equal(got.GetType(), want.GetType()) {
				return fault.New(fault.Verification, "output_changed", "is not declared as %q of its source", want.GetName()).AtValue(h.Outputs[k])
			}
		}
	}
	return nil
}

// verifyRuns makes all comparisons at one batch size.
func (in *Into) verifyRuns(ctx context.Context, v *verifier, res *IntoResult, batch int64) error {
	fitted := map[string]*onnx.Tensor{}
	for _, h := range in.New {
		memory := h.memory
		if in.precision.Type != onnx.Undefined { // what was fitted is rounded to the file's type
			memory = res.Model
		}
		out, err := v.outputs(ctx, memory, true, batch, nil)
		if err != nil {
			return err
		}
		for _, name := range h.Outputs {
			fitted[name] = out[name]
		}
	}
	for _, unoptimized := range []bool{true, false} {
		way := map[bool]string{true: "without optimisations", false: "optimised"}[unoptimized]
		got, err := v.outputs(ctx, v.file, unoptimized, batch, nil)
		if err != nil {
			return err
		}
		if err := finite(got); err != nil {
			return err
		}
		if len(in.Untouched) > 0 {
			old, err := v.outputs(ctx, in.File, unoptimized, batch, nil)
			if err != nil {
				return err
			}
			v.checks = append(v.checks, in.bits(fmt.Sprintf("untouched heads %s, batch %d, bit for bit", way, batch), got, old))
		}
		if len(in.New) > 0 {
			v.compare(fmt.Sprintf("new heads %s, batch %d, against memory", way, batch), got, fitted)
		}
		if unoptimized {
			if err := in.verifyExact(ctx, v, batch, got); err != nil {
				return err
			}
		}
	}
	return nil
}

// bits compares the untouched heads' outputs.
func (in *Into) bits(name string, got, want map[string]*onnx.Tensor) Check {
	c := Check{Name: name, Passed: true}
	for _, output := range attach.Outputs(in.File, in.Untouched...) {
		a, b := got[output], want[output]
		if a == nil || b == nil || a.DType != b.DType || !slices.Equal(a.Dims, b.Dims) || !bytes.Equal(a.Raw, b.Raw) {
			c.Passed, c.Output = false, output
			if a != nil && b != nil {
				c.Deviation = deviation(a, b)
			}
		}
	}
	return c
}

// verifyExact compares heads that lose nothing with their models.
func (in *Into) verifyExact(ctx context.Context, v *verifier, batch int64, got map[string]*onnx.Tensor) error {
	for _, h := range in.New {
		if !h.Exact {
			continue
		}
		out, err := v.outputs(ctx, h.Original, true, batch, h.match.Inputs)
		if err != nil {
			return err
		}
		want := map[string]*onnx.Tensor{}
		for k, o := range h.source.Index.Graph.GetOutput() {
			want[h.Outputs[k]] = out[o.GetName()]
		}
		v.compare(fmt.Sprintf("head %s, batch %d, against its source", h.Head, batch), got, want)
	}
	return nil
}
