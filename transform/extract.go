package transform

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Heads lists the heads of a merged file, by its metadata; nil for a file that onnx-zip has not written.
func Heads(m *onnx.Model) []string {
	if list := m.Metadata("onnx_zip.heads"); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

// Extract returns one head of a merged file as a model of its own: the trunk with that head, under the source's
// names of inputs and outputs. Errors: fault.Model for a file that onnx-zip has not written, fault.Usage for an
// unknown head.
func Extract(m *onnx.Model, head string) (*onnx.Model, error) {
	heads := Heads(m)
	if heads == nil {
		return nil, fault.New(fault.Model, "not_merged", "no heads are recorded: onnx-zip has not written this file").InFile(m.File)
	}
	if !slices.Contains(heads, head) {
		return nil, fault.New(fault.Usage, "unknown_head", "there is no head %q", head).InFile(m.File).
			WithHint("heads: %s", strings.Join(heads, ", "))
	}
	out := m.Clone()
	g := out.Graph()
	outputs, inputs := sourceNames(m, "output", head), sourceNames(m, "input", head)
	g.Output = slices.DeleteFunc(g.Output, func(v *onnx.ValueInfo) bool { return outputs[v.GetName()] == "" })
	if err := keepNeeded(g); err != nil {
		return nil, err
	}
	renameAll(g, g.Output, outputs)
	renameAll(g, g.Input, inputs)
	out.Proto.MetadataProps = headMetadata(m, head)
	_, err := onnx.NewIndex(g)
	return out, err
}

// sourceNames maps the merged names of a head's inputs or outputs to the source's.
func sourceNames(m *onnx.Model, what, head string) map[string]string {
	names := map[string]string{}
	for _, kv := range m.Proto.GetMetadataProps() {
		if name, ok := strings.CutPrefix(kv.GetKey(), "onnx_zip."+what+"."+head+"."); ok {
			names[kv.GetValue()] = name
		}
	}
	return names
}

// renameAll gives inputs or outputs their own names again; inner values of such a name yield.
func renameAll(g *onnx.Graph, values []*onnx.ValueInfo, names map[string]string) {
	for _, v := range values {
		to := names[v.GetName()]
		if to == "" || to == v.GetName() {
			continue
		}
		onnx.RenameValue(g, to, to+"/inner")
		onnx.RenameValue(g, v.GetName(), to)
		v.Name = proto.String(to)
	}
}

// keepNeeded drops nodes, initializers and inputs that no output needs.
func keepNeeded(g *onnx.Graph) error {
	ix, err := onnx.NewIndex(g)
	if err != nil {
		return err
	}
	needed := map[string]bool{}
	var stack []string
	for _, v := range g.GetOutput() {
		stack = append(stack, v.GetName())
	}
	nodes := map[*onnx.Node]bool{}
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		needed[v] = true
		if n := ix.Producer(v); n != nil && !nodes[n] {
			nodes[n] = true
			stack = append(stack, onnx.Reads(n)...)
		}
	}
	g.Node = slices.DeleteFunc(g.Node, func(n *onnx.Node) bool { return !nodes[n] })
	g.Initializer = slices.DeleteFunc(g.Initializer, func(t *onnx.TensorProto) bool { return !needed[t.GetName()] })
	g.Input = slices.DeleteFunc(g.Input, func(v *onnx.ValueInfo) bool { return !needed[v.GetName()] })
	g.ValueInfo = nil
	return nil
}

// headMetadata is what the sources shared, and the head's own properties under their old names.
func headMetadata(m *onnx.Model, head string) []*onnx.KeyValue {
	var out []*onnx.KeyValue
	others := Heads(m)
	for _, kv := range m.Proto.GetMetadataProps() {
		key := kv.GetKey()
		owner, rest, scoped := strings.Cut(key, ".")
		switch {
		case strings.HasPrefix(key, "onnx_zip."):
			continue
		case scoped && owner == head:
			key = rest
		case scoped && slices.Contains(others, owner):
			continue
		}
		out = append(out, &onnx.KeyValue{Key: proto.String(key), Value: proto.String(kv.GetValue())})
	}
	return append(out, &onnx.KeyValue{Key: proto.String("onnx_zip.extracted"), Value: proto.String(head)})
}
