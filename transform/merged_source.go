package transform

import (
	"slices"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/attach"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"google.golang.org/protobuf/proto"
)

// HeadOf is a head of a merge: a source, or one head of a source that was merged itself.
type HeadOf struct {
	Name    string   // in the merge
	Source  int      // the model that it is from
	Inner   string   // its name there, where that is a merged file; else ""
	Outputs []string // of the source
}

// Heads lists the heads of a merge. A merged file among the sources gives its own heads, under their own names unless
// two are called alike: those take their file's name in front.
func (p *Prepared) Heads() []HeadOf {
	var heads []HeadOf
	count := map[string]int{}
	for i, src := range p.Sources.Models {
		inner := attach.Heads(p.Originals[i])
		known := map[string]bool{}
		for _, name := range inner {
			h := HeadOf{Name: name, Source: i, Inner: name, Outputs: attach.Outputs(p.Originals[i], name)}
			for _, v := range h.Outputs {
				known[v] = true
			}
			if len(h.Outputs) > 0 {
				heads, count[name] = append(heads, h), count[name]+1
			}
		}
		if len(known) > 0 {
			continue
		}
		h := HeadOf{Name: src.Head, Source: i}
		for _, v := range src.Index.Graph.GetOutput() {
			h.Outputs = append(h.Outputs, v.GetName())
		}
		heads, count[h.Name] = append(heads, h), count[h.Name]+1
	}
	for k, h := range heads {
		if h.Inner != "" && count[h.Name] > 1 {
			heads[k].Name = p.Sources.Models[h.Source].Head + "_" + h.Inner
		}
	}
	return heads
}

// MergedOutputs are a head's outputs in a merge, in the order of its own.
func (p *Prepared) MergedOutputs(h HeadOf, m *merge.Merged) []string {
	var out []string
	for _, v := range h.Outputs {
		for k, info := range p.Sources.Models[h.Source].Index.Graph.GetOutput() {
			if info.GetName() == v {
				out = append(out, m.Outputs[h.Source][k])
			}
		}
	}
	return out
}

// headOf is the head that an output of a source belongs to.
func (p *Prepared) headOf(source int, output string) string {
	for _, h := range p.Heads() {
		if h.Source == source && slices.Contains(h.Outputs, output) {
			return h.Name
		}
	}
	return p.Sources.Models[source].Head
}

// mergedNames lets the outputs of merged sources keep their names, or carry that of their head.
func (p *Prepared) mergedNames(rename map[string]string) map[string]string {
	out := map[string]string{}
	taken := map[string]bool{}
	for k, v := range rename {
		out[k], taken[v] = v, true
	}
	for _, h := range p.Heads() {
		if h.Inner == "" {
			continue
		}
		own := attach.Names(p.Originals[h.Source], "output", h.Inner)
		for _, v := range h.Outputs {
			key, name := p.Sources.Models[h.Source].Head+":"+v, v
			if h.Name != h.Inner {
				name = h.Name + "_" + own[v]
			}
			if out[key] == "" && !taken[name] {
				out[key], taken[name] = name, true
			}
		}
	}
	return out
}

// withoutJoint takes out of a merged source the output over its heads, which says nothing of those that join them.
func withoutJoint(m *onnx.Model) (*onnx.Model, error) {
	if m.Metadata(attach.JointKey) == "" {
		return m, nil
	}
	return attach.Drop(m, nil, nil)
}

// describeHead writes where a head came from into the metadata; of a head of a merged file, where it first came from
// and that file's hash.
func (p *Prepared) describeHead(m *onnx.Model, merged *merge.Merged, h HeadOf) error {
	src := p.Originals[h.Source]
	hash, err := p.Files[h.Source].Hash()
	if err != nil {
		return err
	}
	outputs := p.MergedOutputs(h, merged)
	inputs := map[string]string{} // of the source → the merge's
	for _, row := range p.Sources.Pairing.Inputs {
		inputs[row[h.Source]] = row[0]
	}
	if h.Inner == "" {
		for own, name := range inputs {
			m.SetMetadata("onnx_zip.input."+h.Name+"."+own, name)
		}
		for k, own := range h.Outputs {
			m.SetMetadata("onnx_zip.output."+h.Name+"."+own, outputs[k])
		}
		m.SetMetadata("onnx_zip.source."+h.Name+".sha256", hash)
		return nil
	}
	for name, own := range attach.Names(src, "input", h.Inner) {
		m.SetMetadata("onnx_zip.input."+h.Name+"."+own, inputs[name])
	}
	own := attach.Names(src, "output", h.Inner)
	for k, name := range h.Outputs {
		m.SetMetadata("onnx_zip.output."+h.Name+"."+own[name], outputs[k])
	}
	m.SetMetadata("onnx_zip.source."+h.Name+".sha256", src.Metadata("onnx_zip.source."+h.Inner+".sha256"))
	m.SetMetadata("onnx_zip.via."+h.Name+".sha256", strings.TrimSpace(hash+" "+src.Metadata("onnx_zip.via."+h.Inner+".sha256")))
	p.adopt(m, h)
	return nil
}

// adopt gives a head of a merged file its own properties back: "file.head.KEY" becomes "head.KEY".
func (p *Prepared) adopt(m *onnx.Model, h HeadOf) {
	prefix := p.Sources.Models[h.Source].Head + "." + h.Inner + "."
	for _, kv := range m.Proto.GetMetadataProps() {
		if key, ok := strings.CutPrefix(kv.GetKey(), prefix); ok {
			kv.Key = proto.String(h.Name + "." + key)
		}
	}
}
