package transform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/merge"
)

func TestZooPairsExplore(t *testing.T) {
	root := onnxtest.Root(t) + "/testdata/zoo/"
	raw := mustHave(os.ReadFile(root + "manifest.json"))
	var man struct {
		Models []struct{ File, Name, Weights, Expected string }
	}
	if err := json.Unmarshal(raw, &man); err != nil {
		t.Fatal(err)
	}
	base := map[string]string{}
	full, total := 0, 0
	for _, x := range man.Models {
		b := base[x.Weights]
		if b == "" {
			base[x.Weights] = x.File
			continue
		}
		if want := os.Getenv("ONLY"); want != "" && want != x.Name {
			continue
		}
		total++
		a, c := mustHave(onnx.Load(root+b)), mustHave(onnx.Load(root+x.File))
		p, err := transform.Prepare([]*onnx.Model{a, c}, transform.PrepareOptions{Heads: []string{"a", "b"}})
		if err != nil {
			fmt.Printf("%-28s ERR %v\n", x.Name, err)
			continue
		}
		tr, err := merge.FindTrunk(p.Sources, merge.Cut{})
		if err != nil {
			fmt.Printf("%-28s TRUNK %v\n", x.Name, err)
			continue
		}
		n0, n1 := len(p.Sources.Models[0].Index.Order), len(p.Sources.Models[1].Index.Order)
		if f := p.Sources.Pairing.First; f != nil {
			fmt.Printf("%-28s %d of %d/%d: %s\n", x.Name, len(p.Sources.Pairing.Nodes), n0, n1, f.Why)
			if os.Getenv("ONLY") != "" {
				for i, m := range p.Sources.Models {
					os.WriteFile(fmt.Sprintf("/tmp/m%d.txt", i), []byte(onnxtest.Dump(m.Model)), 0o644)
				}
			}
			continue
		}
		full++
		fmt.Printf("%-28s full, exact %v\n", x.Name, tr.Exact)
	}
	fmt.Println(full, "of", total)
}

func mustHave[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
