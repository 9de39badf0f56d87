package transform

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"google.golang.org/protobuf/proto"
)

// Heads lists the heads of a merged file, by its metadata; nil for a file that onnx-zip has not written.
func Heads(m *onnx.Model) []string { return attach.Heads(m) }

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
	outputs, inputs := attach.Names(m, "output", head), attach.Names(m, "input", head)
	g.Output = slices.DeleteFunc(g.Output, func(v *onnx.ValueInfo) bool { return outputs[v.GetName()] == "" })
	if err := attach.KeepNeeded(g); err != nil {
		return nil, err
	}
	g.Input = slices.DeleteFunc(g.Input, func(v *onnx.ValueInfo) bool { return inputs[v.GetName()] == "" })
	g.ValueInfo = nil
	renameAll(g, g.Output, outputs)
	renameAll(g, g.Input, inputs)
	out.Proto.MetadataProps = headMetadata(m, head)
	_, err := onnx.NewIndex(g)
	return out, err
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
