package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// inlineFunctions replaces every call of a local function by the function's nodes, in subgraphs too, and
// removes the functions.
func inlineFunctions(m *onnx.Model, r *Record) error {
	if len(m.Proto.GetFunctions()) == 0 {
		return nil
	}
	in := &inliner{model: m, record: r, functions: map[functionID]*onnx.Function{}, taken: newNames()}
	for _, f := range m.Proto.GetFunctions() {
		in.functions[functionID{f.GetDomain(), f.GetName(), f.GetOverload()}] = f
	}
	in.taken.add(m.Graph())
	if err := in.graph(m.Graph()); err != nil {
		return err
	}
	m.Proto.Functions = nil
	dropDomains(m)
	return nil
}

type functionID struct{ domain, name, overload string }

type inliner struct {
	model     *onnx.Model
	record    *Record
	functions map[functionID]*onnx.Function
	taken     names
	calls     []functionID // the functions being inlined, outermost first
	made      int          // nodes copied so far
}

// maxInlined bounds the nodes that inlining makes: calls within calls double them at each level.
const maxInlined = 1 << 17

// graph inlines the calls in g and in what its nodes hold.
func (in *inliner) graph(g *onnx.Graph) error {
	nodes, err := in.nodes(g.Node)
	if err != nil {
		return err
	}
	g.Node = nodes
	return nil
}

func (in *inliner) nodes(list []*onnx.Node) ([]*onnx.Node, error) {
	var out []*onnx.Node
	for _, n := range list {
		var err error
		eachSubgraph(n, func(g *onnx.Graph) {
			if err == nil {
				err = in.graph(g)
			}
		})
		if err != nil {
			return nil, err
		}
		id := functionID{n.GetDomain(), n.GetOpType(), n.GetOverload()}
		f := in.functions[id]
		if f == nil {
			out = append(out, n)
			continue
		}
		body, err := in.call(id, f, n)
		if err != nil {
			return nil, err
		}
		in.record.did("inlined")
		out = append(out, body...)
	}
	return out, nil
}

// call returns the nodes that stand for the call n of f, the calls among them inlined in turn.
func (in *inliner) call(id functionID, f *onnx.Function, n *onnx.Node) ([]*onnx.Node, error) {
	if slices.Contains(in.calls, id) {
		return nil, fault.New(fault.Model, "recursive_function", "the function %q calls itself", f.GetName()).AtNode(onnx.NodeName(n))
	}
	if err := in.importsOf(f, n); err != nil {
		return nil, err
	}
	if in.made += len(f.GetNode()); in.made > maxInlined {
		return nil, fault.New(fault.Model, "functions_too_large", "inlining the local functions makes more than %d nodes", maxInlined).
			AtNode(onnx.NodeName(n))
	}
	in.calls = append(in.calls, id)
	defer func() { in.calls = in.calls[:len(in.calls)-1] }()
	return in.nodes(in.instantiate(f, n))
}

// importsOf makes sure that the body means the same in the model as in the function: operators of a
// domain are those of one version of it.
func (in *inliner) importsOf(f *onnx.Function, n *onnx.Node) error {
	used := map[string]bool{}
	domainsOf(f.GetNode(), used)
	for _, o := range f.GetOpsetImport() {
		domain := plainDomain(o.GetDomain())
		if !used[domain] {
			continue // exporters import all they know
		}
		switch v := in.model.Opset(domain); {
		case v == 0:
			in.model.Proto.OpsetImport = append(in.model.Proto.OpsetImport, onnx.Clone(o))
		case v != o.GetVersion():
			return fault.New(fault.Unsupported, "function_opset", "the function %q is written for version %d of the operators of %q, the model for %d",
				f.GetName(), o.GetVersion(), domain, v).AtNode(onnx.NodeName(n)).WithHint("inline the functions before merging, or export with one opset")
		}
	}
	return nil
}

// plainDomain is the domain with the default one spelt in one way.
func plainDomain(domain string) string {
	if domain == "ai.onnx" {
		return ""
	}
	return domain
}

