package cost

import (
	"math"
	"math/bits"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// NodeCost is what one node costs in one run.
type NodeCost struct {
	Name   string `json:"name"` // as onnx.NodeName
	Op     string `json:"op"`   // with its domain, where that is not the default one
	FLOPs  int64  `json:"flops"`
	Params int64  `json:"params"`
}

// Uncounted is a node whose FLOPs are not known.
type Uncounted struct {
	Name string `json:"name"`
	Op   string `json:"op"`
	Why  string `json:"why"`
}

// Report is the cost of one run of a model. Totals are the sums over the nodes, at most math.MaxInt64.
type Report struct {
	FLOPs   int64       `json:"flops"`
	Params  int64       `json:"params"`
	Nodes   []NodeCost  `json:"nodes"` // in topological order
	Unknown []Uncounted `json:"unknown,omitempty"`

	place map[*onnx.Node]int
}

// Node returns the cost of a node of the model's main graph; ok is false for other nodes.
func (r Report) Node(n *onnx.Node) (cost NodeCost, ok bool) {
	i, ok := r.place[n]
	if !ok {
		return NodeCost{}, false
	}
	return r.Nodes[i], true
}

// Of counts the nodes of m's main graph, whose values have the shapes s. Bind all sizes when inferring them: a
// node of unknown sizes cannot be counted. An invalid graph is an error of kind fault.Model.
func Of(m *onnx.Model, s shape.Shapes) (Report, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return Report{}, err
	}
	r := Report{Nodes: []NodeCost{}, place: map[*onnx.Node]int{}}
	params := newParamCounter(ix)
	computed := variables(ix)
	for _, n := range ix.Order {
		c := NodeCost{Name: onnx.NodeName(n), Op: opName(n), Params: params.of(n)}
		if computed[n] {
			var why string
			if c.FLOPs, why = flops(n, s); why != "" {
				r.Unknown = append(r.Unknown, Uncounted{c.Name, c.Op, why})
			}
		}
		r.FLOPs, r.Params = plus(r.FLOPs, c.FLOPs), plus(r.Params, c.Params)
		r.place[n] = len(r.Nodes)
		r.Nodes = append(r.Nodes, c)
	}
	return r, nil
}

// AtBatch counts one run of m with a batch of that size, other free sizes being those of Bind. Errors are of
// kind fault.Model.
func AtBatch(m *onnx.Model, batch int64) (Report, error) {
	dims, err := Bind(m, batch)
	if err != nil {
		return Report{}, err
	}
	s, err := shape.Infer(m, shape.Options{InputDims: dims})
	if err != nil {
		return Report{}, err
	}
	return Of(m, s)
}

// variables marks the nodes whose results may differ from run to run: those that depend on an input.
func variables(ix *onnx.Index) map[*onnx.Node]bool {
	nodes, values := map[*onnx.Node]bool{}, map[string]bool{}
	for _, in := range ix.Inputs() {
		values[in.GetName()] = true
	}
	for _, n := range ix.Order {
		for _, v := range onnx.Reads(n) {
			nodes[n] = nodes[n] || values[v]
		}
		for _, v := range n.GetOutput() {
			values[v] = nodes[n]
		}
	}
	return nodes
}

// opName is n's operator, with the domain before it where it is not the default one.
func opName(n *onnx.Node) string {
	if d := n.GetDomain(); d != "" && d != "ai.onnx" {
		return d + "." + n.GetOpType()
	}
	return n.GetOpType()
}

// times is the product of sizes. A hostile file can declare any: it stops at math.MaxInt64.
func times(sizes ...int64) int64 {
	p := uint64(1)
	for _, s := range sizes {
		if s <= 0 {
			return 0
		}
	}
	for _, s := range sizes {
		high, low := bits.Mul64(p, uint64(s))
		if high > 0 || low > math.MaxInt64 {
			return math.MaxInt64
		}
		p = low
	}
	return int64(p)
}

// plus is the sum of two counts, at most math.MaxInt64.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
