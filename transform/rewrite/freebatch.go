package rewrite

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// FreeBatch returns a copy of a model that runs a fixed number of samples at a time, with the first axis of every
// input called symbol, and the nodes where that number was written out:
//
//   - a Reshape to a constant shape takes its first size from what it reads;
//   - a constant that is appended to samples (a class token) is repeated for each of them.
//
// At the fixed number the copy computes the same. Whether other numbers are right only a run can tell: an exporter
// may have folded the number into anything. Weights are shared with m. The error, of kind fault.Unsupported, names
// the input whose first axis is not that number.
func FreeBatch(m *onnx.Model, symbol string) (free *onnx.Model, rewritten []string, err error) {
	shapes, err := shape.Infer(m, shape.Options{})
	if err != nil {
		return nil, nil, err
	}
	c := m.Clone()
	ix, err := onnx.NewIndex(c.Graph())
	if err != nil {
		return nil, nil, err
	}
	batch, err := FixedBatch(ix)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range ix.Inputs() {
		dtype, dims, _ := onnx.TensorType(v)
		dims[0] = onnx.Dim{Size: -1, Param: symbol}
		v.Type = onnx.NewValueInfo("", dtype, dims).Type
	}
	c.Graph().ValueInfo = nil // they declare the fixed number
	for _, v := range c.Graph().GetOutput() {
		dtype, dims, ok := onnx.TensorType(v)
		if ok && len(dims) > 0 && dims[0].Size > 0 && dims[0].Size%batch == 0 {
			dims[0] = onnx.Dim{Size: -1}
			if shapes[v.GetName()].Dims[0].Is(batch) {
				dims[0].Param = symbol
			}
			v.Type = onnx.NewValueInfo("", dtype, dims).Type
		}
	}
	f := &batchFreer{model: c, ix: ix, fixed: shapes, batch: batch, symbol: symbol, constants: map[string]bool{}}
	return c, f.rewritten, f.follow()
}

// FixedBatch is the number of samples that a model runs at a time: the first size of all its inputs. The error,
// of kind fault.Unsupported, names an input that has another, or none.
func FixedBatch(ix *onnx.Index) (int64, error) {
	batch := int64(0)
	for _, v := range ix.Inputs() {
		_, dims, _ := onnx.TensorType(v)
		switch {
		case len(dims) == 0:
			return 0, fault.New(fault.Unsupported, "no_batch", "has no axis of samples").AtValue(v.GetName())
		case dims[0].Size < 1, batch > 0 && dims[0].Size != batch:
			return 0, fault.New(fault.Unsupported, "no_batch", "its first axis is not that of the other inputs").AtValue(v.GetName())
		}
		batch = dims[0].Size
	}
	return batch, nil
}

// batchFreer edits one graph. Shapes under the symbol show what does not follow it.
type batchFreer struct {
	model     *onnx.Model
	ix        *onnx.Index  // of the graph before the edits
	fixed     shape.Shapes // of the model as it was
	batch     int64
	symbol    string
	rewritten []string
	fresh     int
	constants map[string]bool // what constant found
}

// follow edits the first node that does not follow the symbol, until there is none.
func (f *batchFreer) follow() error {
	done := map[*onnx.Node]bool{}
	for {
		shapes, err := ShapesThatFit(f.model)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(f.model.Graph().GetNode(), func(n *onnx.Node) bool { return !done[n] && f.edit(n, shapes) })
		if at < 0 {
			return nil
		}
		done[f.model.Graph().GetNode()[at]] = true
	}
}

// ShapesThatFit infers the shapes of a model; where they contradict each other, of the nodes before.
func ShapesThatFit(m *onnx.Model) (shape.Shapes, error) {
	g := m.Graph()
	infer := func(n int) (shape.Shapes, error) {
		return shape.Infer(&onnx.Model{Proto: &onnx.ModelProto{
			IrVersion: m.Proto.IrVersion, OpsetImport: m.Proto.OpsetImport, Functions: m.Proto.Functions,
			Graph: &onnx.Graph{Name: g.Name, Node: g.Node[:n], Input: g.Input, Initializer: g.Initializer},
		}}, shape.Options{})
	}
	return infer(sort.Search(len(g.Node), func(n int) bool {
		_, err := infer(n + 1)
		return err != nil
	}))
}

// edit makes a node follow the symbol and reports whether it had to.
func (f *batchFreer) edit(n *onnx.Node, shapes shape.Shapes) bool {
	if n.GetDomain() != "" && n.GetDomain() != "ai.onnx" {
		return false
	}
	switch n.GetOpType() {
	case "Reshape":
		return f.freeReshape(n, shapes)
	case "Concat":
		return f.repeatConstants(n, shapes)
	}
	return false
}

// axisOf is the first axis that follows the symbol, -1 where none does.
func (f *batchFreer) axisOf(dims []shape.Dim) int {
	return slices.IndexFunc(dims, func(d shape.Dim) bool { return strings.Contains(d.Sym, f.symbol) })
}

