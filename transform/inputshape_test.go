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

func shaped(input string, sizes ...int64) []transform.InputShape {
	return []transform.InputShape{{Input: input, Dims: onnx.Static(sizes...)}}
}

// Networks that take any size take another, for every model at once; the batch stays free.
func TestReshapeInputs(t *testing.T) {
	models := []*onnx.Model{zooModel(t, "resnet18-t13-a"), zooModel(t, "resnet18-t13-b"), zooModel(t, "resnet18-t13-static-b")}
	out, changes, err := transform.ReshapeInputs(models, transform.PrepareOptions{Heads: []string{"a", "b", "c"}}, shaped("input", -1, 3, 48, 40))
	if err != nil {
		t.Fatal(err)
	}
	var now []string
	for _, c := range changes {
		now = append(now, c.Was+" "+c.Now)
	}
	if want := []string{"batch,3,32,32 batch,3,48,40", "batch,3,32,32 batch,3,48,40", "1,3,32,32 1,3,48,40"}; !slices.Equal(now, want) {
		t.Errorf("changes %q, want %q", now, want)
	}
	if err := transform.CheckReshaped(context.Background(), engine(t), out); err != nil {
		t.Error(err)
	}
	got := run(t, engine(t), out[0], map[string]*onnx.Tensor{"input": onnxtest.Random(1, onnx.Float, 2, 3, 48, 40)})
	if len(got["logits"]) != 2*7 {
		t.Errorf("%d logits of two samples", len(got["logits"]))
	}
	if _, dims, _ := onnx.TensorType(models[0].Graph().GetInput()[0]); dims[2].Size != 32 {
		t.Error("the model given was changed")
	}
	segments, _, err := transform.ReshapeInputs([]*onnx.Model{zooModel(t, "unet-t13-a")}, transform.PrepareOptions{}, shaped("input", -1, 3, 64, 48))
	if err != nil {
		t.Fatal(err)
	}
	if _, dims, _ := onnx.TensorType(segments[0].Graph().GetOutput()[0]); dims[2].Size != 64 || dims[3].Size != 48 {
		t.Errorf("the output is declared as %v", dims)
	}
}

// A size that is written into a model is found, and the node that holds it named.
func TestReshapeInputsRefuses(t *testing.T) {
	for _, c := range []struct {
		model string
		shape []transform.InputShape
		kind  fault.Kind
		node  string
	}{
		{"vgg-t11-a", shaped("input", -1, 3, 112, 112), fault.Unsupported, "/classifier/classifier.0/Gemm"}, // a Flatten before it
		{"vit-t17-a", shaped("input", -1, 3, 96, 96), fault.Unsupported, "/encoder/Add"},                    // positions
		{"vit-d18-a", shaped("input", -1, 3, 96, 96), fault.Unsupported, "node_Reshape_223"},                // [-1, 24, 16]
		{"swin-d18-a", shaped("input", -1, 3, 96, 96), fault.Unsupported, "node_Reshape_1176"},
		{"vit-t17-a", shaped("image", -1, 3, 96, 96), fault.Usage, ""},
		{"vit-t17-a", shaped("input", 3, 96, 96), fault.Usage, ""},
	} {
		m := zooModel(t, c.model)
		m.File = "m.onnx"
		_, _, err := transform.ReshapeInputs([]*onnx.Model{m}, transform.PrepareOptions{}, c.shape)
		if f := fault.As(err); f == nil || f.Kind != c.kind || f.Node != c.node || f.File != "m.onnx" || f.Hint == "" {
			t.Errorf("%s: error %+v, want it at node %q", c.model, err, c.node)
		}
	}
}

const anySize = `
	input x f32[N,2,SIZE,SIZE]
	w = init f32[5,2,1,1] random(SEED1)
	h = Conv(x, w)
	r = Relu(h)
	g = GlobalAveragePool(r)
	f = Flatten(g)
	v = init f32[3,5] random(SEED2)
	y = Gemm(f, v) {transB=1}
	output y
`

// Sizes that differ are refused with both files named and the way out, and that way works.
func TestSizesThatDiffer(t *testing.T) {
	var models []*onnx.Model
	for _, c := range [][2]string{{"8", "1"}, {"12", "3"}} {
		m := onnxtest.Build(t, strings.NewReplacer("SIZE", c[0], "SEED", c[1]).Replace(anySize))
		m.File = c[0] + ".onnx"
		models = append(models, m)
	}
	o := transform.PrepareOptions{Heads: []string{"a", "b"}}
	_, err := transform.Prepare(models, o)
	f := fault.As(err)
	if f == nil || f.Kind != fault.Correspondence || !strings.Contains(f.Message, "8.onnx") || !strings.Contains(f.Message, "12.onnx") ||
		!strings.Contains(f.Hint, "--input-shape x=N,2,8,8") {
		t.Fatalf("error %v, hint %q", err, f.Hint)
	}
	same, _, err := transform.ReshapeInputs(models, o, shaped("x", -1, 2, 12, 12))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transform.Prepare(same, o); err != nil {
		t.Error(err)
	}
	// scaled to its own size, an even picture stays what it is
	scaled := transform.Resampled(models[0], same[0])
	if scaled == nil {
		t.Fatal("an image cannot be scaled")
	}
	own := run(t, engine(t), models[0], map[string]*onnx.Tensor{"x": even(1.5, 2, 2, 8, 8)})
	got := run(t, engine(t), scaled, map[string]*onnx.Tensor{"x": even(1.5, 2, 2, 12, 12)})
	if d := deviation(got["y"], own["y"]); !(d <= 1e-6) {
		t.Errorf("deviates by %.2g", d)
	}
}

// even is a tensor of one value.
func even(v float64, dims ...int64) *onnx.Tensor {
	t := onnx.NewTensor(onnx.Float, dims...)
	values := make([]float64, t.Len())
	for k := range values {
		values[k] = v
	}
	return onnx.FromFloat64(onnx.Float, values, dims...)
}
