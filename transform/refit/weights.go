package refit

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// scaleNode changes a node's weights so that it makes gain·z + shift instead of z. A node without a bias
// gets one.
func scaleNode(m *onnx.Model, n Node, gain, shift []float64) error {
	w := find(m.Graph(), n.Weight)
	if w == nil {
		return fault.New(fault.Internal, "no_weight", "no initializer %q", n.Weight)
	}
	if err := ScaleAxis(w, n.WeightAxis, gain, nil); err != nil {
		return err
	}
	if n.Bias != "" {
		b := find(m.Graph(), n.Bias)
		return ScaleAxis(b, max(len(b.GetDims())-1, 0), gain, shift) // [C], or a Gemm's [1, C]
	}
	return addBias(m, n, onnx.DType(w.GetDataType()), shift)
}

func find(g *onnx.Graph, name string) *onnx.TensorProto {
	for _, t := range g.GetInitializer() {
		if t.GetName() == name {
			return t
		}
	}
	return nil
}

// ScaleAxis multiplies the slices of a tensor along an axis and adds a shift to each; a nil shift adds nothing. gain and shift
// have an entry for each slice.
func ScaleAxis(p *onnx.TensorProto, axis int, gain, shift []float64) error {
	t, err := onnx.TensorOf(p)
	if err != nil {
		return err
	}
	v, err := t.Float64s()
	if err != nil {
		return err
	}
	inner := 1
	for _, d := range t.Dims[axis+1:] {
		inner *= int(d)
	}
	for k := range v {
		c := k / inner % len(gain)
		v[k] *= gain[c]
		if shift != nil {
			v[k] += shift[c]
		}
	}
	setTensor(p, onnx.FromFloat64(t.DType, v, t.Dims...))
	return nil
}

// addBias gives the node that makes n.Output a bias.
func addBias(m *onnx.Model, n Node, dtype onnx.DType, bias []float64) error {
	for _, node := range m.Graph().GetNode() {
		if len(node.GetOutput()) == 0 || node.GetOutput()[0] != n.Output {
			continue
		}
		name := n.Output + "/bias"
		t := onnx.FromFloat64(dtype, bias, int64(len(bias)))
		m.Graph().Initializer = append(m.Graph().Initializer, t.Proto(name))
		node.Input = append(node.Input[:2:2], name)
		return nil
	}
	return fault.New(fault.Internal, "no_node", "no node makes %q", n.Output)
}
