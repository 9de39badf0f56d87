package transform_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
)

// zooEntry is what the zoo's manifest says of a file.
type zooEntry struct {
	File     string `json:"file"`
	Expected string `json:"expected"` // "" where the network must pass
}

func zoo(t *testing.T) (dir string, entries []zooEntry) {
	t.Helper()
	dir = filepath.Join(onnxtest.Root(t), "testdata", "zoo")
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Models []zooEntry `json:"models"`
	}
	if err := json.Unmarshal(data, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Models) < 200 {
		t.Fatalf("only %d networks in the zoo", len(manifest.Models))
	}
	return dir, manifest.Models
}

// TestZoo proves the analysis on every exported network of the zoo: architectures of all families, from both of
// PyTorch's exporters and from Keras.
func TestZoo(t *testing.T) {
	e := orttest.Engine(t)
	dir, entries := zoo(t)
	for _, entry := range entries {
		t.Run(strings.TrimSuffix(entry.File, ".onnx"), func(t *testing.T) {
			m, err := onnx.Load(filepath.Join(dir, entry.File))
			if err != nil {
				t.Fatal(err)
			}
			proofs, err := transform.Prove(context.Background(), e, m, nil, 1)
			switch {
			case entry.Expected == "quantised":
				if got := fault.As(err); got == nil || got.Code != "quantized_model" {
					t.Fatalf("got %v, want it refused as quantised", err)
				}
				return
			case entry.Expected != "" && err != nil: // fused operators: expanded where that is exact, else refused
				if fault.As(err).Code != "optimized_model" {
					t.Fatalf("got %v, want it expanded, or refused as optimised", err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			if len(proofs) < 2 {
				t.Fatalf("only %d properties could be tried", len(proofs))
			}
			for _, p := range proofs {
				if !p.Passed {
					t.Errorf("%s: output %q deviates by %.2g, allowed are %.2g (space %q)", p.Name, p.Output, p.Deviation, p.Limit, p.Space)
				}
			}
		})
	}
}
