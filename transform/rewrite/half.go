package rewrite

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Precision says how to write a model back that was brought to float32. Its zero value is for models that
// have no half precision: nothing is to be done.
type Precision struct {
	// Type of the weights in the file: float16, bfloat16, or undefined.
	Type onnx.DType
	// WeightsOnly says that the file computes in float32, at least in places: there an exporter or a
	// converter found half precision too narrow, so the weights alone are written in Type.
	WeightsOnly bool
}

// ToFloat32 returns a copy of a model with float16 or bfloat16 weights that computes the same in float32:
// engines have no kernels for bfloat16 on the CPU, and weights folded, averaged and solved for should be
// rounded once, at the end. Graph inputs and outputs keep their types through Casts. Other models come back
// as they are.
func ToFloat32(m *onnx.Model) (*onnx.Model, Precision, error) {
	half, err := halfType(m)
	if err != nil || half == onnx.Undefined {
		return m, Precision{}, err
	}
	p := Precision{Type: half, WeightsOnly: needsFloat32(m, half)}
	m = m.Clone()
	c := retyper{from: half, to: onnx.Float}
	for _, f := range m.Proto.GetFunctions() {
		c.nodes(f.GetNode())
	}
	c.main(m.Graph())
	return m, p, c.err
}

// Restore writes a model back as the precision says, in place.
func (p Precision) Restore(m *onnx.Model) error {
	switch {
	case p.Type == onnx.Undefined:
		return nil
	case p.WeightsOnly:
		narrowWeights(m.Graph(), p.Type)
		return nil
	}
	c := retyper{from: onnx.Float, to: p.Type, keep: scalesOf(m.Graph())}
	c.main(m.Graph())
	if c.err != nil {
		return c.err
	}
	return dropIdentities(m, &Record{}) // the Casts that ToFloat32 added do nothing now
}

// Join is the precision of a model merged of two; an error where their types differ.
func (p Precision) Join(q Precision) (Precision, error) {
	if p.Type != q.Type {
		return p, fault.New(fault.Unsupported, "mixed_precision", "its weights are %v, those of the other models %v", q.name(), p.name()).
			WithHint("export the models with the same type")
	}
	p.WeightsOnly = p.WeightsOnly || q.WeightsOnly
	return p, nil
}

func (p Precision) name() string {
	if p.Type == onnx.Undefined {
		return "of full precision"
	}
	return p.Type.String()
}

// halfType is the half precision of the weights, undefined where no weight has any.
func halfType(m *onnx.Model) (onnx.DType, error) {
	found := map[onnx.DType]bool{}
	note := func(t *onnx.TensorProto) { found[onnx.DType(t.GetDataType())] = true }
	var nodes func(list []*onnx.Node)
	graph := func(g *onnx.Graph) {
		for _, t := range g.GetInitializer() {
			note(t)
		}
		nodes(g.GetNode())
	}
	nodes = func(list []*onnx.Node) {
		for _, n := range list {
			for _, a := range n.GetAttribute() {
				note(a.GetT())
			}
			eachSubgraph(n, graph)
		}
	}
	graph(m.Graph())
	for _, f := range m.Proto.GetFunctions() {
		nodes(f.GetNode())
	}
	switch {
	case found[onnx.Float16] && found[onnx.BFloat16]:
		return 0, fault.New(fault.Unsupported, "mixed_precision", "some weights are float16, some bfloat16").InFile(m.File).
			WithHint("export the model with one type")
	case found[onnx.Float16]:
		return onnx.Float16, nil
	case found[onnx.BFloat16]:
		return onnx.BFloat16, nil
	}
	return onnx.Undefined, nil
}

// needsFloat32 reports whether a model has places that are to stay float32: a Cast from half precision says
// so, and some operators know nothing else or may not.
func needsFloat32(m *onnx.Model, half onnx.DType) bool {
	e, err := editTyped(m)
	if err != nil {
		return false // an invalid graph is for others to report
	}
	for n := range e.nodes {
		switch {
		case isOp(n, "Cast") && onnx.AttrInt(n, "to", 0) == int64(onnx.Float) && !e.outputs[n.Output[0]] && e.value(input(n, 0)).DType == half,
			isOp(n, "NonMaxSuppression"),
			isOp(n, "Resize") && input(n, 2) != "" && !e.isConstant(input(n, 2)),
			!isStandard(n) && len(m.Proto.GetFunctions()) == 0:
			return true
		}
	}
	return false
}
