package transform_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// inOneForm prepares two models of the zoo and lets them be run where rules leave them in different forms.
func inOneForm(t *testing.T, a, b *onnx.Model) *transform.Prepared {
	t.Helper()
	p, err := transform.Prepare([]*onnx.Model{a, b}, transform.PrepareOptions{Heads: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AdoptForms(t.Context(), engine(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// Two trainings from two exporters are one network node by node, whichever comes first, and compute what they did.
func TestFormsOfOtherExporters(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{"vit-t17-a", "vit-d18-b"}, {"vit-d23-b", "vit-t17-a"}, {"bert-t14-a", "bert-d18-b"}, {"gpt2-d23-b", "gpt2-t13-a"},
		{"llama-t17-a", "llama-d18-b"}, {"swin-d18-b", "swin-t17-a"}, {"wav2vec2-t14-a", "wav2vec2-d18-b"},
		{"torch_encoder-d18-b", "torch_encoder-t14-a"}, {"convnext-t17-a", "convnext-d18-b"}, {"conv_gru-d18-b", "conv_gru-t13-a"},
		{"distilbert-t13-a", "distilbert-d18-b"}, {"gpt-d20-a", "gpt-t17-b"}, {"hubert-t17-a", "hubert-d20-b"},
	} {
		t.Run(c.a+"_"+c.b, func(t *testing.T) {
			b := zooModel(t, c.b)
			p := inOneForm(t, zooModel(t, c.a), b)
			if d := p.Sources.Pairing.First; d != nil {
				t.Fatalf("%d nodes correspond, then: %s", len(p.Sources.Pairing.Nodes), d.Why)
			}
			checkSame(t, b, p.Sources.Models[1].Model)
		})
	}
}

// Where heads differ, all before them has one form.
func TestFormsOfOtherHeads(t *testing.T) {
	for _, c := range []struct{ a, b string }{{"bert-t14-classes11-c", "bert-d18-b"}, {"vit-t17-classes11-c", "vit-d18-a"}} {
		t.Run(c.b, func(t *testing.T) {
			p := inOneForm(t, zooModel(t, c.a), zooModel(t, c.b))
			all, paired := p.Sources.Models[0].Index.Order, len(p.Sources.Pairing.Nodes)
			if last := all[len(all)-1]; paired != len(all)-1 || p.Sources.Pairing.First == nil || p.Sources.Pairing.First.Nodes[0] != last {
				t.Errorf("%d of %d nodes correspond: %+v", paired, len(all), p.Sources.Pairing.First)
			}
			checkSame(t, zooModel(t, c.b), p.Sources.Models[1].Model)
		})
	}
}

// Networks that differ in what bends values keep their forms from there on, though no input of a probe need show it.
func TestFormsOfOtherFunctions(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(n *onnx.Node) bool
	}{
		{"activation", func(n *onnx.Node) bool {
			if n.GetOpType() == "Erf" || n.GetOpType() == "Gelu" {
				op := "Tanh"
				n.OpType, n.Attribute = &op, nil
				return true
			}
			return false
		}},
		{"epsilon", func(n *onnx.Node) bool {
			if n.GetOpType() == "LayerNormalization" {
				onnx.SetAttr(n, onnx.FloatAttr("epsilon", 2e-6))
				return true
			}
			return false
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := zooModel(t, "vit-t17-a"), zooModel(t, "vit-d18-b")
			if !slices.ContainsFunc(b.Graph().GetNode(), c.change) { // the first of them
				t.Fatal("nothing changed")
			}
			p := inOneForm(t, a, b)
			if d := p.Sources.Pairing.First; d == nil {
				t.Error("correspond to the end")
			} else {
				t.Logf("%d of %d nodes correspond, then %s", len(p.Sources.Pairing.Nodes), len(p.Sources.Models[0].Index.Order), d.Why)
			}
			checkSame(t, b, p.Sources.Models[1].Model)
		})
	}
}

// An engine that fails leaves the models as they are, and says so.
func TestFormsWithoutRun(t *testing.T) {
	a, b := zooModel(t, "vit-t17-a"), zooModel(t, "vit-d18-b")
	p, err := transform.Prepare([]*onnx.Model{a, b}, transform.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	before := p.Sources
	if err := p.AdoptForms(t.Context(), brokenEngine{}); err != nil {
		t.Fatal(err)
	}
	if p.Sources != before || len(p.Forms) != 1 || p.Forms[0].Nodes != 0 || !strings.Contains(p.Forms[0].Why, "out of order") {
		t.Errorf("forms %+v", p.Forms)
	}
}

type brokenEngine struct{}

func (brokenEngine) Name() string { return "broken" }

func (brokenEngine) Open(context.Context, *onnx.Model, calibrate.SessionOptions) (calibrate.Session, error) {
	return nil, errors.New("out of order")
}