func domainsOf(nodes []*onnx.Node, used map[string]bool) {
	for _, n := range nodes {
		used[plainDomain(n.GetDomain())] = true
		eachSubgraph(n, func(g *onnx.Graph) { domainsOf(g.GetNode(), used) })
	}
}

// dropDomains removes the imports of domains that no node uses any more; the default one stays.
func dropDomains(m *onnx.Model) {
	used := map[string]bool{"": true}
	domainsOf(m.Graph().GetNode(), used)
	m.Proto.OpsetImport = slices.DeleteFunc(m.Proto.OpsetImport, func(o *onnx.OpsetID) bool { return !used[plainDomain(o.GetDomain())] })
}

// instance is one call of a function while its body is copied.
type instance struct {
	prefix string
	names  map[string]string          // name in the function → name in the graph; "" for an absent input
	attrs  map[string]*onnx.Attribute // the call's attributes and the defaults of those it leaves out
	taken  names
}

// instantiate copies f's body for the call n: formal inputs and outputs become the call's, all other names
// become new ones.
func (in *inliner) instantiate(f *onnx.Function, n *onnx.Node) []*onnx.Node {
	s := &instance{names: map[string]string{}, attrs: map[string]*onnx.Attribute{}, taken: in.taken}
	s.prefix = onnx.NodeName(n) + "/"
	for _, a := range append(slices.Clone(f.GetAttributeProto()), n.GetAttribute()...) {
		s.attrs[a.GetName()] = a
	}
	for i, formal := range f.GetInput() {
		s.names[formal] = input(n, i)
	}
	var body []*onnx.Node
	for i, formal := range f.GetOutput() {
		if i >= len(n.GetOutput()) || n.Output[i] == "" {
			continue
		}
		if passed, isInput := s.names[formal]; isInput { // an input handed on, or an output named twice
			body = append(body, onnx.NewNode("Identity", in.taken.node(s.prefix+formal), []string{passed}, []string{n.Output[i]}))
			continue
		}
		s.names[formal] = n.Output[i]
	}
	nodes := make([]*onnx.Node, 0, len(f.GetNode())+len(body))
	for _, inner := range f.GetNode() {
		nodes = append(nodes, s.node(inner))
	}
	return append(nodes, body...)
}

// name is the name in the graph of a name in the function.
func (s *instance) name(name string) string {
	if name == "" {
		return ""
	}
	outer, ok := s.names[name]
	if !ok {
		outer = s.taken.value(s.prefix + name)
		s.names[name] = outer
	}
	return outer
}

// node copies a node of the body.
func (s *instance) node(n *onnx.Node) *onnx.Node {
	n = onnx.Clone(n)
	n.Name = proto.String(s.taken.node(s.prefix + onnx.NodeName(n)))
	for i, v := range n.Input {
		n.Input[i] = s.name(v)
	}
	for i, v := range n.Output {
		n.Output[i] = s.name(v)
	}
	n.Attribute = s.attributes(n.Attribute)
	return n
}

// attributes resolves references to the function's attributes. A reference to one that the call leaves
// out and that has no default is an attribute left out.
func (s *instance) attributes(list []*onnx.Attribute) []*onnx.Attribute {
	var out []*onnx.Attribute
	for _, a := range list {
		if ref := a.GetRefAttrName(); ref != "" {
			given := s.attrs[ref]
			if given == nil {
				continue
			}
			name := a.Name
			a = onnx.Clone(given) // a graph in it has the caller's names
			a.Name = name
			out = append(out, a)
			continue
		}
		if a.G != nil {
			s.graph(a.G)
		}
		for _, g := range a.Graphs {
			s.graph(g)
		}
		out = append(out, a)
	}
	return out
}

// graph renames all that a subgraph of the body defines and captures.
func (s *instance) graph(g *onnx.Graph) {
	for _, t := range g.Initializer {
		t.Name = proto.String(s.name(t.GetName()))
	}
	for _, list := range [][]*onnx.ValueInfo{g.Input, g.Output, g.ValueInfo} {
		for _, v := range list {
			v.Name = proto.String(s.name(v.GetName()))
		}
	}
	for i, n := range g.Node {
		g.Node[i] = s.node(n)
	}
}
