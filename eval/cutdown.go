package eval

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// onlyOutputs is the part of m that computes some of its outputs. It shares m's nodes and tensors, so neither is
// to be changed.
func onlyOutputs(m *onnx.Model, outputs []string) (*onnx.Model, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	for _, name := range outputs {
		if ix.Output(name) == nil {
			return nil, fault.New(fault.Usage, "no_output", "the model has no output %q", name).InFile(m.File)
		}
	}
	needed := needs(ix, outputs)
	old := m.Graph()
	g := &onnx.Graph{Name: old.Name, QuantizationAnnotation: old.QuantizationAnnotation, SparseInitializer: old.SparseInitializer}
	isNeeded := func(value string) bool { return needed[value] }
	g.Node = filter(old.GetNode(), func(n *onnx.Node) bool { return slices.ContainsFunc(n.GetOutput(), isNeeded) })
	g.Initializer = filter(old.GetInitializer(), func(t *onnx.TensorProto) bool { return needed[t.GetName()] })
	g.Input = filter(old.GetInput(), func(v *onnx.ValueInfo) bool { return needed[v.GetName()] })
	g.Output = filter(old.GetOutput(), func(v *onnx.ValueInfo) bool { return slices.Contains(outputs, v.GetName()) })
	proto := &onnx.ModelProto{IrVersion: m.Proto.IrVersion, OpsetImport: m.Proto.OpsetImport, Functions: m.Proto.Functions, Graph: g}
	return &onnx.Model{Proto: proto, File: m.File}, nil
}

// needs marks the values that others are computed from, and these themselves.
func needs(ix *onnx.Index, values []string) map[string]bool {
	needed := map[string]bool{}
	for stack := slices.Clone(values); len(stack) > 0; {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if needed[v] {
			continue
		}
		needed[v] = true
		if n := ix.Producer(v); n != nil {
			stack = append(stack, onnx.Reads(n)...)
		}
	}
	return needed
}

func filter[T any](all []T, keep func(T) bool) []T {
	var out []T
	for _, x := range all {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}
