package rewrite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// exports lists the models of testdata, which real exporters wrote.
func exports(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.onnx")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no models in testdata (%v)", err)
	}
	return paths
}

func load(t *testing.T, path string) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func canonical(t *testing.T, m *onnx.Model) (*onnx.Model, Log) {
	t.Helper()
	c, log, err := Canonicalize(m)
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

// feeds makes inputs for a model; ids of tokens must be small and not negative.
func feeds(m *onnx.Model) map[string]*onnx.Tensor {
	f := onnxtest.Feeds(m, 5, map[string]int64{"batch": 3, "d0": 3, "d1": 7})
	for name, x := range f {
		if x.DType.IsInt() {
			f[name] = onnxtest.RandomBetween(5, 0, 20, x.DType, x.Dims...)
		}
	}
	return f
}

// TestRealModels: outputs stay, a second run changes nothing, the form is reached, sharing again loses nothing.
func TestRealModels(t *testing.T) {
	for _, path := range append(exports(t), onnxtest.Models(t)...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m := load(t, path)
			c, log := canonical(t, m)
			checkForm(t, c)
			if again, log := canonical(t, c); log.Total() != 0 || !onnx.Equal(again.Proto, c.Proto) {
				t.Errorf("a second run makes changes:\n%s", log)
			}
			t.Run("outputs", func(t *testing.T) { sameOutputs(t, m, c, feeds(m)) })
			if _, err := ShareAgain(c); err != nil {
				t.Error(err)
			}
			t.Run("shared again", func(t *testing.T) { sameOutputs(t, m, c, feeds(m)) })
			if testing.Verbose() {
				t.Logf("\n%s", log)
			}
		})
	}
}

// checkForm verifies what the package promises of a canonical model.
func checkForm(t *testing.T, m *onnx.Model) {
	t.Helper()
	e, err := edit(m)
	if err != nil {
		t.Fatal(err)
	}
	for n := range e.nodes {
		switch n.GetOpType() {
		case "BatchNormalization", "Constant", "Identity", "Dropout":
			t.Errorf("%s is still there", onnxtest.DumpNode(n))
		case "Gemm":
			if onnx.AttrInt(n, "transB", 0) != 1 || onnx.AttrFloat(n, "alpha", 0) != 1 || onnx.AttrFloat(n, "beta", 0) != 1 {
				t.Errorf("%s", onnxtest.DumpNode(n))
			}
		}
	}
	for _, p := range m.Graph().GetInitializer() {
		if n := len(e.uses[p.GetName()]); n != 1 && !e.tied(p.GetName()) {
			t.Errorf("%q is read %d times", p.GetName(), n)
		}
	}
}

// TestExportersHabitsVanish: one network, exported in several ways, has one canonical form.
func TestExportersHabitsVanish(t *testing.T) {
	first := map[string]*onnx.Model{}
	for _, path := range exports(t) {
		network, _, _ := strings.Cut(filepath.Base(path), "__")
		c, _ := canonical(t, load(t, path))
		if first[network] == nil {
			first[network] = c
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			if got, want := operators(c), operators(first[network]); got != want {
				t.Errorf("operators:\n%s\nwant, as in the first file of %q:\n%s", got, network, want)
			}
			t.Run("outputs", func(t *testing.T) { sameOutputs(t, first[network], c, feeds(c)) })
		})
	}
}

// operators is a graph without names: each node's operator, attributes and the dims of its constants.
func operators(m *onnx.Model) string {
	dims := map[string][]int64{}
	for _, p := range m.Graph().GetInitializer() {
		dims[p.GetName()] = p.GetDims()
	}
	var lines []string
	for _, n := range m.Graph().GetNode() {
		n = onnx.Clone(n)
		for i, v := range n.Input {
			n.Input[i] = "value"
			if d, ok := dims[v]; ok {
				n.Input[i] = onnxtest.DumpValue(onnx.NewValueInfo("constant", onnx.Float, onnx.Static(d...)))
			}
		}
		n.Output, n.Name = []string{"value"}, nil
		lines = append(lines, onnxtest.DumpNode(n))
	}
	return strings.Join(lines, "\n")
}
