package basis

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// PlainNorms moves the gains and shifts of norms into the weights that read what they make: W·(g∘x + h) = (W·diag g)·x + W·h, and the gains
// of residual branches (LayerScale) into the weights before them. Behind that a stream's features are treated alike, and the network computes
// what it did. Norms of which something else reads stay as they are. What changes its meaning gets a new name. layouts are those of the
// model's values; the model is changed in place. It returns the number of gains that were moved.
func PlainNorms(m *onnx.Model, layouts func(value string) []space.Layout) (int, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return 0, err
	}
	p := &plainer{g: m.Graph(), ix: ix, layouts: layouts, taken: map[string]bool{}, gone: map[*onnx.Node]bool{}, behind: map[*onnx.Node]*onnx.Node{}}
	for _, n := range ix.Order {
		if a, ok := p.affineOf(n); ok {
			if err := p.fold(a); err != nil {
				return 0, err
			}
		} else if err := p.foldBranch(n); err != nil {
			return 0, err
		}
	}
	if p.moved == 0 {
		return 0, nil
	}
	p.g.Node = slices.DeleteFunc(p.g.Node, func(n *onnx.Node) bool { return p.gone[n] })
	for at := 0; at < len(p.g.Node); at++ { // a new Add comes right behind its product
		if add := p.behind[p.g.Node[at]]; add != nil {
			p.g.Node = slices.Insert(p.g.Node, at+1, add)
		}
	}
	p.dropUnread()
	return p.moved, nil
}

// dropUnread drops the parameters that were replaced.
func (p *plainer) dropUnread() {
	read := map[string]bool{}
	for _, n := range p.g.Node {
		for _, v := range onnx.Reads(n) {
			read[v] = true
		}
	}
	for _, v := range p.g.Output {
		read[v.GetName()] = true
	}
	p.g.Initializer = slices.DeleteFunc(p.g.Initializer, func(t *onnx.TensorProto) bool { return !read[t.GetName()] })
}

// plainer is the state of one PlainNorms.
type plainer struct {
	g       *onnx.Graph
	ix      *onnx.Index
	layouts func(string) []space.Layout
	taken   map[string]bool
	gone    map[*onnx.Node]bool
	behind  map[*onnx.Node]*onnx.Node // products and the Adds that they get
	moved   int                       // gains
}

// affine is what a norm does behind dividing: g∘x + h.
type affine struct {
	norm        *onnx.Node   // a LayerNormalization that does it itself, nil
	nodes       []*onnx.Node // else those that do it
	from, value string       // x, and what is made of it
	gain, shift []float64    // shift is nil where nothing is added
	readers     []reader
	movers      []*onnx.Node
}

// reader is a product with constant weights that reads what a norm makes.
type reader struct {
	n    *onnx.Node
	c    space.Contraction
	bias *onnx.Node // the Add behind a MatMul that has one
}

// affineOf is the affine part that n is, or begins; ok is false where it cannot be moved.
func (p *plainer) affineOf(n *onnx.Node) (a affine, ok bool) {
	switch {
	case n.GetOpType() == "LayerNormalization" && len(n.GetInput()) > 1:
		a.norm, a.value = n, n.GetOutput()[0]
		if a.gain = p.vector(n.GetInput()[1]); len(n.GetInput()) > 2 && n.GetInput()[2] != "" {
			a.shift = p.vector(n.GetInput()[2])
			ok = a.shift != nil
		} else {
			ok = true
		}
	case n.GetOpType() == "Mul" && len(n.GetInput()) == 2 && p.divides(n.GetInput()[0]):
		a.nodes, a.from, a.value = []*onnx.Node{n}, n.GetInput()[0], n.GetOutput()[0]
		a.gain, ok = p.vector(n.GetInput()[1]), true
		if uses := p.ix.Uses(a.value); len(uses) == 1 && uses[0].Node.GetOpType() == "Add" && p.ix.Output(a.value) == nil {
			add := uses[0].Node
			if h := p.vector(add.GetInput()[1-uses[0].Slot]); h != nil {
				a.nodes, a.shift, a.value = append(a.nodes, add), h, add.GetOutput()[0]
			}
		}
	}
	if !ok || a.gain == nil || a.shift != nil && len(a.shift) != len(a.gain) || a.norm != nil && all(a.gain, 1) && all(a.shift, 0) {
		return a, false
	}
	layouts := p.layouts(a.value)
	if len(layouts) == 0 {
		return a, false
	}
	last := layouts[len(layouts)-1]
	if len(last) != 1 || last[0].Space == nil || !last.Is(last[0].Space) || last[0].Size != len(a.gain) {
		return a, false
	}
	return a, p.follow(&a, a.value, last[0].Space)
}

