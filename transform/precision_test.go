package transform_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
)

// zooModel loads a model of testdata/zoo.
func zooModel(t testing.TB, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(onnxtest.Root(t) + "/testdata/zoo/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// typed are the samples in another floating type.
type typed struct {
	samples
	dtype onnx.DType
}

func (s typed) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	batch := s.batch(from, to)
	for name, t := range batch {
		v, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		batch[name] = onnx.FromFloat64(s.dtype, v, t.Dims...)
	}
	return batch, nil
}

// Half precision is merged in float32 and written back: weights, inputs and outputs as the sources', without
// Casts.
func TestMergeHalfPrecision(t *testing.T) {
	for _, c := range []struct {
		name, a, b, method string
		dtype              onnx.DType
		dims               []int64
	}{
		{"same weights, other exporter and opset", "resnet18-t13-f16-b", "resnet18-d18-f16-b", "best", onnx.Float16, []int64{3, 32, 32}},
		{"zip", "resnet18-t13-f16-a", "resnet18-t13-f16-b", "zip", onnx.Float16, []int64{3, 32, 32}},
		{"least squares", "resnet18-t13-f16-a", "resnet18-d18-f16-b", "best", onnx.Float16, []int64{3, 32, 32}},
		{"side by side", "resnet18-t13-f16-a", "resnet18-d18-f16-b", "ensemble", onnx.Float16, []int64{3, 32, 32}},
		{"bfloat16", "mlp-d20-bf16-a", "mlp-d20-bf16-b", "zip", onnx.BFloat16, []int64{1, 14, 14}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prepare(t, zooModel(t, c.a), zooModel(t, c.b))
			settings, err := transform.Preset(c.method)
			if err != nil {
				t.Fatal(err)
			}
			data := typed{randomSamples(64, "input", c.dims...), c.dtype}
			res, err := p.Merge(context.Background(), engine(t), data, transform.Options{Settings: settings})
			if err != nil {
				t.Fatal(err)
			}
			checkTypes(t, res.Model, c.dtype)
			checks, err := p.Verify(context.Background(), engine(t), res.Model, res, data)
			if err != nil {
				t.Error(err)
			}
			// ONNX Runtime has no kernels for bfloat16 on the CPU, which the check's name says.
			inFloat32 := slices.ContainsFunc(checks, func(c transform.Check) bool { return strings.Contains(c.Name, "in float32") })
			if inFloat32 != (c.dtype == onnx.BFloat16) {
				t.Errorf("checks: %+v", checks)
			}
		})
	}
}

func checkTypes(t *testing.T, m *onnx.Model, want onnx.DType) {
	t.Helper()
	for _, v := range append(m.Graph().GetInput(), m.Graph().GetOutput()...) {
		if dtype, _, _ := onnx.TensorType(v); dtype != want {
			t.Errorf("%s is %v", v.GetName(), dtype)
		}
	}
	for _, w := range m.Graph().GetInitializer() {
		if dtype := onnx.DType(w.GetDataType()); dtype.IsFloat() && dtype != want {
			t.Errorf("%s is %v", w.GetName(), dtype)
		}
	}
	for _, n := range m.Graph().GetNode() {
		if n.GetOpType() == "Cast" {
			t.Errorf("a Cast is left: %s", onnx.NodeName(n))
		}
	}
}

func TestMixedPrecisionIsRefused(t *testing.T) {
	_, err := transform.Prepare([]*onnx.Model{zooModel(t, "resnet18-t13-a"), zooModel(t, "resnet18-t13-f16-b")},
		transform.PrepareOptions{Heads: []string{"a", "b"}})
	if e := fault.As(err); e == nil || e.Code != "mixed_precision" || e.Kind != fault.Unsupported || e.File == "" {
		t.Errorf("got %v", err)
	}
}
