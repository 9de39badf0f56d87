package eval

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
)

const models = "../testdata/models/"

var (
	ctx      = context.Background()
	classesA = []int{0, 2, 3, 5, 8}
	classesB = []int{1, 4, 6, 7, 9}
)

func load(t testing.TB, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(models + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openData opens a file of the test models' data.
func openData(t testing.TB, name string, m *onnx.Model) data.Source {
	t.Helper()
	d, err := data.Open(models+name, data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	inputs, err := data.Inputs(m)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := d.Bind(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

func testData(t testing.TB, m *onnx.Model) (data.Source, []int64) {
	t.Helper()
	src := openData(t, "fmnist_test.npz", m)
	labels, err := src.Labels()
	if err != nil {
		t.Fatal(err)
	}
	return src, labels
}

// manifest is what make_models.py measured with PyTorch.
type manifest struct {
	Pairs []struct {
		Name     string
		Ensemble struct{ Value float64 } `json:"ensemble_joint_accuracy"`
	}
	Models []struct {
		File       string
		Bytes      int64
		Parameters int64
		Accuracy   struct{ Value float64 }
	}
}

func readManifest(t testing.TB) manifest {
	t.Helper()
	raw, err := os.ReadFile(models + "manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// sideBySide puts two models into one file: b's values get a prefix, the input is shared, and the outputs
// are a_logits and b_logits.
func sideBySide(a, b *onnx.Model) *onnx.Model {
	m := prefixed(a, "a_")
	other := prefixed(b, "b_").Graph()
	g := m.Graph()
	g.Node = append(g.Node, other.Node...)
	g.Initializer = append(g.Initializer, other.Initializer...)
	g.Output = append(g.Output, other.Output...)
	m.File = "side by side"
	return m
}

func prefixed(m *onnx.Model, prefix string) *onnx.Model {
	m = m.Clone()
	g := m.Graph()
	input := g.Input[0].GetName()
	rename := func(name string) string {
		if name == "" || name == input {
			return name
		}
		return prefix + name
	}
	for _, t := range g.Initializer {
		name := rename(t.GetName())
		t.Name = &name
	}
	for _, v := range g.Output {
		name := rename(v.GetName())
		v.Name = &name
	}
	for _, n := range g.Node {
		name := prefix + n.GetName()
		n.Name = &name
		for i := range n.Input {
			n.Input[i] = rename(n.Input[i])
		}
		for i := range n.Output {
			n.Output[i] = rename(n.Output[i])
		}
	}
	g.ValueInfo = nil
	return m
}

// rows is a source of one input of vectors.
type rows struct {
	name string
	x    [][]float32
}

func (r rows) Samples() int { return len(r.x) }
func (r rows) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	var flat []float32
	for _, row := range r.x[from:to] {
		flat = append(flat, row...)
	}
	return map[string]*onnx.Tensor{r.name: onnx.FromFloat32(flat, int64(to-from), int64(len(r.x[0])))}, nil
}

var _ calibrate.Source = rows{}

// scaling is the model y = w·x, elementwise, over vectors as long as w.
func scaling(input, output string, w ...float32) *onnx.Model {
	n := int64(len(w))
	dims := []onnx.Dim{{Size: -1, Param: "batch"}, {Size: n}}
	version, ir := int64(13), int64(7)
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion: &ir, OpsetImport: []*onnx.OpsetID{{Version: &version}},
		Graph: &onnx.Graph{
			Name:        &input,
			Input:       []*onnx.ValueInfo{onnx.NewValueInfo(input, onnx.Float, dims)},
			Output:      []*onnx.ValueInfo{onnx.NewValueInfo(output, onnx.Float, dims)},
			Initializer: []*onnx.TensorProto{onnx.FromFloat32(w, n).Proto("w")},
			Node:        []*onnx.Node{onnx.NewNode("Mul", "scale", []string{input, "w"}, []string{output})},
		},
	}}
}
