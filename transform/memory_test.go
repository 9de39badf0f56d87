package transform_test

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// TestPreparedModelsShareWeights: bringing models to their common form copies no weight that it does not change, so that
// the sources are in memory once.
func TestPreparedModelsShareWeights(t *testing.T) {
	text := `
	input x f32[N,16]
	w = init f32[64,16] random(SEED)
	a = Gemm(x, w) {transB=1}
	r = Relu(a)
	v = init f32[64,64] random(2)
	b = Gemm(r, v) {transB=1}
	s = Relu(b)
	o = init f32[3,64] random(3)
	logits = Gemm(s, o) {transB=1}
	output logits f32[N,3]`
	models := []*onnx.Model{onnxtest.Build(t, strings.ReplaceAll(text, "SEED", "1")), onnxtest.Build(t, strings.ReplaceAll(text, "SEED", "4"))}
	p := prepare(t, models...)
	for i, m := range models {
		bytes := map[*byte]bool{}
		for _, w := range m.Graph().GetInitializer() {
			bytes[&w.GetRawData()[0]] = true
		}
		for _, w := range p.Sources.Models[i].Model.Graph().GetInitializer() {
			if len(w.GetDims()) == 2 && !bytes[&w.GetRawData()[0]] {
				t.Errorf("model %d: weight %q was copied", i, w.GetName())
			}
		}
	}
}
