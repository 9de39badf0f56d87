package ort

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// port is an input or output: as callers see it, and how it crosses the binding.
type port struct {
	name  string     // the model's own name
	bound string     // the name in the prepared model
	dtype onnx.DType // the model's own type, Undefined where an output declares none
	dims  []onnx.Dim // the model's own shape, nil where it declares none
	lead  bool       // the prepared model's value has one more axis of size 1, in front
}

// prepared is a model that the binding can run.
type prepared struct {
	model           *onnx.Model
	inputs, outputs []port
	dummy           string // an input that nothing reads, where the model has none; "" otherwise
}

// preparer rewrites a copy of a model that shares everything with the original which it does not change.
type preparer struct {
	out   *prepared
	graph *onnx.Graph
	opset int64
	taken map[string]bool // all value names
}

// prepare works around what the binding cannot carry; see the package comment. types holds the types of
// outputs that declare none. Errors are of kind fault.Unsupported and fault.Model.
func prepare(m *onnx.Model, types map[string]onnx.DType) (*prepared, error) {
	if m == nil || m.Graph() == nil {
		return nil, fault.New(fault.Model, "invalid_model", "there is no graph")
	}
	p := newPreparer(m)
	if len(m.Graph().GetOutput()) == 0 {
		return nil, fault.New(fault.Model, "invalid_model", "the graph has no outputs").InFile(m.File)
	}
	if err := p.inputs(); err != nil {
		return nil, err.InFile(m.File)
	}
	if err := p.outputs(types); err != nil {
		return nil, err.InFile(m.File)
	}
	return p.out, nil
}

func newPreparer(m *onnx.Model) *preparer {
	model := onnx.Shallow(m.Proto)
	model.Graph = onnx.Shallow(m.Graph())
	p := &preparer{
		out:   &prepared{model: &onnx.Model{Proto: model, File: m.File}},
		graph: model.Graph, opset: m.Opset(""), taken: map[string]bool{},
	}
	g := p.graph
	g.Input, g.Output = slices.Clone(g.Input), slices.Clone(g.Output)
	g.Node = slices.Clip(g.Node) // appending must not touch m
	for _, n := range g.Node {
		for _, out := range n.GetOutput() {
			p.taken[out] = true
		}
	}
	for _, v := range g.Input {
		p.taken[v.GetName()] = true
	}
	for _, t := range g.Initializer {
		p.taken[t.GetName()] = true
	}
	if p.opset == 0 { // only operators of other domains: ours need the default one
		p.opset = 17
		model.OpsetImport = append(slices.Clip(model.OpsetImport), &onnx.OpsetID{Version: proto.Int64(p.opset)})
	}
	return p
}

// inputs lists what a caller has to feed. Inputs with an initializer keep their default value.
func (p *preparer) inputs() *fault.Error {
	defaults := map[string]bool{}
	for _, t := range p.graph.Initializer {
		defaults[t.GetName()] = true
	}
	for i, v := range p.graph.Input {
		if defaults[v.GetName()] {
			continue
		}
		in, err := newPort(v, "input")
		if err != nil {
			return err
		}
		if in.dims != nil && len(in.dims) == 0 {
			in.bound, in.lead = p.fresh(in.name), true
			p.graph.Input[i] = onnx.NewValueInfo(in.bound, in.dtype, onnx.Static(1))
			p.axis("Squeeze", in.bound, in.name)
		}
		p.out.inputs = append(p.out.inputs, in)
	}
	if len(p.out.inputs) == 0 {
		p.out.dummy = p.fresh("unused")
		p.graph.Input = append(p.graph.Input, onnx.NewValueInfo(p.out.dummy, onnx.Float, onnx.Static(1)))
	}
	return nil
}

// outputs lists what a run returns.
func (p *preparer) outputs(types map[string]onnx.DType) *fault.Error {
	for i, v := range p.graph.Output {
		if !declaresType(v) {
			v = onnx.NewValueInfo(v.GetName(), types[v.GetName()], nil)
		}
		out, err := newPort(v, "output")
		if err != nil {
			return err
		}
		bound, carried := out.name, out.dtype
		if carried == onnx.Float16 || carried == onnx.BFloat16 {
			carried = onnx.Float
			bound = p.node("Cast", bound, onnx.Int("to", int64(carried)))
		}
		if len(out.dims) == 0 { // a scalar, or a rank that only the run will tell
			before := bound
			bound, out.lead = p.fresh(out.name), true
			p.axis("Unsqueeze", before, bound)
		}
		if out.bound = bound; bound != out.name || !declaresType(p.graph.Output[i]) {
			p.graph.Output[i] = onnx.NewValueInfo(bound, carried, nil)
		}
		p.out.outputs = append(p.out.outputs, out)
	}
	return nil
}

// newPort reads a declaration. Only tensors of fixed-size elements can be fed and returned.
func newPort(v *onnx.ValueInfo, role string) (port, *fault.Error) {
	dtype, dims, ok := onnx.TensorType(v)
	if !ok || dtype.Size() == 0 {
		what := "is no tensor"
		if ok {
			what = "has elements of type " + dtype.String()
		}
		return port{}, fault.New(fault.Unsupported, "unsupported_type", "this %s %s", role, what).AtValue(v.GetName())
	}
	return port{name: v.GetName(), bound: v.GetName(), dtype: dtype, dims: dims}, nil
}

// node appends a node on one value and returns its output's name.
func (p *preparer) node(op, input string, attrs ...*onnx.Attribute) string {
	output := p.fresh(input)
	p.graph.Node = append(p.graph.Node, onnx.NewNode(op, output, []string{input}, []string{output}, attrs...))
	return output
}

// axis adds (Unsqueeze) or removes (Squeeze) the first axis.
func (p *preparer) axis(op, input, output string) {
	n := onnx.NewNode(op, output+"/axis", []string{input}, []string{output})
	nodes := []*onnx.Node{n}
	if p.opset < 13 {
		n.Attribute = append(n.Attribute, onnx.Ints("axes", 0))
	} else { // the axes are an input; files before IR version 4 could not add an initializer for it
		axes := p.fresh(output)
		value := onnx.TensorAttr("value", onnx.FromInt64([]int64{0}, 1).Proto(axes))
		n.Input = append(n.Input, axes)
		nodes = []*onnx.Node{onnx.NewNode("Constant", axes, nil, []string{axes}, value), n}
	}
	if op == "Squeeze" { // its readers may come anywhere, and nodes must stand in topological order
		p.graph.Node = append(nodes, p.graph.Node...)
		return
	}
	p.graph.Node = append(p.graph.Node, nodes...)
}

// fresh returns a value name that the graph does not have.
func (p *preparer) fresh(base string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s/onnx_zip_%d", base, i)
		if !p.taken[name] {
			p.taken[name] = true
			return name
		}
	}
}

func (p *prepared) boundInputs() []string {
	names := boundNames(p.inputs)
	if p.dummy != "" {
		names = append(names, p.dummy)
	}
	return names
}

func (p *prepared) boundOutputs() []string { return boundNames(p.outputs) }

func boundNames(ports []port) []string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.bound
	}
	return names
}

// trimmed is p without the model, whose weights a session need not keep in memory a second time.
func (p *prepared) trimmed() *prepared {
	return &prepared{inputs: p.inputs, outputs: p.outputs, dummy: p.dummy}
}
