package refit

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// correctNode adds corrections, one for each group, to the weights and the bias of a node.
func correctNode(m *onnx.Model, p *problem, groups []*correction) error {
	proto := find(m.Graph(), p.Weight)
	t, err := onnx.TensorOf(proto)
	if err != nil {
		return err
	}
	w, err := t.Float64s()
	if err != nil {
		return err
	}
	shift := make([]float64, p.groups*p.o)
	for g, c := range groups {
		if c == nil {
			continue
		}
		copy(shift[g*p.o:], c.b)
		for i := range p.o {
			for j, x := range c.w.row(i) {
				w[p.at(g*p.o+i, j)] += x
			}
		}
	}
	setTensor(proto, onnx.FromFloat64(t.DType, w, t.Dims...))
	return shiftBias(m, p, t.DType, shift)
}

func setTensor(p *onnx.TensorProto, t *onnx.Tensor) {
	p.RawData = t.Raw
	p.FloatData, p.DoubleData, p.Int32Data = nil, nil, nil
}

// shiftBias adds shift to the node's bias; a node without one gets one where its operator can have it.
func shiftBias(m *onnx.Model, p *problem, dtype onnx.DType, shift []float64) error {
	if p.noBias() {
		return nil
	}
	if p.Bias == "" {
		name := p.Node + "/bias"
		m.Graph().Initializer = append(m.Graph().Initializer, onnx.FromFloat64(dtype, shift, int64(len(shift))).Proto(name))
		p.node.Input = append(p.node.Input[:2:2], name)
		return nil
	}
	proto := find(m.Graph(), p.Bias)
	t, err := onnx.TensorOf(proto)
	if err != nil {
		return err
	}
	b, err := t.Float64s()
	if err != nil {
		return err
	}
	if len(b) != len(shift) {
		return fault.New(fault.Internal, "bias", "bias %q has %d values for %d channels", p.Bias, len(b), len(shift))
	}
	for c := range b {
		b[c] += shift[c]
	}
	setTensor(proto, onnx.FromFloat64(t.DType, b, t.Dims...))
	return nil
}
