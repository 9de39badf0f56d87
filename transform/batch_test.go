package transform_test

import (
	"context"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
)

// Every network of the zoo that was exported for one sample at a time is proved to run any number, and a merge of
// two of them does.
func TestFixedBatchesAreFreed(t *testing.T) {
	const samples = 5 // a number that the proof does not try
	for _, name := range []string{"resnet18-t13-static-a", "resnet18-d18-static-b", "mobilenet_v2-t13-static-b",
		"vit-t17-static-b", "vit-d18-static-b", "bert-t14-static-b"} {
		t.Run(name, func(t *testing.T) {
			m := zooModel(t, name)
			free, proofs, err := transform.FreeBatches(context.Background(), engine(t), []*onnx.Model{m})
			if err != nil || len(proofs) != 1 || !proofs[0].Proved || proofs[0].Fixed != 1 {
				t.Fatalf("proofs %+v, error %v", proofs, err)
			}
			feeds := onnxtest.Feeds(free[0], 5, map[string]int64{"batch": samples})
			for in, v := range feeds {
				if v.DType.IsInt() {
					feeds[in] = onnx.FromInt64(small(v.Len()), v.Dims...)
				}
			}
			got := run(t, engine(t), free[0], feeds)["logits"]
			for k := range samples {
				one := map[string]*onnx.Tensor{}
				for in, v := range feeds {
					row := len(v.Raw) / samples
					one[in] = &onnx.Tensor{DType: v.DType, Dims: append([]int64{1}, v.Dims[1:]...), Raw: v.Raw[k*row : (k+1)*row]}
				}
				want := run(t, engine(t), m, one)["logits"]
				if d := deviation(got[k*len(want):(k+1)*len(want)], want); !(d <= 1e-5) {
					t.Errorf("sample %d: deviates by %.2g", k, d)
				}
			}
		})
	}
}

// small are token ids, and a mask that hides some.
func small(n int) []int64 {
	v := make([]int64, n)
	for k := range v {
		v[k] = int64(k*k%7) % 2
		if k%12 == 0 {
			v[k] = 1
		}
	}
	return v
}

// mixes is a network for two samples at a time that looks at both.
const mixes = `
	input x f32[BATCH,6]
	w = init f32[6,5] random(SEED1)
	h = MatMul(x, w)
	m = ReduceMean(h) {axes=[0], keepdims=1}
	d = Add(h, m)
	v = init f32[5,3] random(SEED2)
	y = MatMul(d, v)
	output y
`

// A network whose samples are not independent keeps its batch, and does not go together with one of another batch.
func TestFixedBatchesAreKept(t *testing.T) {
	build := func(batch, seed string) *onnx.Model {
		m := onnxtest.Build(t, strings.NewReplacer("BATCH", batch, "SEED", seed).Replace(mixes))
		m.File = batch + ".onnx"
		return m
	}
	two, again, four, free := build("2", "1"), build("2", "2"), build("4", "3"), build("N", "4")
	kept, proofs, err := transform.FreeBatches(context.Background(), engine(t), []*onnx.Model{two, again})
	if err != nil || kept[0] != two || kept[1] != again {
		t.Fatalf("error %v", err)
	}
	for _, p := range proofs {
		if p.Proved || p.Fixed != 2 || !strings.Contains(p.Why, "than alone") {
			t.Errorf("proof %+v", p)
		}
	}
	for _, other := range []*onnx.Model{four, free} {
		_, _, err := transform.FreeBatches(context.Background(), engine(t), []*onnx.Model{two, other})
		f := fault.As(err)
		if f == nil || f.Kind != fault.Correspondence || f.Code != "fixed_batch" || f.File != "2.onnx" || !strings.Contains(f.Message, other.File) {
			t.Errorf("with %s: error %v", other.File, err)
		}
	}
	if _, proofs, err := transform.FreeBatches(context.Background(), engine(t), []*onnx.Model{free}); err != nil || proofs != nil {
		t.Errorf("a free batch: proofs %v, error %v", proofs, err)
	}
}
