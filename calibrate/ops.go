package calibrate

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// minOpset is the oldest default opset in which all operators of builder exist in the form used here.
const minOpset = 7

// builder appends nodes of the default domain to a graph, in the form that its opset wants.
type builder struct {
	graph  *onnx.Graph
	opset  int64
	prefix string // begins every name that the builder makes, and no other
	made   int
	vector map[string]string // the names of the constants made by ints
}

// name returns a name that nothing in the graph has.
func (b *builder) name() string {
	b.made++
	return fmt.Sprintf("%s%d", b.prefix, b.made)
}

// add appends a node with one output and returns that output.
func (b *builder) add(op string, inputs []string, attrs ...*onnx.Attribute) string {
	out := b.name()
	b.graph.Node = append(b.graph.Node, onnx.NewNode(op, out, inputs, []string{out}, attrs...))
	return out
}

// constant appends an initializer.
func (b *builder) constant(t *onnx.Tensor) string {
	name := b.name()
	b.graph.Initializer = append(b.graph.Initializer, t.Proto(name))
	return name
}

// ints is a vector of int64, one initializer for all equal ones.
func (b *builder) ints(v ...int64) string {
	key := fmt.Sprint(v)
	if b.vector[key] == "" {
		b.vector[key] = b.constant(onnx.FromInt64(v, int64(len(v))))
	}
	return b.vector[key]
}

func (b *builder) cast(x string, to onnx.DType) string {
	return b.add("Cast", []string{x}, onnx.Int("to", int64(to)))
}

// reshape takes one -1 in shape, as Reshape does.
func (b *builder) reshape(x string, shape ...int64) string {
	return b.add("Reshape", []string{x, b.ints(shape...)})
}

func (b *builder) transpose(x string, perm ...int64) string {
	return b.add("Transpose", []string{x}, onnx.Ints("perm", perm...))
}

func (b *builder) matMul(x, y string) string { return b.add("MatMul", []string{x, y}) }

func (b *builder) sub(x, y string) string { return b.add("Sub", []string{x, y}) }

func (b *builder) mul(x, y string) string { return b.add("Mul", []string{x, y}) }

// sum adds tensors of one shape; it is x itself where there is one.
func (b *builder) sum(xs []string) string {
	if len(xs) == 1 {
		return xs[0]
	}
	return b.add("Sum", xs)
}

// reduceSum sums over one axis and drops it.
func (b *builder) reduceSum(x string, axis int64) string {
	if b.opset < 13 {
		return b.add("ReduceSum", []string{x}, onnx.Ints("axes", axis), onnx.Int("keepdims", 0))
	}
	return b.add("ReduceSum", []string{x, b.ints(axis)}, onnx.Int("keepdims", 0))
}

// split cuts an axis into consecutive pieces of these sizes; it is x itself where there is one.
func (b *builder) split(x string, axis int64, sizes []int64) []string {
	if len(sizes) == 1 {
		return []string{x}
	}
	inputs, attrs := []string{x}, []*onnx.Attribute{onnx.Int("axis", axis)}
	if b.opset < 13 {
		attrs = append(attrs, onnx.Ints("split", sizes...))
	} else {
		inputs = append(inputs, b.ints(sizes...))
	}
	pieces := make([]string, len(sizes))
	for i := range pieces {
		pieces[i] = b.name()
	}
	b.graph.Node = append(b.graph.Node, onnx.NewNode("Split", pieces[0], inputs, pieces, attrs...))
	return pieces
}

// output declares x as an output of the graph; nil dims leave its rank open.
func (b *builder) output(x string, dtype onnx.DType, dims []onnx.Dim) {
	b.graph.Output = append(b.graph.Output, onnx.NewValueInfo(x, dtype, dims))
}
