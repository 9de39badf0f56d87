package calibrate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/sbinet/npyio/npz"
	"google.golang.org/protobuf/proto"
)

const modelDir = "../testdata/models"

func load(t testing.TB, file string) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(filepath.Join(modelDir, file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sideBySide joins models with one input of the same name into one graph; their other names get the
// prefixes "0/", "1/", …
func sideBySide(models ...*onnx.Model) *onnx.Model {
	joined := models[0].Clone()
	shared := joined.Graph().GetInput()[0].GetName()
	g := &onnx.Graph{Name: proto.String("side by side"), Input: joined.Graph().GetInput()}
	for i, m := range models {
		rename := func(name string) string {
			if name == "" || name == shared {
				return name
			}
			return fmt.Sprintf("%d/%s", i, name)
		}
		c := m.Clone().Graph()
		for _, n := range c.Node {
			n.Name = proto.String(rename(n.GetName()))
			for j, in := range n.Input {
				n.Input[j] = rename(in)
			}
			for j, out := range n.Output {
				n.Output[j] = rename(out)
			}
			g.Node = append(g.Node, n)
		}
		for _, t := range c.Initializer {
			t.Name = proto.String(rename(t.GetName()))
			g.Initializer = append(g.Initializer, t)
		}
		for _, v := range c.Output {
			v.Name = proto.String(rename(v.GetName()))
			g.Output = append(g.Output, v)
		}
	}
	joined.Proto.Graph = g
	return joined
}

// pair is fmnist_<name>_a.onnx and _b.onnx side by side.
func pair(t testing.TB, name string) *onnx.Model {
	t.Helper()
	return sideBySide(load(t, "fmnist_"+name+"_a.onnx"), load(t, "fmnist_"+name+"_b.onnx"))
}

// samples is a source over one tensor, the first n samples of it.
type samples struct {
	input string
	x     *onnx.Tensor
	n     int
}

func (s samples) Samples() int { return s.n }

func (s samples) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	size := len(s.x.Raw) / int(s.x.Dims[0])
	dims := append([]int64{int64(to - from)}, s.x.Dims[1:]...)
	return map[string]*onnx.Tensor{s.input: {DType: s.x.DType, Dims: dims, Raw: s.x.Raw[from*size : to*size]}}, nil
}

// calibration is the first n images of fmnist_calib.npz.
func calibration(t testing.TB, n int) samples {
	t.Helper()
	f, err := os.Open(filepath.Join(modelDir, "fmnist_calib.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := npz.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var x []float32
	if err := r.Read("input.npy", &x); err != nil {
		t.Fatal(err)
	}
	return samples{"input", onnx.FromFloat32(x, int64(len(x)/784), 1, 28, 28), n}
}

// node makes a node named after its first output.
func node(op string, inputs, outputs string, attrs ...*onnx.Attribute) *onnx.Node {
	out := strings.Fields(outputs)
	return onnx.NewNode(op, out[0], strings.Fields(inputs), out, attrs...)
}

// model makes a model with the input x (float32, a free batch axis, then dims) and the output y.
func model(opset int64, dims []int64, inits map[string]*onnx.Tensor, nodes ...*onnx.Node) *onnx.Model {
	axes := append([]onnx.Dim{{Size: -1, Param: "N"}}, onnx.Static(dims...)...)
	g := &onnx.Graph{
		Name: proto.String("test"), Node: nodes,
		Input:  []*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, axes)},
		Output: []*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, nil)},
	}
	for name, t := range inits {
		g.Initializer = append(g.Initializer, t.Proto(name))
	}
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion: proto.Int64(7), Graph: g,
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(opset)}},
	}}
}

// outputsOf lists the first outputs of the nodes of one operator whose names begin with prefix, in order.
func outputsOf(m *onnx.Model, op, prefix string) []string {
	var values []string
	for _, n := range m.Graph().GetNode() {
		if n.GetOpType() == op && strings.HasPrefix(n.GetOutput()[0], prefix) {
			values = append(values, n.GetOutput()[0])
		}
	}
	return values
}

// widths are the sizes of axis 1 of values.
func widths(t testing.TB, e calibrate.Engine, m *onnx.Model, src calibrate.Source) map[string]int {
	t.Helper()
	feeds, err := src.Batch(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := calibrate.Probe(t.Context(), e, m, feeds)
	if err != nil {
		t.Fatal(err)
	}
	w := map[string]int{}
	for v, dims := range seen[0].Dims {
		if len(dims) > 1 {
			w[v] = int(dims[1])
		}
	}
	return w
}

// heapInUse is the size of the live Go heap.
func heapInUse() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