func all(v []float64, x float64) bool {
	return !slices.ContainsFunc(v, func(y float64) bool { return y != x })
}

// divides is true of what a norm makes of its features: a quotient, or a product with one number for each token.
func (p *plainer) divides(v string) bool {
	n := p.ix.Producer(v)
	return n != nil && (n.GetOpType() == "Div" || n.GetOpType() == "Mul") && p.ix.Initializer(n.GetInput()[1]) == nil
}

// vector is a parameter of one axis, nil of any other value.
func (p *plainer) vector(v string) []float64 {
	init := p.ix.Initializer(v)
	if init == nil || len(init.GetDims()) != 1 || init.GetDims()[0] < 2 {
		return nil
	}
	_, x, err := p.floats(v)
	if err != nil {
		return nil
	}
	return x
}

// floats is a parameter, and its entries.
func (p *plainer) floats(v string) (*onnx.Tensor, []float64, error) {
	t, err := onnx.TensorOf(p.ix.Initializer(v))
	if err != nil {
		return nil, nil, err
	}
	x, err := t.Float64s()
	return t, x, err
}

// axisOf is the axis of a value that holds a space whole, -1 where there is none.
func (p *plainer) axisOf(v string, sp *space.Space) int {
	return slices.IndexFunc(p.layouts(v), func(l space.Layout) bool { return l.Is(sp) })
}

// movers take features along with their tokens, and average at most over these: gains and shifts come out behind them as well.
var movers = []string{"Transpose", "Reshape", "Flatten", "Identity", "Squeeze", "Unsqueeze", "Slice", "Gather", "Split", "ReduceMean", "GlobalAveragePool"}

// follow finds all readers of a value; false where one is not of their kind.
func (p *plainer) follow(a *affine, value string, sp *space.Space) bool {
	axis := p.axisOf(value, sp)
	if axis < 0 || p.ix.Output(value) != nil {
		return false
	}
	for _, u := range p.ix.Uses(value) {
		if u.Node.GetOpType() == "Shape" {
			continue
		}
		if c, ok := space.ContractionOf(p.ix, u.Node, len(p.layouts(value))); ok && c.InputSlot == u.Slot && c.InputAxis == axis {
			r := reader{n: u.Node, c: c}
			if !p.takes(&r, a.shift != nil) {
				return false
			}
			a.readers = append(a.readers, r)
			continue
		}
		if u.Slot != 0 || !slices.Contains(movers, u.Node.GetOpType()) {
			return false
		}
		for _, out := range u.Node.GetOutput() {
			if out != "" && !p.follow(a, out, sp) {
				return false
			}
		}
		a.movers = append(a.movers, u.Node)
	}
	return true
}

// takes reports whether a reader's weights, and its bias where there is a shift, can take the norm's.
func (p *plainer) takes(r *reader, shift bool) bool {
	if len(p.ix.Uses(r.n.GetInput()[r.c.ParamSlot])) != 1 {
		return false // tied weights must stay what they are
	}
	ownBias := func(slot int) bool {
		return len(r.n.GetInput()) <= slot || r.n.GetInput()[slot] == "" || p.ix.Initializer(r.n.GetInput()[slot]) != nil
	}
	switch r.n.GetOpType() {
	case "Gemm":
		return ownBias(2) && onnx.AttrFloat(r.n, "alpha", 1) == 1 && onnx.AttrFloat(r.n, "beta", 1) == 1
	case "Conv":
		padded := slices.ContainsFunc(onnx.AttrInts(r.n, "pads"), func(x int64) bool { return x != 0 }) || onnx.AttrString(r.n, "auto_pad", "NOTSET") != "NOTSET"
		return ownBias(2) && !(shift && padded)
	case "MatMul":
		out := r.n.GetOutput()[0]
		if uses := p.ix.Uses(out); r.c.ParamSlot == 1 && len(uses) == 1 && uses[0].Node.GetOpType() == "Add" && p.ix.Output(out) == nil {
			if p.vector(uses[0].Node.GetInput()[1-uses[0].Slot]) != nil {
				r.bias = uses[0].Node
			}
		}
		return r.c.ParamSlot == 1
	}
	return false
}

