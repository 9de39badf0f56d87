package merge

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"github.com/onnx-zip/onnx-zip/transform/space"
	"google.golang.org/protobuf/proto"
)

// Options are the names in the merged file.
type Options struct {
	// Rename gives single outputs another name: "head:OUTPUT" → name. By default an output is
	// <head>_<output>.
	Rename map[string]string
}

// Merged is a merged model with what is needed to work on it further.
type Merged struct {
	Model *onnx.Model
	// Nodes maps each trunk group to its node in the merged graph.
	Nodes map[int]*onnx.Node
	// Outputs[i] holds the names of model i's outputs in the merged graph, in model i's order.
	Outputs [][]string
	// Gathers counts the Gather nodes that hand features to heads in their own order.
	Gathers int
}

// Build makes the merged graph: the trunk once, with merged parameters, and what is left of each source
// as a head. Values and parameters of the trunk keep model 0's names; those of head h become "h/NAME".
func Build(s *Sources, t *Trunk, as Assignments, o Options) (*Merged, error) {
	if err := as.check(t.Analysis.Spaces, len(s.Models)); err != nil {
		return nil, err
	}
	b := &builder{
		s: s, t: t, as: as, o: o,
		out:      &Merged{Nodes: map[int]*onnx.Node{}},
		graph:    &onnx.Graph{Name: proto.String("onnx-zip")},
		gathered: map[string]string{},
		taken:    map[string]bool{},
	}
	b.inputs()
	for _, k := range t.Groups {
		if err := b.trunkNode(k); err != nil {
			return nil, err
		}
	}
	for i := range s.Models {
		if err := b.head(i); err != nil {
			return nil, err
		}
	}
	b.out.Model = &onnx.Model{Proto: b.wrap()}
	if _, err := onnx.NewIndex(b.graph); err != nil {
		return nil, fault.Wrap(fault.Internal, "invalid_merge", err, "the merged graph is invalid")
	}
	return b.out, nil
}

// builder is the state of one Build.
type builder struct {
	s        *Sources
	t        *Trunk
	as       Assignments
	o        Options
	out      *Merged
	graph    *onnx.Graph
	gathered map[string]string // "model value" → the value in model's own order
	taken    map[string]bool   // names of outputs
}

// inputs declares the shared inputs: model 0's, a dim symbolic where it is in any source.
func (b *builder) inputs() {
	for _, row := range b.s.Pairing.Inputs {
		info := onnx.Clone(b.s.Models[0].Index.Input(row[0]))
		dtype, dims, ok := onnx.TensorType(info)
		if ok && dims != nil {
			for i := 1; i < len(row); i++ {
				_, other, _ := onnx.TensorType(b.s.Models[i].Index.Input(row[i]))
				for k := range dims {
					if k < len(other) && dims[k].Size < 0 && other[k].Size >= 0 {
						dims[k] = onnx.Dim{Size: other[k].Size} // static in one source: static for all
					}
				}
			}
			info.Type = onnx.NewValueInfo(row[0], dtype, dims).Type
		}
		b.graph.Input = append(b.graph.Input, info)
	}
}

// trunkNode emits the shared node of group k with its merged parameters.
func (b *builder) trunkNode(k int) error {
	n := onnx.Clone(b.s.Pairing.Nodes[k][0])
	for slot, in := range n.GetInput() {
		if b.s.param(0, n, slot) == nil {
			continue
		}
		p, err := mergeParam(b.s, b.t, b.as, in)
		if err != nil {
			return fault.As(err).AtNode(onnx.NodeName(n))
		}
		b.initializer(in, p)
	}
	if err := b.rewidth(n); err != nil {
		return err
	}
	b.out.Nodes[k] = n
	b.graph.Node = append(b.graph.Node, n)
	return nil
}

func (b *builder) initializer(name string, t *onnx.Tensor) {
	b.graph.Initializer = append(b.graph.Initializer, t.Proto(name))
}

// setInitializer replaces an initializer that was added before.
func (b *builder) setInitializer(name string, t *onnx.Tensor) {
	for i, old := range b.graph.Initializer {
		if old.GetName() == name {
			b.graph.Initializer[i] = t.Proto(name)
			return
		}
	}
	b.initializer(name, t)
}

// wrap makes the model around the graph: the highest opset and IR version of the sources, metadata.
func (b *builder) wrap() *onnx.ModelProto {
	first := b.s.Models[0].Model.Proto
	m := &onnx.ModelProto{
		IrVersion:    proto.Int64(first.GetIrVersion()),
		ProducerName: proto.String("onnx-zip"),
		Graph:        b.graph,
	}
	versions := map[string]int64{}
	var domains []string
	for _, src := range b.s.Models {
		m.IrVersion = proto.Int64(max(m.GetIrVersion(), src.Model.Proto.GetIrVersion()))
		for _, op := range src.Model.Proto.GetOpsetImport() {
			if !slices.Contains(domains, op.GetDomain()) {
				domains = append(domains, op.GetDomain())
			}
			versions[op.GetDomain()] = max(versions[op.GetDomain()], op.GetVersion())
		}
	}
	for _, d := range domains {
		m.OpsetImport = append(m.OpsetImport, &onnx.OpsetID{Domain: proto.String(d), Version: proto.Int64(versions[d])})
	}
	m.MetadataProps = mergeMetadata(b.s)
	return m
}

// mergeMetadata keeps properties that all sources share as they are; others become "<head>.<key>".
func mergeMetadata(s *Sources) []*onnx.KeyValue {
	var out []*onnx.KeyValue
	add := func(key, value string) {
		out = append(out, &onnx.KeyValue{Key: proto.String(key), Value: proto.String(value)})
	}
	shared := map[string]bool{}
	for _, kv := range s.Models[0].Model.Proto.GetMetadataProps() {
		same := true
		for _, m := range s.Models[1:] {
			same = same && m.Model.Metadata(kv.GetKey()) == kv.GetValue()
		}
		if same {
			shared[kv.GetKey()] = true
			add(kv.GetKey(), kv.GetValue())
		}
	}
	for _, m := range s.Models {
		for _, kv := range m.Model.Proto.GetMetadataProps() {
			if !shared[kv.GetKey()] {
				add(m.Head+"."+kv.GetKey(), kv.GetValue())
			}
		}
	}
	return out
}

// mergedSize is the number of positions of a trunk axis after the merge; -1 where unknown.
func (b *builder) mergedSize(layout space.Layout) int {
	n := 0
	for _, seg := range layout {
		switch {
		case seg.Space != nil:
			n += b.as[seg.Space].Width * seg.Inner
		case seg.Size < 0:
			return -1
		default:
			n += seg.Size
		}
	}
	return n
}

// dims is the merged shape of a trunk value of model 0.
func (b *builder) dims(value string) []shape.Dim {
	out := append([]shape.Dim(nil), b.s.Models[0].Shapes[value].Dims...)
	for k, l := range b.t.Analysis.Layouts(0, value) {
		if k < len(out) && !l.Aligned() {
			out[k].Size = int64(b.mergedSize(l))
		}
	}
	return out
}

func (b *builder) unique(name string) string {
	for k := 2; b.taken[name]; k++ {
		if next := fmt.Sprintf("%s_%d", name, k); !b.taken[next] {
			name = next
		}
	}
	b.taken[name] = true
	return name
}
