// Package pair finds which nodes of several models correspond: by topology, operator, attributes and
// the shapes of parameters, never by names.
//
// A node corresponds to another where everything that leads to it does: the shared trunk of a merged
// model is made of ancestors-closed sets of such nodes. Call Find on canonicalised models
// (transform/rewrite), so that exporters' habits do not count as differences.
package pair

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Pairing is the correspondence of the models' nodes and values.
type Pairing struct {
	Graphs []*onnx.Index
	// Nodes holds the corresponding nodes, Nodes[k][i] in model i, in topological order of model 0.
	Nodes [][]*onnx.Node
	// Inputs holds the corresponding graph inputs, Inputs[k][i] in model i, in model 0's order.
	Inputs [][]string
	// First is where the models first differ; nil where they correspond to the end.
	First *Difference

	class []map[string]int               // model → value → number, the same for corresponding values
	names [][]string                     // number → name in each model
	group map[*onnx.Node]int             // node of any model → index into Nodes
	back  []map[*onnx.Node]*[horizon]sig // model → node → what follows it
	loose []map[*onnx.Node]*[horizon]sig // the same without widths, where these may differ

	anyWidth bool
}

// Difference is the first place, in topological order, where the models part.
type Difference struct {
	Nodes []*onnx.Node // the nodes that differ, one per model; nil where a model has none there
	Value string       // the value that they read, in model 0's names
	Why   string       // one sentence for people
}

// Options are the user's own pairings.
type Options struct {
	// MapInput maps, for each model but the first, its input's name to the first model's.
	MapInput []map[string]string
	// AnyWidth lets parameters correspond that count other numbers of features: axes 0 and 1 may differ in size,
	// and so may the contents of integer constants, which hold sizes.
	AnyWidth bool
	// Files are the models' names in messages; without, they are numbered.
	Files []string
}

// Find pairs the nodes of models. Only mismatching inputs are an error (fault.Correspondence); models
// that share nothing come back with an empty Nodes and First set.
func Find(graphs []*onnx.Index, o Options) (*Pairing, error) {
	p := &Pairing{Graphs: graphs, group: map[*onnx.Node]int{}, anyWidth: o.AnyWidth}
	for range graphs {
		p.class = append(p.class, map[string]int{})
	}
	if err := p.pairInputs(o); err != nil {
		return nil, err
	}
	for _, ix := range graphs {
		p.back = append(p.back, follows(ix, form))
		if p.anyWidth {
			p.loose = append(p.loose, follows(ix, looseForm))
		}
	}
	for _, a := range graphs[0].Order {
		nodes, why := p.counterparts(a)
		if nodes != nil && !p.tooWide(nodes) {
			p.add(nodes)
			continue
		}
		if p.First == nil && p.reachable(a) && !graphs[0].Aside(a) {
			p.First = p.difference(a, why)
		}
	}
	if p.First == nil {
		p.First = p.surplus()
	}
	return p, nil
}

// AnyWidth reports whether nodes of other widths may correspond.
func (p *Pairing) AnyWidth() bool { return p.anyWidth }

// Of returns the index of n's group in Nodes, and whether n has counterparts.
func (p *Pairing) Of(n *onnx.Node) (int, bool) {
	k, ok := p.group[n]
	return k, ok
}

// Value returns the name in model to of model from's value, and whether it has a counterpart.
func (p *Pairing) Value(from, to int, name string) (string, bool) {
	k, ok := p.class[from][name]
	if !ok {
		return "", false
	}
	return p.names[k][to], true
}

// bind makes values with these names (one per model) correspond.
func (p *Pairing) bind(names []string) {
	for i, name := range names {
		p.class[i][name] = len(p.names)
	}
	p.names = append(p.names, names)
}

// add makes nodes a group, with their outputs and their parameters.
func (p *Pairing) add(nodes []*onnx.Node) {
	for _, n := range nodes {
		p.group[n] = len(p.Nodes)
	}
	p.Nodes = append(p.Nodes, nodes)
	for slot := range nodes[0].GetOutput() {
		names := make([]string, len(nodes))
		for i, n := range nodes {
			names[i] = n.GetOutput()[slot]
		}
		if !slices.Contains(names, "") { // an output that some model leaves out
			p.bind(names)
		}
	}
	for slot, in := range nodes[0].GetInput() {
		if in == "" || p.Graphs[0].Initializer(in) == nil {
			continue
		}
		names := make([]string, len(nodes))
		for i, n := range nodes {
			names[i] = n.GetInput()[slotOf(p, nodes[0], n, i, slot)]
		}
		p.bind(names)
	}
}

