package refit

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// correctNode adds corrections to the weights and the bias of a node. A depthwise node has one correction for
// each channel, others one for all.
func correctNode(m *onnx.Model, node *onnx.Node, n Linear, k kernel, cs []*correction) error {
	p := find(m.Graph(), n.Weight)
	if p == nil {
		return fault.New(fault.Internal, "no_weight", "no initializer %q", n.Weight)
	}
	t, err := onnx.TensorOf(p)
	if err != nil {
		return err
	}
	w, err := t.Float64s()
	if err != nil {
		return err
	}
	var shift []float64
	switch {
	case k.depthwise():
		shift = make([]float64, len(cs))
		per := len(w) / len(cs)
		for c, x := range cs {
			if x == nil {
				continue
			}
			shift[c] = x.b[0]
			for j := range per {
				w[c*per+j] += x.w.At(0, j)
			}
		}
	default:
		shift = cs[0].b
		addWeights(w, t.Dims, k, cs[0])
	}
	setTensor(p, onnx.FromFloat64(t.DType, w, t.Dims...))
	return shiftBias(m, node, n, t.DType, shift)
}

// addWeights adds ΔW [O, d] to weights in the layout of their operator. The columns of a convolution are
// ordered by kernel tap first, channel second, as gramGraph stacks them.
func addWeights(w []float64, dims []int64, k kernel, c *correction) {
	o, d := c.w.Dims()
	switch {
	case k.op == "Conv":
		channels := int(dims[1])
		taps := int(dims[2] * dims[3])
		for i := range o {
			for j := range d {
				tap, channel := j/channels, j%channels
				w[(i*channels+channel)*taps+tap] += c.w.At(i, j)
			}
		}
	case k.op == "Gemm" && k.transB:
		for i := range o {
			for j := range d {
				w[i*d+j] += c.w.At(i, j)
			}
		}
	default: // [d, O]
		for i := range o {
			for j := range d {
				w[j*o+i] += c.w.At(i, j)
			}
		}
	}
}

func setTensor(p *onnx.TensorProto, t *onnx.Tensor) {
	p.RawData = t.Raw
	p.FloatData, p.DoubleData, p.Int32Data = nil, nil, nil
}

// shiftBias adds shift to the node's bias; a node without one gets one where its operator can have it.
func shiftBias(m *onnx.Model, node *onnx.Node, n Linear, dtype onnx.DType, shift []float64) error {
	if n.Bias == "" {
		if node.GetOpType() == "MatMul" {
			return nil // the fit's mean goes uncorrected: MatMul has no bias
		}
		name := n.Node + "/bias"
		m.Graph().Initializer = append(m.Graph().Initializer, onnx.FromFloat64(dtype, shift, int64(len(shift))).Proto(name))
		node.Input = append(node.Input[:2:2], name)
		return nil
	}
	p := find(m.Graph(), n.Bias)
	t, err := onnx.TensorOf(p)
	if err != nil {
		return err
	}
	b, err := t.Float64s()
	if err != nil {
		return err
	}
	if len(b) != len(shift) {
		return fault.New(fault.Internal, "bias", "bias %q has %d values for %d channels", n.Bias, len(b), len(shift))
	}
	for c := range b {
		b[c] += shift[c]
	}
	setTensor(p, onnx.FromFloat64(t.DType, b, t.Dims...))
	return nil
}
