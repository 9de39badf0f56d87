package attach

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Keys of a merged file's metadata.
const (
	HeadsKey = "onnx_zip.heads"        // names of the heads, separated by commas
	TrunkKey = "onnx_zip.trunk"        // JSON list of the values that the trunk hands to the heads
	JointKey = "onnx_zip.joint.output" // the output over all heads
)

// Heads lists the heads of a merged file, by its metadata; nil for a file that onnx-zip has not written.
func Heads(m *onnx.Model) []string {
	if list := m.Metadata(HeadsKey); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

// Names maps a head's inputs or outputs (what is "input" or "output") in the merged file to its source's.
func Names(m *onnx.Model, what, head string) map[string]string {
	names := map[string]string{}
	for _, kv := range m.Proto.GetMetadataProps() {
		if name, ok := strings.CutPrefix(kv.GetKey(), "onnx_zip."+what+"."+head+"."); ok {
			names[kv.GetValue()] = name
		}
	}
	return names
}

// Outputs lists the outputs of the given heads, in the file's order.
func Outputs(m *onnx.Model, heads ...string) []string {
	var out []string
	for _, v := range m.Graph().GetOutput() {
		for _, h := range heads {
			if Names(m, "output", h)[v.GetName()] != "" {
				out = append(out, v.GetName())
			}
		}
	}
	return out
}

// SetTrunk notes in a merged file which values its trunk hands to the heads.
func SetTrunk(m *onnx.Model, values []string) error {
	text, err := json.Marshal(values)
	if err != nil {
		return err
	}
	m.SetMetadata(TrunkKey, string(text))
	return nil
}

// Trunk lists the values that a merged file's trunk hands to its heads: those of its metadata that are still there,
// else what several heads need.
func Trunk(m *onnx.Model) ([]string, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	var values []string
	if json.Unmarshal([]byte(m.Metadata(TrunkKey)), &values) == nil {
		values = slices.DeleteFunc(values, func(v string) bool { return ix.Producer(v) == nil })
	}
	if len(values) > 0 {
		return values, nil
	}
	return sharedEnds(m, ix), nil
}

// sharedEnds lists the values that two heads or more need and that lead on to what fewer need.
func sharedEnds(m *onnx.Model, ix *onnx.Index) []string {
	count := map[*onnx.Node]int{}
	for _, h := range Heads(m) {
		for n := range ancestors(ix, Outputs(m, h)) {
			count[n]++
		}
	}
	var ends []string
	for _, n := range ix.Order {
		for _, out := range n.GetOutput() {
			if count[n] > 1 && slices.ContainsFunc(ix.Uses(out), func(u onnx.Use) bool { return count[u.Node] < 2 }) {
				ends = append(ends, out)
			}
		}
	}
	return ends
}

// ancestors are the nodes that lead to the values.
func ancestors(ix *onnx.Index, values []string) map[*onnx.Node]bool {
	found := map[*onnx.Node]bool{}
	stack := slices.Clone(values)
	for len(stack) > 0 {
		n := ix.Producer(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		if n != nil && !found[n] {
			found[n] = true
			stack = append(stack, onnx.Reads(n)...)
		}
	}
	return found
}

// KeepNeeded drops nodes and initializers that neither an output nor one of the other values needs.
func KeepNeeded(g *onnx.Graph, others ...string) error {
	ix, err := onnx.NewIndex(g)
	if err != nil {
		return err
	}
	roots := slices.Clone(others)
	for _, v := range g.GetOutput() {
		roots = append(roots, v.GetName())
	}
	nodes, needed := ancestors(ix, roots), map[string]bool{}
	for _, v := range roots {
		needed[v] = true
	}
	for n := range nodes {
		for _, v := range onnx.Reads(n) {
			needed[v] = true
		}
	}
	g.Node = slices.DeleteFunc(g.Node, func(n *onnx.Node) bool { return !nodes[n] })
	g.Initializer = slices.DeleteFunc(g.Initializer, func(t *onnx.TensorProto) bool { return !needed[t.GetName()] })
	g.ValueInfo = slices.DeleteFunc(g.ValueInfo, func(v *onnx.ValueInfo) bool { return !needed[v.GetName()] })
	return nil
}

// Cut returns a merged file up to the given values, which become its outputs.
func Cut(m *onnx.Model, values []string) (*onnx.Model, error) {
	out := m.Clone()
	g := out.Graph()
	g.Output = nil
	for _, v := range values {
		g.Output = append(g.Output, onnx.NewValueInfo(v, onnx.Undefined, nil))
	}
	return out, KeepNeeded(g)
}

// Drop returns a merged file without some of its heads and what only they used, but for the values to keep, and without
// its joint output, which speaks of them. Metadata follows.
func Drop(m *onnx.Model, heads, keep []string) (*onnx.Model, error) {
	left := slices.DeleteFunc(Heads(m), func(h string) bool { return slices.Contains(heads, h) })
	gone := Outputs(m, heads...)
	for _, h := range heads {
		if len(Outputs(m, h)) == 0 {
			return nil, fault.New(fault.Usage, "unknown_head", "there is no head %q", h).InFile(m.File).
				WithHint("heads: %s", strings.Join(Heads(m), ", "))
		}
	}
	out := m.Clone()
	if joint := m.Metadata(JointKey); joint != "" {
		gone = append(gone, joint)
	}
	g := out.Graph()
	g.Output = slices.DeleteFunc(g.Output, func(v *onnx.ValueInfo) bool { return slices.Contains(gone, v.GetName()) })
	out.Proto.MetadataProps = slices.DeleteFunc(out.Proto.MetadataProps, func(kv *onnx.KeyValue) bool {
		return strings.HasPrefix(kv.GetKey(), "onnx_zip.joint.") || slices.ContainsFunc(heads, func(h string) bool { return ownedBy(kv.GetKey(), h) })
	})
	out.SetMetadata(HeadsKey, strings.Join(left, ","))
	return out, KeepNeeded(g, keep...)
}

// ownedBy is true of metadata that speaks of one head.
func ownedBy(key, head string) bool {
	if rest, ours := strings.CutPrefix(key, "onnx_zip."); ours {
		parts := strings.Split(rest, ".")
		return len(parts) > 1 && parts[1] == head
	}
	return strings.HasPrefix(key, head+".")
}

// Same reports whether two files hold the same bytes in all nodes and tensors that lead to these outputs, in the same
// order; the second result counts the nodes, or says what differs.
func Same(a, b *onnx.Model, outputs []string) (nodes int, difference string, err error) {
	x, err := Cut(a, outputs)
	if err != nil {
		return 0, "", err
	}
	y, err := Cut(b, outputs)
	if err != nil {
		return 0, "", err
	}
	if len(x.Graph().Node) != len(y.Graph().Node) || len(x.Graph().Initializer) != len(y.Graph().Initializer) {
		return 0, "other numbers of nodes or tensors", nil
	}
	for k, n := range x.Graph().Node {
		if !sameBytes(n, y.Graph().Node[k]) {
			return 0, "node " + onnx.NodeName(n), nil
		}
	}
	for k, t := range x.Graph().Initializer {
		if !sameBytes(t, y.Graph().Initializer[k]) {
			return 0, "tensor " + t.GetName(), nil
		}
	}
	return len(x.Graph().Node), "", nil
}

func sameBytes(a, b proto.Message) bool {
	o := proto.MarshalOptions{Deterministic: true}
	x, errX := o.Marshal(a)
	y, errY := o.Marshal(b)
	return errX == nil && errY == nil && slices.Equal(x, y)
}
