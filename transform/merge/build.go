package merge

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Options are the names in the merged file.
type Options struct {
	// Rename gives single outputs another name: "head:OUTPUT" → name. By default an output is
	// <head>_<output>.
	Rename map[string]string
	// Ones fills merged parameters with ones: the graph then has its final shapes and names, to count or to plan by, at a
	// fraction of the time.
	Ones bool
}

// Merged is a merged model with what is needed to work on it further.
type Merged struct {
	Model *onnx.Model
	// Nodes maps each trunk group to its node in the merged graph.
	Nodes map[int]*onnx.Node
	// Values[i] maps the values that model i computes in its head to their names in the merged graph.
	Values []map[string]string
	// Outputs[i] holds the names of model i's outputs in the merged graph, in model i's order.
	Outputs [][]string
	// Recurrences are the models' own recurrences in the trunk that read merged features.
	Recurrences []Recurrence
	// Bases are the products that hand combinations of features to heads as the features that they were.
	Bases []Basis
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
		inits:    map[string]int{},
	}
	b.findWidths()
	if err := b.nameAll(); err != nil {
		return nil, err
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
	if err := b.checkShapes(); err != nil {
		return nil, err
	}
	return b.out, b.dropUnread()
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
	inits    map[string]int    // name of an initializer → its place in the graph's list
	names    *names
	widths   map[int]bool // trunk groups that compute with a width that the merge changes
}

// inputs declares the shared inputs: model 0's, a dim static where it is in any source.
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
	if done, err := b.sideBySide(k); done || err != nil {
		return err
	}
	n := onnx.Clone(b.s.Pairing.Nodes[k][0])
	for slot, in := range n.GetInput() {
		if b.s.param(0, n, slot) == nil {
			continue
		}
		merged := mergeParam
		if b.o.Ones || b.isPlainGain(n, slot) {
			merged = onesParam
		}
		p, err := merged(b.s, b.t, b.as, in)
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

// isPlainGain is true of a norm's gains, which are ones, on a linear space: they are ones in any basis.
func (b *builder) isPlainGain(n *onnx.Node, slot int) bool {
	layouts := b.t.Analysis.Layouts(0, n.GetInput()[slot])
	return n.GetOpType() == "LayerNormalization" && slot == 1 && len(layouts) == 1 && b.as.MixOf(layouts[0], 0) != nil
}

// initializer adds an initializer, or replaces the one of that name.
func (b *builder) initializer(name string, t *onnx.Tensor) { b.initializerProto(t.Proto(name)) }

func (b *builder) initializerProto(t *onnx.TensorProto) {
	if at, ok := b.inits[t.GetName()]; ok {
		b.graph.Initializer[at] = t
		return
	}
	b.inits[t.GetName()] = len(b.graph.Initializer)
	b.graph.Initializer = append(b.graph.Initializer, t)
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
			d := op.GetDomain()
			if d == "ai.onnx" { // the default domain's other name
				d = ""
			}
			if !slices.Contains(domains, d) {
				domains = append(domains, d)
			}
			versions[d] = max(versions[d], op.GetVersion())
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
		if strings.HasPrefix(kv.GetKey(), "onnx_zip.") {
			continue // a merged file's account of itself: the caller writes a new one
		}
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
			if strings.HasPrefix(kv.GetKey(), "onnx_zip.") {
				continue // a merged file's account of itself: the caller writes a new one
			}
			if !shared[kv.GetKey()] {
				add(m.Head+"."+kv.GetKey(), kv.GetValue())
			}
		}
	}
	return out
}