// fold moves an affine part into its readers.
func (p *plainer) fold(a affine) error {
	for _, r := range a.readers {
		if err := p.into(r, a); err != nil {
			return err
		}
	}
	plain := a.from
	if a.norm != nil {
		plain = p.fresh(a.value)
		a.norm.Output[0] = plain
		ones := slices.Repeat([]float64{1}, len(a.gain))
		for slot, v := range [][]float64{ones, make([]float64, len(a.gain))} {
			if slot == 1 && a.shift == nil {
				break
			}
			a.norm.Input[slot+1] = p.add(a.norm.GetInput()[slot+1], v, p.ix.Initializer(a.norm.GetInput()[slot+1]))
		}
	}
	for _, n := range a.nodes {
		p.gone[n] = true
	}
	renamed := map[string]string{a.value: plain}
	for _, n := range a.movers {
		for k, out := range n.GetOutput() {
			if out != "" {
				renamed[out] = p.fresh(out)
				n.Output[k] = renamed[out]
			}
		}
	}
	for old := range renamed {
		for _, u := range p.ix.Uses(old) {
			u.Node.Input[u.Slot] = renamed[old]
		}
	}
	p.moved++
	return nil
}

// into scales a reader's weights and adds to its bias.
func (p *plainer) into(r reader, a affine) error {
	name := r.n.GetInput()[r.c.ParamSlot]
	w, v, err := p.floats(name)
	if err != nil {
		return err
	}
	r.n.Input[r.c.ParamSlot] = p.addTensor(name, onnx.FromFloat64(w.DType, scaled(v, w.Dims, r.c.ParamAxis, a.gain), w.Dims...))
	if a.shift == nil {
		return nil
	}
	bias := summed(scaled(v, w.Dims, r.c.ParamAxis, a.shift), w.Dims, outAxis(r))
	node, slot := r.n, 2
	switch {
	case r.bias != nil:
		node = r.bias
		slot = slices.IndexFunc(node.GetInput(), func(v string) bool { return p.ix.Initializer(v) != nil })
	case r.n.GetOpType() == "MatMul":
		node, slot = p.addBehind(r.n), 1
	}
	for len(node.Input) <= slot {
		node.Input = append(node.Input, "")
	}
	if p.ix.Initializer(node.Input[slot]) != nil {
		_, b, err := p.floats(node.Input[slot])
		if err != nil {
			return err
		}
		for k := range bias {
			bias[k] += b[k%len(b)]
		}
	}
	base := node.Input[slot]
	if base == "" {
		base = name + "/bias"
	}
	node.Input[slot] = p.addTensor(base, onnx.FromFloat64(w.DType, bias, int64(len(bias))))
	return nil
}

