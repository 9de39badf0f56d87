package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// retyper changes a floating type throughout a model.
type retyper struct {
	from, to onnx.DType
	keep     map[string]bool // initializers that stay
	err      error           // of the first tensor that cannot be changed
}

// main changes the main graph but for its inputs and outputs, which keep their type: Casts stand between
// them and what is inside.
func (c *retyper) main(g *onnx.Graph) {
	c.inside(g)
	taken := newNames()
	taken.add(g)
	var before, after []*onnx.Node
	for _, v := range g.GetInput() {
		switch dtype, _, _ := onnx.TensorType(v); {
		case dtype != c.from:
		case isInitializer(g, v.GetName()): // a default, which has another type now
			c.declare(v)
		default:
			inside := c.rename(g, taken, v.GetName())
			before = append(before, castNode(taken, v.GetName(), inside, c.to))
		}
	}
	for _, v := range g.GetOutput() {
		if dtype, _, _ := onnx.TensorType(v); dtype == c.from && isComputed(g, v.GetName()) {
			inside := c.rename(g, taken, v.GetName())
			after = append(after, castNode(taken, inside, v.GetName(), c.from))
		}
	}
	g.Node = append(append(before, g.Node...), after...)
}

func castNode(taken names, from, to string, dtype onnx.DType) *onnx.Node {
	return onnx.NewNode("Cast", taken.node(to+"_cast"), []string{from}, []string{to}, onnx.Int("to", int64(dtype)))
}

// rename gives a value of the border another name inside the graph.
func (c *retyper) rename(g *onnx.Graph, taken names, from string) string {
	to := taken.value(from + "_" + c.to.String())
	onnx.RenameValue(g, from, to)
	for _, n := range g.GetNode() {
		if onnx.HasSubgraph(n) {
			onnx.RenameCaptured(n, map[string]string{from: to})
		}
	}
	return to
}

// graph changes a subgraph.
func (c *retyper) graph(g *onnx.Graph) {
	c.inside(g)
	for _, v := range append(g.GetInput(), g.GetOutput()...) {
		c.declare(v)
	}
}

func (c *retyper) inside(g *onnx.Graph) {
	for _, t := range g.GetInitializer() {
		if !c.keep[t.GetName()] {
			c.tensor(t)
		}
	}
	for _, v := range g.GetValueInfo() {
		c.declare(v)
	}
	c.nodes(g.GetNode())
}

// declare changes a declaration.
func (c *retyper) declare(v *onnx.ValueInfo) {
	if t := v.GetType().GetTensorType(); onnx.DType(t.GetElemType()) == c.from {
		t.ElemType = proto.Int32(int32(c.to))
	}
}

// nodes changes the tensors in nodes, and what they name as the type of their result.
func (c *retyper) nodes(list []*onnx.Node) {
	for _, n := range list {
		for _, a := range n.GetAttribute() {
			if a.T != nil {
				c.tensor(a.T)
			}
			if name := a.GetName(); (name == "to" || name == "dtype" || name == "output_datatype") && a.GetI() == int64(c.from) {
				a.I = proto.Int64(int64(c.to))
			}
		}
		eachSubgraph(n, c.graph)
	}
}

// tensor changes one tensor, each number rounded once.
func (c *retyper) tensor(p *onnx.TensorProto) {
	if onnx.DType(p.GetDataType()) != c.from {
		return
	}
	t, err := retyped(p, c.to)
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	name := p.Name
	proto.Reset(p)
	p.Name, p.DataType, p.Dims, p.RawData = name, proto.Int32(int32(t.DType)), t.Dims, t.Raw
}

// retyped returns the tensor in another type; an error where a number becomes infinite.
func retyped(p *onnx.TensorProto, to onnx.DType) (*onnx.Tensor, error) {
	t, err := onnx.TensorOf(p)
	if err != nil {
		return nil, err
	}
	v, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	out := onnx.FromFloat64(to, v, t.Dims...)
	back, err := out.Float64s()
	for i := range back {
		if math.IsInf(back[i], 0) && !math.IsInf(v[i], 0) {
			return nil, fault.New(fault.Unsupported, "half_overflow", "%g is beyond %v", v[i], to).AtValue(p.GetName()).
				WithHint("merge the models in float32")
		}
	}
	return out, err
}

// narrowWeights stores the weights in another type and leaves the computing as it is: a Cast follows each.
// Single numbers stay, an epsilon may not be there in half precision, and what would overflow.
func narrowWeights(g *onnx.Graph, to onnx.DType) {
	taken, keep := newNames(), scalesOf(g)
	taken.add(g)
	var casts []*onnx.Node
	for i, p := range g.GetInitializer() {
		name := p.GetName()
		if onnx.DType(p.GetDataType()) != onnx.Float || product(p.GetDims()) < 2 || keep[name] || isInput(g, name) {
			continue
		}
		t, err := retyped(p, to)
		if err != nil {
			continue
		}
		narrow := taken.value(name + "_" + to.String())
		g.Initializer[i] = t.Proto(narrow)
		casts = append(casts, castNode(taken, narrow, name, onnx.Float))
	}
	g.Node = append(casts, g.Node...)
}

// scalesOf lists the constants that are float32 in a model of any precision: what Resize scales by.
func scalesOf(g *onnx.Graph) map[string]bool {
	keep := map[string]bool{}
	for _, n := range g.GetNode() {
		if isOp(n, "Resize") {
			keep[input(n, 1)], keep[input(n, 2)] = true, true
		}
	}
	delete(keep, "")
	return keep
}

func isInitializer(g *onnx.Graph, name string) bool {
	return slices.ContainsFunc(g.GetInitializer(), func(t *onnx.TensorProto) bool { return t.GetName() == name })
}

// isComputed reports whether a node of the graph makes the value.
func isComputed(g *onnx.Graph, name string) bool {
	return slices.ContainsFunc(g.GetNode(), func(n *onnx.Node) bool { return slices.Contains(n.GetOutput(), name) })
}
