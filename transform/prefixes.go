package transform

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
)

// PrefixReport is what the merged model does to its inputs for the sake of some heads only.
type PrefixReport struct {
	Heads  []string `json:"heads"`
	Nodes  []string `json:"nodes"` // of the first of these heads' sources
	FLOPs  int64    `json:"flops"`
	Params int64    `json:"params"`
}

// PrefixReports lists the prefixes that are not common to all models, by the heads that they serve; none where the
// models do the same to their inputs. With a merged model, those that it has no use for are left out.
func (p *Prepared) PrefixReports(merged *onnx.Model) ([]PrefixReport, error) {
	if p.Sources.Prefixes == nil {
		return nil, nil
	}
	made := map[string]bool{}
	for _, n := range nodesOf(merged) {
		for _, v := range n.GetOutput() {
			made[v] = true
		}
	}
	costs := make([]cost.Report, len(p.Sources.Models))
	for i, src := range p.Sources.Base().Models {
		var err error
		if costs[i], err = cost.AtBatch(src.Model, 1); err != nil {
			return nil, err
		}
	}
	var out []PrefixReport
	for _, part := range p.Sources.Prefixes.Parts {
		if len(part.Owners) == len(p.Sources.Models) || merged != nil && !made[part.Value] {
			continue
		}
		var heads []string
		for _, i := range part.Owners {
			heads = append(heads, p.Sources.Models[i].Head)
		}
		at := slices.IndexFunc(out, func(r PrefixReport) bool { return slices.Equal(r.Heads, heads) })
		if at < 0 {
			at = len(out)
			out = append(out, PrefixReport{Heads: heads})
		}
		c, _ := costs[part.Owners[0]].Node(part.Node)
		out[at].Nodes = append(out[at].Nodes, onnx.NodeName(part.Node))
		out[at].FLOPs, out[at].Params = out[at].FLOPs+c.FLOPs, out[at].Params+c.Params
	}
	return out, nil
}

// nodesOf are a model's nodes, none of nil.
func nodesOf(m *onnx.Model) []*onnx.Node {
	if m == nil {
		return nil
	}
	return m.Graph().GetNode()
}
