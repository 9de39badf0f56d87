package rewrite

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// ShareAgain keeps one of several initializers of equal type, dims and bytes, the first, and makes all nodes
// read that. It returns how many went. It undoes what unshare did, as far as a merge left copies equal, and
// is for saving only: a shared tensor ties what has nothing to do with each other.
//
// Initializers that nobody reads, that are graph inputs or outputs, or that subgraphs capture stay.
func ShareAgain(m *onnx.Model) (int, error) {
	e, err := edit(m)
	if err != nil {
		return 0, err
	}
	dropped := map[string]bool{}
	first := map[string]*onnx.TensorProto{}
	for _, t := range e.graph.GetInitializer() {
		name := t.GetName()
		key, raw, ok := contentKey(t)
		if !ok || len(e.uses[name]) == 0 {
			continue
		}
		keep := first[key]
		if keep == nil || !bytes.Equal(rawOf(keep), raw) {
			first[key] = t
			continue
		}
		if !isInput(e.graph, name) && e.redirect(name, keep.GetName()) {
			dropped[name] = true
		}
	}
	e.graph.Initializer = slices.DeleteFunc(e.graph.Initializer, func(t *onnx.TensorProto) bool { return dropped[t.GetName()] })
	return len(dropped), nil
}

// contentKey is equal for tensors of equal type, dims and bytes; ok is false for types without plain bytes.
func contentKey(t *onnx.TensorProto) (key string, raw []byte, ok bool) {
	if raw = rawOf(t); raw == nil {
		return "", nil, false
	}
	return fmt.Sprintf("%d %v %x", t.GetDataType(), t.GetDims(), sha256.Sum256(raw)), raw, true
}

func rawOf(t *onnx.TensorProto) []byte {
	tensor, err := onnx.TensorOf(t)
	if err != nil {
		return nil
	}
	return tensor.Raw
}

func isInput(g *onnx.Graph, name string) bool {
	return slices.ContainsFunc(g.GetInput(), func(v *onnx.ValueInfo) bool { return v.GetName() == name })
}
