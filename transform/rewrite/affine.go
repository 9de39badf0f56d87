package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// foldAffine folds a Mul, Add, Sub or Div by a constant per channel, or by one number, into the Conv,
// ConvTranspose or Gemm before it.
func foldAffine(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if !isOp(n, "Mul", "Add", "Sub", "Div") || len(n.GetInput()) != 2 || e.opset() < 7 {
			continue
		}
		s, t, ok := e.affine(n)
		if ok && e.foldIntoMaker(n, s, t) {
			r.did(n.GetOpType() + " folded")
		}
	}
	e.close()
	return nil
}

// affine returns s and t with which n computes s·x + t of its first input, made by a contraction; t is nil
// where nothing is added.
func (e *editor) affine(n *onnx.Node) (s, t []float64, ok bool) {
	c := e.contraction(e.producer[n.Input[0]])
	if c == nil {
		return nil, nil, false
	}
	constant, v, ok := e.floats(n.Input[1])
	if !ok || len(v) == 0 {
		return nil, nil, false
	}
	if v, ok = perChannel(constant.Dims, v, c.channels, c.rank); !ok {
		return nil, nil, false
	}
	switch n.GetOpType() {
	case "Mul":
		return v, nil, true
	case "Div":
		for i := range v {
			v[i] = 1 / v[i]
		}
		return v, nil, finite(v)
	case "Sub":
		for i := range v {
			v[i] = -v[i]
		}
	}
	s = make([]float64, len(v))
	for i := range s {
		s[i] = 1
	}
	return s, v, true
}
