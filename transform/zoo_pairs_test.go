package transform_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

// zooForm is a file of the zoo, and the weights that it was made of.
type zooForm struct{ File, Name, Weights string }

// differ lists the files that rules alone do not bring into the form of the first file of the same weights, and where
// the two first differ. Running both does (AdoptForms).
var differ = map[string]string{
	"bert-d18-a":          "sizes: one scalar, one vector",
	"bert-d18-b":          "sizes: one scalar, one vector",
	"bert-t14-static-b":   "sizes are constants, and what is computed from them",
	"bert-t14-fused-a":    "masks folded by the optimiser",
	"bert_mlm-d20-b":      "mask",
	"conv_gru-d18-a":      "one direction by Transpose and Reshape",
	"conv_gru-d18-b":      "one direction by Transpose and Reshape",
	"convnext-d18-a":      "LayerNorm2d of one position: Transpose and Reshape",
	"convnext-d18-b":      "LayerNorm2d of one position: Transpose and Reshape",
	"distilbert-d18-b":    "positions",
	"gpt-d20-a":           "causal mask",
	"gpt-d20-b":           "causal mask",
	"gpt2-d18-a":          "sizes: one scalar, one vector",
	"gpt2-d18-b":          "sizes: one scalar, one vector",
	"gpt2-d23-b":          "sizes: one scalar, one vector",
	"gpt2-t13-fused-a":    "masks folded by the optimiser",
	"hubert-d20-b":        "attention: heads joined with the batch",
	"llama-d18-b":         "sizes: one scalar, one vector",
	"swin-d18-a":          "shifted windows",
	"swin-d18-b":          "shifted windows",
	"torch_encoder-d18-b": "attention: heads joined with the batch",
	"vit-d18-a":           "attention: heads joined with the batch",
	"vit-d18-b":           "attention: heads joined with the batch",
	"vit-d20-b":           "attention: heads joined with the batch",
	"vit-d23-b":           "attention is one operator",
	"vit-d18-raw-b":       "attention: heads joined with the batch",
	"vit-d18-static-b":    "class token: sizes are constants",
	"vit-t17-static-b":    "class token: sizes are constants",
	"wav2vec2-d18-a":      "attention: heads joined with the batch",
	"wav2vec2-d18-b":      "attention: heads joined with the batch",
}

// rounded lists the files that correspond to the end, but whose weights an exporter had folded or rounded in
// another way: they are equal up to rounding; or that have the same weights behind a normalisation of their own.
var rounded = map[string]bool{
	"resnet18-t13-kept-a": true, "resnet18-t13-kept-b": true, "mobilenet_v2-t13-kept-b": true, "unet-t13-kept-b": true,
	"resnet18-t13-norm-a": true, "resnet18-t13-norm-b": true,
	"autoencoder-d18-a": true, "autoencoder-d18-b": true, // a BatchNorm behind a transposed convolution
	"wav2vec2-d18-a": true, "wav2vec2-d18-b": true, "hubert-d20-b": true, // a normalised weight, folded
	"norm_free-d18-a": true, "norm_free-d18-b": true, // filters that are standardised, folded
	"resnet18-d18-raw-b": true, "mlp_norm-d20-a": true, "mlp_norm-d20-b": true,
}

// The same weights, written by another exporter, for another opset, optimised, shuffled or with leftovers, are
// the same network node by node; what was raised to another opset computes the same.
func TestZooForms(t *testing.T) {
	dir := filepath.Join(onnxtest.Root(t), "testdata", "zoo")
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Models []zooForm }
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	first := map[string]*onnx.Model{}
	exporters, byRules := 0, 0 // pairs of the two exporters of PyTorch
	for _, form := range manifest.Models {
		m := zooModel(t, form.Name)
		base := first[form.Weights]
		if base == nil {
			first[form.Weights] = m
			continue
		}
		t.Run(form.Name, func(t *testing.T) { checkForm(t, form.Name, base, m) })
		if strings.Contains(form.Name, "-d") && !strings.Contains(form.Name, "f16") {
			exporters++
			if differ[form.Name] == "" {
				byRules++
			}
		}
	}
	t.Logf("%d files of the dynamo exporter correspond to the end with TorchScript's, %d of them by rules alone", exporters, byRules)
}

func checkForm(t *testing.T, name string, base, m *onnx.Model) {
	p, err := transform.Prepare([]*onnx.Model{base, m}, transform.PrepareOptions{Heads: []string{"a", "b"}})
	if err != nil {
		if code := fault.As(err).Code; code != "mixed_precision" && code != "quantized_model" && code != "optimized_model" {
			t.Fatal(err)
		}
		return
	}
	if d := p.Sources.Pairing.First; (d != nil) != (differ[name] != "") {
		if d != nil {
			t.Fatalf("%d nodes correspond, then: %s", len(p.Sources.Pairing.Nodes), d.Why)
		}
		t.Fatal("corresponds to the end: take it off the list")
	}
	if p.FormsDiffer() != (differ[name] != "") {
		t.Errorf("weights could correspond that do not: %v", p.FormsDiffer())
	}
	if err := p.AdoptForms(t.Context(), engine(t)); err != nil {
		t.Fatal(err)
	}
	if d := p.Sources.Pairing.First; d != nil {
		t.Fatalf("%d nodes correspond in one form, then: %s", len(p.Sources.Pairing.Nodes), d.Why)
	}
	trunk := findTrunk(t, p, merge.Cut{})
	if trunk.Exact == rounded[name] {
		t.Errorf("exact: %v", trunk.Exact)
	}
	if p.Forms != nil { // one form of one network: zipped, both heads are what they were
		checkSame(t, m, p.Sources.Models[1].Model)
		newChecker(t, engine(t), p, zooFeeds(m)).check(t, p, build(t, p, trunk, full(t, p, trunk)), 1e-5)
	}
	for i, original := range []*onnx.Model{base, m} {
		if side := p.Sources.Models[i].Model; side.Opset("") != original.Opset("") {
			checkSame(t, original, side)
		}
	}
}

// zooFeeds are random inputs; ids and masks are zeros and ones.
func zooFeeds(m *onnx.Model) map[string]*onnx.Tensor {
	sizes := map[string]int64{"batch": 2, "N": 2, "sequence": 7, "height": 32, "width": 32, "samples": 400}
	feeds := onnxtest.Feeds(m, 5, sizes)
	for name, v := range feeds {
		if v.DType.IsInt() {
			feeds[name] = onnx.NewTensor(v.DType, v.Dims...)
			for k := range v.Len() {
				if k%7 < 4 {
					feeds[name].Raw[k*v.DType.Size()] = 1
				}
			}
		}
	}
	return feeds
}

// checkSame runs a model and its raised form.
func checkSame(t *testing.T, original, raised *onnx.Model) {
	t.Helper()
	feeds := zooFeeds(original)
	want, got := run(t, engine(t), original, feeds), run(t, engine(t), raised, feeds)
	for name := range want {
		if d := deviation(got[name], want[name]); !(d <= 1e-5) {
			t.Errorf("opset %d to %d: output %q deviates by %.2g", original.Opset(""), raised.Opset(""), name, d)
		}
	}
}
