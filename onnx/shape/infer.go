package shape

import (
	"sort"
	"strconv"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Options is how Infer proceeds. The zero value takes the model's inputs as they are declared.
type Options struct {
	// InputDims binds the symbolic sizes of inputs, by name. A negative entry leaves a size as declared. A
	// declared symbol that is bound through one input is bound wherever it occurs.
	InputDims map[string][]int64
}

const (
	maxRank = 64      // values of a higher rank are unknown: a hostile graph doubles ranks at each node
	maxInts = 64      // the longest integer tensor whose contents are tracked
	maxSize = 1 << 40 // larger sizes are no sizes of tensors
)

// inference is one run over a graph.
type inference struct {
	model    *onnx.Model
	index    *onnx.Index
	opset    int64
	shapes   Shapes
	bound    map[string]int64 // declared symbols bound by Options.InputDims
	declared map[string]*onnx.ValueInfo
}

// Infer computes what is known about every value of m's main graph. Own inference is trusted over what the
// file declares, which only fills in what is unknown. A graph whose shapes contradict each other is an error of
// kind fault.Model that names the node.
func Infer(m *onnx.Model, o Options) (Shapes, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	inf := &inference{
		model: m, index: ix, opset: m.Opset(""),
		shapes: Shapes{}, bound: map[string]int64{}, declared: declarations(m.Graph()),
	}
	if err := inf.bind(o.InputDims); err != nil {
		return nil, err
	}
	for _, t := range m.Graph().GetInitializer() {
		v, err := tensorValue(t)
		if err != nil {
			return nil, err
		}
		inf.shapes[t.GetName()] = v
	}
	for _, in := range ix.Inputs() {
		inf.shapes[in.GetName()] = inf.inputValue(in, o.InputDims[in.GetName()])
	}
	for _, n := range ix.Order {
		if err := inf.node(n); err != nil {
			return nil, err
		}
	}
	return inf.shapes, nil
}

// declarations collects what the file says of node outputs.
func declarations(g *onnx.Graph) map[string]*onnx.ValueInfo {
	out := map[string]*onnx.ValueInfo{}
	for _, v := range g.GetOutput() {
		out[v.GetName()] = v
	}
	for _, v := range g.GetValueInfo() {
		out[v.GetName()] = v
	}
	return out
}

// bind checks the bindings of inputs and notes the symbols that they bind.
func (inf *inference) bind(dims map[string][]int64) error {
	left := len(dims)
	for _, in := range inf.index.Inputs() { // in the graph's order, so that errors do not depend on a map's
		bound, ok := dims[in.GetName()]
		if !ok {
			continue
		}
		left--
		if err := inf.bindInput(in, bound); err != nil {
			return err
		}
	}
	if left > 0 {
		return bindError(inf.strangers(dims), "the model has no such input")
	}
	return nil
}

// strangers names the bindings of inputs that the model does not have.
func (inf *inference) strangers(dims map[string][]int64) string {
	var names []string
	for name := range dims {
		if inf.index.Input(name) == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

func (inf *inference) bindInput(in *onnx.ValueInfo, bound []int64) error {
	_, declared, _ := onnx.TensorType(in)
	if declared != nil && len(bound) != len(declared) {
		return bindError(in.GetName(), "rank %d asked for, rank %d declared", len(bound), len(declared))
	}
	for i, d := range declared {
		if err := inf.bindDim(in.GetName(), i, d, bound[i]); err != nil {
			return err
		}
	}
	return nil
}

func (inf *inference) bindDim(input string, axis int, d onnx.Dim, size int64) error {
	if size < 0 {
		return nil
	}
	if d.Size >= 0 && d.Size != size {
		return bindError(input, "axis %d is declared as %d and cannot be %d", axis, d.Size, size)
	}
	if d.Param == "" {
		return nil
	}
	if old, twice := inf.bound[d.Param]; twice && old != size {
		return bindError(input, "axis %d: %q is %d already and cannot be %d", axis, d.Param, old, size)
	}
	inf.bound[d.Param] = size
	return nil
}

func bindError(input, format string, args ...any) error {
	return fault.New(fault.Usage, "input_dims", format, args...).AtValue(input)
}

// inputValue is an input as declared, with its symbols bound. A size that is declared without a symbol gets one
// of its own: to know an input's size is up to the caller, so it is not made up.
func (inf *inference) inputValue(in *onnx.ValueInfo, bound []int64) Value {
	v := inf.declaredValue(in)
	if !v.HasRank && bound != nil {
		v.HasRank, v.Dims = true, unknowns(len(bound))
	}
	for i := range v.Dims {
		if i < len(bound) && bound[i] >= 0 {
			v.Dims[i] = num(bound[i])
		}
	}
	v.Dims = nameAll(v.Dims, in.GetName()+"@", "")
	return v
}

// declaredValue is what a declaration says, with bound symbols replaced.
func (inf *inference) declaredValue(info *onnx.ValueInfo) Value {
	dtype, dims, ok := onnx.TensorType(info)
	if !ok {
		return Value{}
	}
	v := Value{DType: dtype, HasRank: dims != nil && len(dims) <= maxRank}
	if !v.HasRank {
		return v
	}
	for _, d := range dims {
		v.Dims = append(v.Dims, inf.declaredDim(d))
	}
	return v
}

func (inf *inference) declaredDim(d onnx.Dim) Dim {
	if size, ok := inf.bound[d.Param]; ok && d.Size < 0 {
		return num(size)
	}
	switch {
	case d.Size >= 0 && d.Size <= maxSize:
		return num(d.Size)
	case d.Param != "":
		return symbol(d.Param)
	}
	return unknown // negative sizes are seen in the wild and mean this too
}

// node applies the rule of n's operator and stores its outputs.
func (inf *inference) node(n *onnx.Node) error {
	var out []Value
	if r := ruleOf(n); r != nil {
		c := &call{inf: inf, node: n, opset: inf.opset}
		var err error
		if out, err = r(c); err != nil {
			return fault.As(err).AtNode(onnx.NodeName(n))
		}
	}
	for i, name := range n.GetOutput() {
		if name == "" {
			continue
		}
		var v Value
		if i < len(out) {
			v = out[i]
		}
		if err := checkValue(v); err != nil {
			return fault.As(err).AtNode(onnx.NodeName(n)).AtValue(name)
		}
		inf.shapes[name] = named(name, inf.refine(name, trimmed(v)))
	}
	return nil
}

// checkValue refuses sizes below zero: a window larger than its input, a slice of nothing.
func checkValue(v Value) error {
	for _, d := range v.Dims {
		if d.Known() && d.Size < 0 {
			return fault.New(fault.Model, "shape_mismatch", "the output would have dims %s", format(v.Dims))
		}
	}
	return nil
}

// trimmed drops what goes beyond the limits of this package.
func trimmed(v Value) Value {
	if len(v.Dims) > maxRank {
		v.HasRank, v.Dims = false, nil
	}
	v.Dims = append([]Dim(nil), v.Dims...) // a rule may hand on the slice of an input
	for i, d := range v.Dims {
		if d.Known() && d.Size > maxSize {
			v.Dims[i] = unknown
		}
	}
	if len(v.Ints) > maxInts || len(v.Dims) > 1 {
		v.Ints = nil
	}
	return v
}

// refine fills in what is unknown from the file's declaration, if it does not contradict what is known. Only
// made-up symbols are refined: a size that follows from the inputs' symbols is right for any input.
func (inf *inference) refine(name string, v Value) Value {
	info := inf.declared[name]
	if info == nil {
		return v
	}
	d := inf.declaredValue(info)
	if v.DType == onnx.Undefined {
		v.DType = d.DType
	}
	switch {
	case !d.HasRank:
	case !v.HasRank:
		v.HasRank, v.Dims = true, d.Dims
	case len(v.Dims) == len(d.Dims):
		dims := append([]Dim{}, v.Dims...)
		for i := range dims {
			if dims[i].madeUp() {
				dims[i] = d.Dims[i]
			}
		}
		v.Dims = dims
	}
	return v
}

// named gives the unknown entries of v symbols of their own, made of the value's name and the place.
func named(name string, v Value) Value {
	v.Dims = nameAll(v.Dims, "?"+name+".", "")
	v.Ints = nameAll(v.Ints, "?"+name+"[", "]")
	return v
}

func nameAll(dims []Dim, before, after string) []Dim {
	if !anonymous(dims...) {
		return dims
	}
	out := append([]Dim{}, dims...)
	for i := range out {
		if anonymous(out[i]) {
			out[i].Sym = before + strconv.Itoa(i) + after
		}
	}
	return out
}
