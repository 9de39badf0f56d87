package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// foldPads moves zeros that a Pad puts around a map into the Conv or AveragePool that alone reads it.
func foldPads(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if isOp(n, "Pad") && e.foldPad(n) {
			r.did("Pad folded")
		}
	}
	e.close()
	return nil
}

func (e *editor) foldPad(n *onnx.Node) bool {
	pads, given, ok := e.list(n, "pads", 1)
	if !given || !ok || onnx.AttrString(n, "mode", "constant") != "constant" || input(n, 3) != "" || len(pads) < 6 || !e.padsByZero(n) {
		return false
	}
	if slices.ContainsFunc(pads, func(p int64) bool { return p < 0 }) {
		return false
	}
	rank := len(pads) / 2
	if !all(pads[:2], 0) || !all(pads[rank:rank+2], 0) {
		return false
	}
	inner := append(slices.Clone(pads[2:rank]), pads[rank+2:]...)
	for _, op := range []string{"Conv", "AveragePool"} {
		reader := e.only(n.Output[0], op)
		if reader == nil || input(reader, 0) != n.Output[0] || !takesPads(reader, inner) {
			continue
		}
		own := onnx.AttrInts(reader, "pads")
		for i := range inner {
			inner[i] += own[i]
		}
		onnx.SetAttr(reader, onnx.Ints("pads", inner...))
		if op == "AveragePool" {
			onnx.SetAttr(reader, onnx.Int("count_include_pad", 1))
		}
		e.setInput(reader, 0, input(n, 0))
		e.replace(n)
		return true
	}
	return false
}

// padsByZero reports whether what a Pad adds is zero.
func (e *editor) padsByZero(n *onnx.Node) bool {
	if v := input(n, 2); v != "" {
		_, x, ok := e.floats(v)
		return ok && len(x) == 1 && x[0] == 0
	}
	return onnx.AttrFloat(n, "value", 0) == 0
}

// takesPads reports whether n may take more pads: an AveragePool counts either all pads or none, and has
// fewer than its window is long.
func takesPads(n *onnx.Node, more []int64) bool {
	own := onnx.AttrInts(n, "pads")
	if onnx.Attr(n, "auto_pad") != nil || len(own) != len(more) {
		return false
	}
	if !isOp(n, "AveragePool") {
		return true
	}
	kernel := onnx.AttrInts(n, "kernel_shape")
	if 2*len(kernel) != len(own) {
		return false
	}
	for i, p := range more {
		if p+own[i] >= kernel[i%len(kernel)] {
			return false
		}
	}
	return onnx.AttrInt(n, "ceil_mode", 0) == 0 && (all(own, 0) || onnx.AttrInt(n, "count_include_pad", 0) == 1)
}
