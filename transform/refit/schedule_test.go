package refit

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// TestPlan divides a residual block: every node once, the frontier handed on exactly as long as it is read.
func TestPlan(t *testing.T) {
	node := func(op, out string, in ...string) *onnx.Node {
		return onnx.NewNode(op, out, in, []string{out})
	}
	g := &onnx.Graph{
		Input:  []*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, onnx.Static(1, 4))},
		Output: []*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, nil)},
		Initializer: []*onnx.TensorProto{
			onnx.FromFloat32(make([]float32, 16), 4, 4).Proto("w1"), onnx.FromFloat32(make([]float32, 16), 4, 4).Proto("w2"),
		},
		Node: []*onnx.Node{
			node("MatMul", "z1", "x", "w1"), node("Relu", "r1", "z1"), node("MatMul", "z2", "r1", "w2"),
			node("Add", "s", "z2", "r1"), node("Relu", "y", "s"),
		},
	}
	ix, err := onnx.NewIndex(g)
	if err != nil {
		t.Fatal(err)
	}
	steps := plan(ix, [][]string{{"z1"}, {"z2"}, {"y"}})
	want := []struct{ made, reads, keep, drop []string }{
		{[]string{"z1"}, []string{"x"}, []string{"z1"}, nil},
		{[]string{"r1", "z2"}, []string{"z1"}, []string{"r1", "z2"}, []string{"z1"}},
		{[]string{"s", "y"}, []string{"z2", "r1"}, []string{"y"}, []string{"z2", "r1", "y"}},
	}
	for k, w := range want {
		var made []string
		for _, n := range steps[k].nodes {
			made = append(made, n.GetOutput()...)
		}
		for _, c := range []struct {
			what      string
			got, want []string
		}{{"nodes", made, w.made}, {"reads", steps[k].reads, w.reads}, {"keep", steps[k].keep, w.keep}, {"drop", steps[k].drop, w.drop}} {
			if !slices.Equal(c.got, c.want) {
				t.Errorf("step %d %s: got %v, want %v", k, c.what, c.got, c.want)
			}
		}
	}
}