// foldBranch moves the gain of a residual branch into the product that it follows, and into its bias.
func (p *plainer) foldBranch(n *onnx.Node) error {
	if n.GetOpType() != "Mul" || len(n.GetInput()) != 2 || p.gone[n] || p.ix.Output(n.GetOutput()[0]) != nil {
		return nil
	}
	gain, made := p.vector(n.GetInput()[1]), p.soleMaker(n.GetInput()[0])
	if gain == nil || made == nil {
		return nil
	}
	bias := -1
	product := made
	if made.GetOpType() == "Add" {
		if bias = slices.IndexFunc(made.GetInput(), func(v string) bool { return p.vector(v) != nil }); bias < 0 {
			return nil
		}
		product = p.soleMaker(made.GetInput()[1-bias])
	}
	if product == nil || product.GetOpType() != "MatMul" || !p.ownColumns(product, 1, len(gain)) || bias >= 0 && !p.ownColumns(made, bias, len(gain)) {
		return nil
	}
	if err := p.scaleLast(product, 1, gain); err != nil {
		return err
	}
	if bias >= 0 {
		if err := p.scaleLast(made, bias, gain); err != nil {
			return err
		}
	}
	if made != product {
		product.Output[0] = p.fresh(product.GetOutput()[0])
		made.Input[1-bias] = product.Output[0]
	}
	made.Output[0] = n.GetOutput()[0]
	p.gone[n] = true
	p.moved++
	return nil
}

// soleMaker is the node that makes a value which one node reads, and nobody else.
func (p *plainer) soleMaker(v string) *onnx.Node {
	if n := p.ix.Producer(v); n != nil && len(p.ix.Uses(v)) == 1 && p.ix.Output(v) == nil && !p.gone[n] {
		return n
	}
	return nil
}

// ownColumns reports whether a node's input is a parameter of its own with a column for each gain.
func (p *plainer) ownColumns(n *onnx.Node, slot, columns int) bool {
	t := p.ix.Initializer(n.GetInput()[slot])
	return t != nil && len(p.ix.Uses(n.GetInput()[slot])) == 1 && t.GetDims()[len(t.GetDims())-1] == int64(columns)
}

// scaleLast multiplies the columns of a parameter.
func (p *plainer) scaleLast(n *onnx.Node, slot int, by []float64) error {
	t, v, err := p.floats(n.GetInput()[slot])
	if err != nil {
		return err
	}
	n.Input[slot] = p.addTensor(n.GetInput()[slot], onnx.FromFloat64(t.DType, scaled(v, t.Dims, len(t.Dims)-1, by), t.Dims...))
	return nil
}

// addBehind gives a MatMul an Add, which makes what the product made.
func (p *plainer) addBehind(n *onnx.Node) *onnx.Node {
	out := n.GetOutput()[0]
	n.Output[0] = p.fresh(out)
	add := onnx.NewNode("Add", onnx.NodeName(n)+"/bias", []string{n.Output[0], ""}, []string{out})
	p.behind[n] = add
	return add
}

// outAxis is the axis of a reader's weights that counts what it makes.
func outAxis(r reader) int {
	if r.n.GetOpType() == "Conv" {
		return 0
	}
	return 1 - r.c.ParamAxis
}

// scaled are weights of the given dims times a number for each position along an axis.
func scaled(w []float64, dims []int64, axis int, by []float64) []float64 {
	out, inner := make([]float64, len(w)), inside(dims, axis)
	for k, x := range w {
		out[k] = x * by[k/inner%len(by)]
	}
	return out
}

// summed adds up weights of the given dims but for one axis.
func summed(w []float64, dims []int64, axis int) []float64 {
	out, inner := make([]float64, dims[axis]), inside(dims, axis)
	for k, x := range w {
		out[k/inner%len(out)] += x
	}
	return out
}

// inside is the number of entries for each position along an axis.
func inside(dims []int64, axis int) int {
	n := 1
	for _, d := range dims[axis+1:] {
		n *= int(d)
	}
	return n
}

func (p *plainer) add(base string, v []float64, like *onnx.TensorProto) string {
	return p.addTensor(base, onnx.FromFloat64(onnx.DType(like.GetDataType()), v, int64(len(v))))
}

func (p *plainer) addTensor(base string, t *onnx.Tensor) string {
	name := p.fresh(base)
	p.g.Initializer = append(p.g.Initializer, t.Proto(name))
	return name
}

// fresh is a name that nothing has.
func (p *plainer) fresh(base string) string {
	name := base + "/plain"
	for k := 2; p.ix.Has(name) || p.taken[name]; k++ {
		name = fmt.Sprintf("%s/plain%d", base, k)
	}
	p.taken[name] = true
	return name
}