// freeReshape lets one size of a constant target follow what is reshaped.
func (f *batchFreer) freeReshape(n *onnx.Node, shapes shape.Shapes) bool {
	from, to := f.axisOf(shapes[n.GetInput()[0]].Dims), f.axisOf(shapes[n.GetOutput()[0]].Dims)
	if len(n.GetInput()) < 2 || from < 0 {
		return false
	}
	in, out := f.fixed[n.GetInput()[0]].Dims, f.fixed[n.GetOutput()[0]].Dims
	if f.ix.Constant(n.GetInput()[1]) == nil || len(in) <= from || !known(in[:from+1]) || !known(out) {
		return false
	}
	at := f.openAxis(in, out, from)
	if at < 0 || to >= 0 && (to == at || !out[at].Is(f.batch)) { // another size may be open, and have taken the samples up
		return false
	}
	target := make([]int64, len(out))
	for k, d := range out {
		target[k] = d.Size
	}
	target[at] = -1
	if at == from && out[at] == in[from] && onnx.AttrInt(n, "allowzero", 0) == 0 {
		target[at] = 0
	}
	n.Input[1] = f.addInts(target)
	f.rewritten = append(f.rewritten, onnx.NodeName(n))
	return true
}

// openAxis is the axis of a Reshape's result that takes up the samples of axis from of what it reads, -1 where there
// is none: of those that the axis is laid over, one whose size is the fixed number itself, else the first. The last
// axis holds features, so the one before it is taken instead.
func (f *batchFreer) openAxis(in, out []shape.Dim, from int) int {
	before := int64(1)
	for _, d := range in[:from] {
		before *= d.Size
	}
	at, product := 0, int64(1)
	for ; at < len(out) && product != before; at++ {
		product *= out[at].Size
	}
	for k, size := at, int64(1); k < len(out) && size*out[k].Size <= in[from].Size; k++ {
		if out[k].Is(f.batch) {
			return k
		}
		size *= out[k].Size
	}
	if at == len(out)-1 && at > 0 {
		at--
	}
	if at == len(out) {
		return -1
	}
	return at
}

func known(dims []shape.Dim) bool {
	return !slices.ContainsFunc(dims, func(d shape.Dim) bool { return !d.Known() })
}

// repeatConstants repeats the constants that a Concat appends to samples, once for each.
func (f *batchFreer) repeatConstants(n *onnx.Node, shapes shape.Shapes) bool {
	at, samples := -1, ""
	for _, v := range n.GetInput() {
		if k := f.axisOf(shapes[v].Dims); k >= 0 {
			at, samples = k, v
			break
		}
	}
	if at < 0 || f.batch != 1 {
		return false
	}
	var added []*onnx.Node
	for slot, v := range n.GetInput() {
		dims := f.fixed[v].Dims
		if !f.constant(v) || len(dims) <= at || !dims[at].Is(f.batch) || len(shapes[samples].Dims) != len(dims) {
			continue
		}
		sizes, count, full, repeated := f.name("sizes"), f.name("batch"), f.name("shape"), f.name("repeated")
		parts := make([]string, len(dims))
		for k := range parts {
			if parts[k] = count; k != at {
				parts[k] = f.addInts([]int64{1})
			}
		}
		added = append(added,
			onnx.NewNode("Shape", sizes, []string{f.ix.Inputs()[0].GetName()}, []string{sizes}), // as exporters do
			onnx.NewNode("Gather", count, []string{sizes, f.addInts([]int64{0})}, []string{count}, onnx.Int("axis", 0)),
			onnx.NewNode("Concat", full, parts, []string{full}, onnx.Int("axis", 0)),
			onnx.NewNode("Expand", repeated, []string{v, full}, []string{repeated}))
		n.Input[slot] = repeated
	}
	if added == nil {
		return false
	}
	g := f.model.Graph()
	g.Node = slices.Insert(g.Node, slices.Index(g.Node, n), added...)
	f.rewritten = append(f.rewritten, onnx.NodeName(n))
	return true
}

// constant reports whether a value depends on no input of the graph.
func (f *batchFreer) constant(value string) bool {
	known, found := f.constants[value]
	if found {
		return known
	}
	n := f.ix.Producer(value)
	is := f.ix.Initializer(value) != nil || n != nil && !onnx.HasSubgraph(n)
	if is && n != nil {
		for _, v := range onnx.Reads(n) {
			is = is && f.constant(v)
		}
	}
	f.constants[value] = is
	return is
}

// addInts adds an initializer.
func (f *batchFreer) addInts(v []int64) string {
	name := f.name("sizes")
	g := f.model.Graph()
	g.Initializer = append(g.Initializer, onnx.FromInt64(v, int64(len(v))).Proto(name))
	return name
}

// name is a name that no value has.
func (f *batchFreer) name(what string) string {
	for {
		f.fresh++
		name := fmt.Sprintf("free_batch/%s_%d", what, f.fresh)
		if f.ix.Producer(name) == nil && f.ix.Initializer(name) == nil && f.ix.Input(name) == nil {
			return name
		}
	}
}
