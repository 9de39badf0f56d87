package calibrate

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// minIR is the first IR version in which an initializer need not be an input too.
const minIR = 4

// restrict returns a model that computes what the wanted values need and no more, without outputs, and a
// builder to append nodes to it. Nodes and initializers are shared with m; they must not be changed. Values that
// are given are not computed: the caller declares them as inputs.
func restrict(m *onnx.Model, ix *onnx.Index, values []string, given map[string]bool) (*onnx.Model, *builder, error) {
	opset := m.Opset("")
	if opset < minOpset {
		return nil, nil, fault.New(fault.Unsupported, "opset", "opset %d of the model is older than %d", opset, minOpset).
			InFile(m.File).WithHint("export it again, or convert it with onnx.version_converter")
	}
	needed := ancestors(ix, values, given)
	g := &onnx.Graph{Name: proto.String("calibrate")}
	for _, n := range ix.Order {
		if needed.nodes[n] {
			g.Node = append(g.Node, n)
		}
	}
	for _, in := range ix.Inputs() {
		if needed.values[in.GetName()] {
			g.Input = append(g.Input, in)
		}
	}
	for _, t := range m.Graph().GetInitializer() {
		if needed.values[t.GetName()] {
			g.Initializer = append(g.Initializer, t)
		}
	}
	p := &onnx.ModelProto{
		IrVersion:   proto.Int64(max(minIR, m.Proto.GetIrVersion())),
		OpsetImport: m.Proto.OpsetImport,
		Functions:   m.Proto.Functions,
		Graph:       g,
	}
	return &onnx.Model{Proto: p, File: m.File}, &builder{graph: g, opset: opset, prefix: freshPrefix(ix), vector: map[string]string{}}, nil
}

// subset is a part of a graph.
type subset struct {
	values map[string]bool
	nodes  map[*onnx.Node]bool
}

// ancestors is everything that values are computed from, themselves included; it ends at values that are given.
func ancestors(ix *onnx.Index, values []string, given map[string]bool) subset {
	s := subset{map[string]bool{}, map[*onnx.Node]bool{}}
	todo := slices.Clone(values)
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.values[v] {
			continue
		}
		s.values[v] = true
		if n := ix.Producer(v); n != nil && !s.nodes[n] && !given[v] {
			s.nodes[n] = true
			todo = append(todo, onnx.Reads(n)...)
		}
	}
	return s
}

// freshPrefix returns a prefix that no name in the graph begins with.
func freshPrefix(ix *onnx.Index) string {
	prefix := "calibrate:"
	for {
		if !anyName(ix, func(name string) bool { return strings.HasPrefix(name, prefix) }) {
			return prefix
		}
		prefix = "_" + prefix
	}
}

// anyName reports whether a node, value or initializer of the main graph has a name that matches.
func anyName(ix *onnx.Index, match func(string) bool) bool {
	for _, n := range ix.Order {
		if match(n.GetName()) || slices.ContainsFunc(n.GetOutput(), match) {
			return true
		}
	}
	for _, v := range ix.Graph.GetInput() {
		if match(v.GetName()) {
			return true
		}
	}
	for _, t := range ix.Graph.GetInitializer() {
		if match(t.GetName()) {
			return true
		}
	}
	return false
}
