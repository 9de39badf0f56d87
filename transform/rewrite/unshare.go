package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// unshare gives every place that reads an initializer a copy of its own. The first keeps the name, unless
// the initializer is a graph output or captured by a subgraph: then that one does.
//
// A matrix that is a table of embeddings and also maps back to the vocabulary stays one: its two uses have
// the vocabulary and the features in common.
func unshare(m *onnx.Model, r *Record) error {
	e, err := edit(m)
	if err != nil {
		return err
	}
	for _, t := range slices.Clone(e.graph.GetInitializer()) {
		name := t.GetName()
		uses := slices.DeleteFunc(slices.Clone(e.uses[name]), func(u onnx.Use) bool { return u.Slot < 0 })
		if len(uses) == len(e.uses[name]) && !e.outputs[name] && len(uses) > 0 {
			uses = uses[1:]
		}
		if len(uses) == 0 {
			continue
		}
		if e.tied(name) {
			r.note("%q stays shared: it is both a table of embeddings and a matrix", name)
			continue
		}
		for _, u := range uses {
			own := onnx.Clone(t)
			own.Name = proto.String(e.fresh(name))
			e.inits[own.GetName()] = own
			e.graph.Initializer = append(e.graph.Initializer, own)
			e.setInput(u.Node, u.Slot, own.GetName())
			r.did("copies made")
		}
	}
	return nil
}

// tied reports whether the initializer is a matrix whose rows one node gathers and that another uses as a
// matrix, transposed on the way or not.
func (e *editor) tied(name string) bool {
	t := e.inits[name]
	if t == nil || len(t.GetDims()) != 2 {
		return false
	}
	table, matrix := false, false
	for _, u := range e.uses[name] {
		switch n := u.Node; {
		case isOp(n, "Gather") && u.Slot == 0 && onnx.AttrInt(n, "axis", 0) == 0:
			table = true
		case isOp(n, "Transpose", "MatMul", "Gemm") && u.Slot >= 0:
			matrix = true
		}
	}
	return table && matrix
}
