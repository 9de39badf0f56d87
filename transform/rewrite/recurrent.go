package rewrite

import (
	"github.com/onnx-zip/onnx-zip/onnx"
)

// spellRecurrent leaves out the initial states of an LSTM, GRU or RNN that are zero, which says the same: exporters
// compute zeros of the state's size, which hides that the state could have another.
func spellRecurrent(e *editor, n *onnx.Node) (changed bool) {
	for slot := 6; slot >= 5; slot-- {
		if v := input(n, slot); v != "" && e.isZero(v) {
			e.setInput(n, slot, "")
			changed = true
		}
	}
	return changed
}

// keepsZero are operators that only lay out, pick or repeat what their first input holds.
var keepsZero = map[string]bool{
	"Slice": true, "Expand": true, "Tile": true, "Reshape": true, "Unsqueeze": true, "Squeeze": true, "Transpose": true,
	"Identity": true, "Cast": true, "Gather": true,
}

// isZero reports whether a value is seen to be zero everywhere.
func (e *editor) isZero(value string) bool {
	if e.isConstant(value) {
		_, v, ok := e.floats(value)
		return ok && allZero(v)
	}
	n := e.producer[value]
	switch {
	case n == nil || !isStandard(n):
		return false
	case n.GetOpType() == "ConstantOfShape":
		a := onnx.Attr(n, "value")
		if a == nil {
			return true
		}
		t, err := onnx.TensorOf(a.GetT())
		if err != nil {
			return false
		}
		v, err := t.Float64s()
		return err == nil && allZero(v)
	}
	return keepsZero[n.GetOpType()] && e.isZero(input(n, 0))
}

func allZero(v []float64) bool {
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}