// slotOf is the input of n (in model i) that corresponds to slot of a: the same slot, but for the
// swapped inputs of a commutative operator.
func slotOf(p *Pairing, a, n *onnx.Node, i, slot int) int {
	if len(n.GetInput()) != 2 || !commutative[n.GetOpType()] || p.inputsMatch(a, n, i, false) {
		return slot
	}
	return 1 - slot
}

// counterparts finds a's node in every other model; nil and the reason where one has none.
func (p *Pairing) counterparts(a *onnx.Node) ([]*onnx.Node, string) {
	nodes := []*onnx.Node{a}
	for i := 1; i < len(p.Graphs); i++ {
		n, why := p.counterpart(a, i)
		if n == nil {
			return nil, why
		}
		nodes = append(nodes, n)
	}
	return nodes, ""
}

// counterpart finds the node of model i that does what a does to the counterparts of a's inputs. Of
// several (parallel branches of one form) the one that a's continuation agrees with for longest is taken.
func (p *Pairing) counterpart(a *onnx.Node, i int) (*onnx.Node, string) {
	var found []*onnx.Node
	for _, n := range p.candidates(a, i) {
		_, used := p.group[n]
		if !used && p.alike(a, n, i) == "" && (p.inputsMatch(a, n, i, false) || p.inputsMatch(a, n, i, true)) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil, p.whyNot(a, i)
	}
	best := found[0]
	for _, n := range found[1:] {
		if p.likelier(a, n, best, i) {
			best = n
		}
	}
	return best, ""
}

// candidates lists the nodes of model i that read the counterpart of a's first computed input.
func (p *Pairing) candidates(a *onnx.Node, i int) []*onnx.Node {
	for _, in := range a.GetInput() {
		if in == "" || p.Graphs[0].Initializer(in) != nil {
			continue
		}
		name, ok := p.Value(0, i, in)
		if !ok {
			return nil
		}
		var nodes []*onnx.Node
		for _, u := range p.Graphs[i].Uses(name) {
			if u.Slot >= 0 && (len(nodes) == 0 || nodes[len(nodes)-1] != u.Node) {
				nodes = append(nodes, u.Node)
			}
		}
		sort.SliceStable(nodes, func(x, y int) bool {
			return p.Graphs[i].Position(nodes[x]) < p.Graphs[i].Position(nodes[y])
		})
		return nodes
	}
	return p.sources(i)
}

