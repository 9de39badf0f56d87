package transform_test

import (
	"fmt"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// BenchmarkPrepare is all that happens before anything is measured: two loaded models become one prepared pair, by
// rules (forms=rules), and by running them where these leave them apart (forms=run). nodes are those of the first file.
func BenchmarkPrepare(b *testing.B) {
	for _, c := range []struct {
		network, a, b string
		run           bool
	}{
		{"resnet18", "resnet18-t13-a", "resnet18-t13-b", false},
		{"gpt2", "gpt2-t13-a", "gpt2-t13-b", false},
		{"swin", "swin-t17-a", "swin-t17-b", false},
		{"gpt2", "gpt2-t13-a", "gpt2-d18-b", true},
		{"swin", "swin-t17-a", "swin-d18-b", true},
	} {
		models := []*onnx.Model{zooModel(b, c.a), zooModel(b, c.b)}
		forms := map[bool]string{false: "rules", true: "run"}[c.run]
		b.Run(fmt.Sprintf("network=%s/nodes=%d/forms=%s", c.network, len(models[0].Graph().GetNode()), forms), func(b *testing.B) {
			for b.Loop() {
				p, err := transform.Prepare(models, transform.PrepareOptions{Heads: []string{"a", "b"}})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.AdoptForms(b.Context(), engine(b)); err != nil {
					b.Fatal(err)
				}
				if (p.Forms != nil) != c.run || p.Sources.Pairing.First != nil {
					b.Fatalf("forms %v, difference %v", p.Forms, p.Sources.Pairing.First)
				}
			}
		})
	}
}
