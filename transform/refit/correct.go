package refit

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// correctNodes adds corrections, one for each group, to the weights of a problem's nodes and the bias of the last.
func correctNodes(m *onnx.Model, p *problem, groups []*correction) error {
	shift := make([]float64, p.groups*p.o)
	for g, c := range groups {
		if c != nil {
			copy(shift[g*p.o:], c.b)
		}
	}
	var dtype onnx.DType
	for _, q := range p.parts {
		var err error
		if dtype, err = q.correct(m, p.o, groups); err != nil {
			return err
		}
	}
	return shiftBias(m, p, dtype, shift)
}

// correct adds to the weights of a node, and returns their type.
func (q part) correct(m *onnx.Model, o int, groups []*correction) (onnx.DType, error) {
	proto := find(m.Graph(), q.Weight)
	t, err := onnx.TensorOf(proto)
	if err != nil {
		return onnx.Undefined, err
	}
	w, err := t.Float64s()
	if err != nil {
		return t.DType, err
	}
	for g, c := range groups {
		if c == nil {
			continue
		}
		for i := range o {
			for j, x := range c.w.row(i)[q.first : q.first+q.d] {
				w[q.at(g*o+i, j, o)] += x
			}
		}
	}
	setTensor(proto, onnx.FromFloat64(t.DType, w, t.Dims...))
	return t.DType, nil
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
		node := p.parts[len(p.parts)-1].node
		node.Input = append(node.Input[:2:2], name)
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