// sources lists the nodes of model i that read nothing computed: their counterparts do neither.
func (p *Pairing) sources(i int) []*onnx.Node {
	var nodes []*onnx.Node
	for _, n := range p.Graphs[i].Order {
		computed := false
		for _, in := range onnx.Reads(n) {
			computed = computed || p.Graphs[i].Initializer(in) == nil
		}
		if !computed {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// inputsMatch reports whether n's inputs in model i are the counterparts of a's; swapped: the other way
// round, for commutative operators of two inputs.
func (p *Pairing) inputsMatch(a, n *onnx.Node, i int, swapped bool) bool {
	if len(a.GetInput()) != len(n.GetInput()) || swapped && (len(a.GetInput()) != 2 || !commutative[a.GetOpType()]) {
		return false
	}
	for slot, x := range a.GetInput() {
		if swapped {
			slot = 1 - slot
		}
		y := n.GetInput()[slot]
		if !p.valuesMatch(x, y, i) {
			return false
		}
	}
	return true
}

func (p *Pairing) valuesMatch(x, y string, i int) bool {
	if x == "" || y == "" {
		return x == y
	}
	tx, ty := p.Graphs[0].Initializer(x), p.Graphs[i].Initializer(y)
	if tx != nil || ty != nil {
		return tx != nil && ty != nil && p.parameterDiff(tx, ty) == ""
	}
	name, ok := p.Value(0, i, x)
	return ok && name == y
}

var commutative = map[string]bool{"Add": true, "Mul": true, "Max": true, "Min": true, "Sum": true, "Mean": true}

// alike says how a's and n's own forms differ, "" where they do not.
func (p *Pairing) alike(a, n *onnx.Node, i int) string {
	if a.GetOpType() != n.GetOpType() || a.GetDomain() != n.GetDomain() {
		return fmt.Sprintf("%s against %s", a.GetOpType(), n.GetOpType())
	}
	if d := p.attributeDiff(a, n); d != "" {
		return d
	}
	if len(a.GetOutput()) != len(n.GetOutput()) || len(a.GetInput()) != len(n.GetInput()) {
		return "different numbers of inputs or outputs"
	}
	for slot, x := range a.GetInput() {
		tx, ty := p.Graphs[0].Initializer(x), p.Graphs[i].Initializer(n.GetInput()[slot])
		if tx != nil && ty != nil && !commutative[a.GetOpType()] {
			if d := p.parameterDiff(tx, ty); d != "" {
				return d
			}
		}
	}
	return ""
}

// parameterDiff compares what must be equal in corresponding parameters: type and dims, and the
// contents of integer tensors, which are shapes and indices rather than weights.
func (p *Pairing) parameterDiff(x, y *onnx.TensorProto) string {
	if x.GetDataType() != y.GetDataType() {
		return fmt.Sprintf("%v against %v", onnx.DType(x.GetDataType()), onnx.DType(y.GetDataType()))
	}
	if !p.sameDims(x.GetDims(), y.GetDims()) {
		return fmt.Sprintf("shape %v against %v", x.GetDims(), y.GetDims())
	}
	if d := onnx.DType(x.GetDataType()); d.IsFloat() || p.anyWidth {
		return ""
	}
	tx, ex := onnx.TensorOf(x)
	ty, ey := onnx.TensorOf(y)
	if ex != nil || ey != nil || string(tx.Raw) != string(ty.Raw) {
		return fmt.Sprintf("constants %q and %q differ", x.GetName(), y.GetName())
	}
	return ""
}

// sameDims compares shapes; where widths may differ, axes 0 and 1 (outputs and inputs of weights) count no more, nor does
// axis 2 of three (inputs of a recurrence's weights, its state's features).
func (p *Pairing) sameDims(x, y []int64) bool {
	if !p.anyWidth || len(x) != len(y) {
		return slices.Equal(x, y)
	}
	from := min(2, len(x))
	if len(x) == 3 {
		from = 3
	}
	return slices.Equal(x[from:], y[from:])
}

// attributeDiff compares attributes by name, whatever their order.
func (p *Pairing) attributeDiff(a, n *onnx.Node) string {
	names := map[string]bool{}
	for _, m := range []*onnx.Node{a, n} {
		for _, at := range m.GetAttribute() {
			names[at.GetName()] = true
		}
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		x, y := onnx.Attr(a, name), onnx.Attr(n, name)
		if p.anyWidth && name == "group" && x.GetI() > 1 && y.GetI() > 1 {
			continue // as many groups as channels
		}
		if p.anyWidth && name == "hidden_size" {
			continue // the width of a recurrence
		}
		if x == nil || y == nil || !sameAttribute(x, y) {
			if x.GetG() != nil && y.GetG() != nil {
				return "they hold subgraphs (attribute " + name + ") that differ, in weights or in form"
			}
			return fmt.Sprintf("attribute %s: %s against %s", name, showAttribute(x), showAttribute(y))
		}
	}
	return ""
}

func sameAttribute(x, y *onnx.Attribute) bool {
	x, y = onnx.Clone(x), onnx.Clone(y)
	x.DocString, y.DocString = nil, nil
	return onnx.Equal(x, y)
}

func showAttribute(a *onnx.Attribute) string {
	switch {
	case a == nil:
		return "absent"
	case a.I != nil:
		return fmt.Sprint(a.GetI())
	case a.F != nil:
		return fmt.Sprint(a.GetF())
	case a.S != nil:
		return string(a.GetS())
	case a.Ints != nil:
		return fmt.Sprint(a.GetInts())
	}
	return strings.ToLower(a.GetType().String())
}

// tooWide is true where a pairing would bind a value that is bound already (never in valid graphs).
func (p *Pairing) tooWide(nodes []*onnx.Node) bool {
	for i, n := range nodes {
		for _, out := range n.GetOutput() {
			if _, bound := p.class[i][out]; bound && out != "" {
				return true
			}
		}
	}
	return false
}

// Share is the part of model i's nodes that have counterparts, 0 to 1.
func (p *Pairing) Share(i int) float64 {
	if len(p.Graphs[i].Order) == 0 {
		return 0
	}
	return float64(len(p.Nodes)) / float64(len(p.Graphs[i].Order))
}

// ErrNothing is the refusal for models that share no node.
func (p *Pairing) ErrNothing() error {
	e := fault.New(fault.Correspondence, "no_common_trunk", "the models share no node: %s", p.First.Why)
	return e.WithHint("give models of one architecture; `onnx-zip inspect A B` shows both sides")
}
