package cost

import "github.com/onnx-zip/onnx-zip/onnx"

// paramCounter counts every constant once, at the first node that reads it.
type paramCounter struct {
	index *onnx.Index
	seen  map[string]bool
}

func newParamCounter(ix *onnx.Index) *paramCounter {
	return &paramCounter{ix, map[string]bool{}}
}

// of is the number of parameters that n reads and no node before it.
func (p *paramCounter) of(n *onnx.Node) int64 {
	var total int64
	for _, value := range onnx.Reads(n) {
		t := p.index.Constant(value)
		if t == nil || p.seen[value] {
			continue
		}
		p.seen[value] = true
		if isParam(t) {
			total = plus(total, times(t.GetDims()...))
		}
	}
	return total
}

// isParam tells weights from settings: scalars, shapes, indices and masks.
func isParam(t *onnx.TensorProto) bool {
	switch onnx.DType(t.GetDataType()) {
	case onnx.Int32, onnx.Int64, onnx.Uint32, onnx.Uint64, onnx.Bool, onnx.String:
		return false
	}
	return len(t.GetDims()) > 0
}
