package rewrite

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// The opsets between which Raise knows every change of an operator.
const (
	oldestOpset = 9
	newestOpset = 23
)

// Raise returns a copy of a canonical model written for a later opset of the default domain: models that
// are to share nodes must mean the same by them. Only what is exact is done, up to the order of additions;
// else the error (fault.Unsupported, "mixed_opsets") names the first node that prevents it. Canonicalize the
// result again: what was an attribute may be an input now.
func Raise(m *onnx.Model, to int64) (*onnx.Model, error) {
	from := m.Opset("")
	if from == to {
		return m, nil
	}
	if from < oldestOpset || from > to || to > newestOpset {
		return nil, mixed(from, to, "only opsets %d to %d are known here, and none is lowered", oldestOpset, newestOpset).InFile(m.File)
	}
	m = m.Clone()
	e, err := editTyped(m)
	if err != nil {
		return nil, fault.As(err).InFile(m.File)
	}
	r := &raiser{editor: e, from: from, to: to}
	if err := r.graph(m.Graph()); err != nil {
		return nil, err.InFile(m.File)
	}
	for _, o := range m.Proto.OpsetImport {
		if plainDomain(o.GetDomain()) == "" {
			o.Version = proto.Int64(to)
		}
	}
	return m, nil
}

func mixed(from, to int64, why string, args ...any) *fault.Error {
	return fault.New(fault.Unsupported, "mixed_opsets", "opset %d cannot be raised to %d: %s", from, to, fmt.Sprintf(why, args...)).
		WithHint("export the models with the same opset")
}

// raiser rewrites node by node. Of the editor it uses the constants, the inferred shapes (of the main
// graph) and the fresh names, not the bookkeeping of readers: a value keeps its name and meaning throughout.
type raiser struct {
	*editor
	from, to      int64
	before, after []*onnx.Node // what a change puts around its node
}

// graph raises the nodes of a graph and of the graphs in them. Constants that it adds become initializers
// of the main graph, which subgraphs see.
func (r *raiser) graph(g *onnx.Graph) *fault.Error {
	var out []*onnx.Node
	for _, n := range g.Node {
		var err *fault.Error
		eachSubgraph(n, func(inner *onnx.Graph) {
			if err == nil {
				err = r.graph(inner)
			}
		})
		if err == nil {
			err = r.node(n)
		}
		if err != nil {
			return err
		}
		out = append(append(append(out, r.before...), n), r.after...)
	}
	g.Node = out
	return nil
}

// node brings a node through the versions one by one: its operator may be renamed on the way.
func (r *raiser) node(n *onnx.Node) *fault.Error {
	r.before, r.after = nil, nil
	if !isStandard(n) || len(n.Input) == 0 || len(n.Output) == 0 {
		return nil // without inputs there is nothing that changed
	}
	for version := r.from + 1; version <= r.to; version++ {
		op := n.GetOpType()
		if !sameMeaning[op] && changes[op] == nil {
			return mixed(r.from, r.to, "it is not known whether %s means the same in both", op).AtNode(onnx.NodeName(n))
		}
		for _, c := range changes[op] {
			if c.since != version {
				continue
			}
			if why := c.convert(r, n); why != "" {
				return mixed(r.from, r.to, "%s changed with opset %d, and %s", op, version, why).AtNode(onnx.NodeName(n))
			}
		}
	}
	return nil
}

// attributeToInput moves a list attribute into an input slot, if the node has it.
func (r *raiser) attributeToInput(n *onnx.Node, attr string, slot int) {
	if a := onnx.Attr(n, attr); a != nil {
		v := onnx.AttrInts(n, attr)
		r.setSlot(n, slot, r.addConstant(nameFor(n, attr), onnx.FromInt64(v, int64(len(v)))))
		onnx.DeleteAttr(n, attr)
	}
}

// setSlot makes n read value in that slot.
func (r *raiser) setSlot(n *onnx.Node, slot int, value string) {
	for len(n.Input) <= slot {
		n.Input = append(n.Input, "")
	}
	n.Input[slot] = value
}

// scalar adds a constant of one number of the type of n's first input; "" where that type is unknown.
func (r *raiser) scalar(n *onnx.Node, name string, v float64) string {
	dtype := r.value(input(n, 0)).DType
	if !dtype.IsFloat() {
		return ""
	}
	return r.addConstant(nameFor(n, name), onnx.FromFloat64(dtype, []float64{v}))
}
