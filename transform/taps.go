package transform

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// tapper finds where the spaces of a trunk are measured in the graph that runs all sources side by
// side: its values are "<head>/<name>".
type tapper struct {
	s *merge.Sources
	t *merge.Trunk
}

// spaces returns a tap for each space that has to be measured, named by spaceTap.
//
// A space is read in many places (all along a residual stream). The last contraction that reads it is
// taken, as in ZipIt's reference: there the stream holds what all its writers have added.
func (p tapper) spaces(all bool) []calibrate.Tap {
	var taps []calibrate.Tap
	for _, sp := range p.t.Analysis.Spaces {
		if sp.Mode == space.Pinned || sp.Constant || p.t.Identical[sp] && !all {
			continue
		}
		if parts, ok := p.find(sp); ok {
			taps = append(taps, calibrate.Tap{Name: spaceTap(sp), Parts: parts})
		}
	}
	return taps
}

func spaceTap(sp *space.Space) string { return fmt.Sprintf("space %d", sp.ID) }
func nodeTap(group int) string        { return fmt.Sprintf("node %d", group) }

// find returns the last place where a contraction reads the space, or where else the trunk holds it.
func (p tapper) find(sp *space.Space) (parts []calibrate.Part, ok bool) {
	if all := p.findAll(sp); len(all) > 0 {
		return all[0], true
	}
	for k := len(p.t.Groups) - 1; k >= 0; k-- {
		for _, out := range p.s.Pairing.Nodes[p.t.Groups[k]][0].GetOutput() {
			if parts, ok := p.parts(sp, out); ok {
				return parts, true
			}
		}
	}
	return nil, false
}

// findAll returns the values from which contractions read the space, the last first.
func (p tapper) findAll(sp *space.Space) [][]calibrate.Part {
	var all [][]calibrate.Part
	seen := map[string]bool{}
	reads := p.s.Full.Reads()
	for k := len(reads) - 1; k >= 0; k-- {
		r := reads[k]
		if r.Model != 0 || seen[r.Value] || !p.inTrunk(r.Value) {
			continue
		}
		seen[r.Value] = true
		if parts, ok := p.parts(sp, r.Value); ok {
			all = append(all, parts)
		}
	}
	return all
}

func (p tapper) inTrunk(value string) bool {
	n := p.s.Models[0].Index.Producer(value)
	return n != nil && p.t.Has(p.s, n)
}

// parts describes the features of a space in a value (model 0's name) of every model.
func (p tapper) parts(sp *space.Space, value string) ([]calibrate.Part, bool) {
	for axis, layout := range p.t.Analysis.Layouts(0, value) {
		at := 0
		for _, seg := range layout {
			if seg.Space == sp && seg.Part == space.Whole && at%seg.Inner == 0 {
				return p.inModels(value, calibrate.Part{Axis: axis, From: at / seg.Inner, Len: sp.Dim, Inner: seg.Inner})
			}
			if seg.Size < 0 {
				break
			}
			at += seg.Size
		}
	}
	return nil, false
}

func (p tapper) inModels(value string, part calibrate.Part) ([]calibrate.Part, bool) {
	var parts []calibrate.Part
	for i, m := range p.s.Models {
		name, ok := p.s.Pairing.Value(0, i, value)
		if !ok {
			return nil, false
		}
		part.Value = m.Head + "/" + name
		parts = append(parts, part)
	}
	return parts, true
}

// nodes returns taps for mean and deviation of what the trunk's linear nodes make, before the activation.
func (p tapper) nodes() []calibrate.Tap {
	var taps []calibrate.Tap
	for _, k := range p.linear() {
		out := p.s.Pairing.Nodes[k][0].GetOutput()[0]
		axis, ok := p.featureAxis(out)
		if !ok {
			continue
		}
		size := int(p.s.Models[0].Shapes[out].Dims[axis].Size)
		if parts, ok := p.inModels(out, calibrate.Part{Axis: axis, Len: size}); ok {
			taps = append(taps, calibrate.Tap{Name: nodeTap(k), Parts: parts, Diagonal: true})
		}
	}
	return taps
}

// featureAxis is the one axis of a trunk value that holds features.
func (p tapper) featureAxis(value string) (int, bool) {
	found := -1
	for k, l := range p.t.Analysis.Layouts(0, value) {
		if l.Aligned() {
			continue
		}
		if found >= 0 {
			return -1, false
		}
		found = k
	}
	return found, found >= 0
}

// linear lists the trunk groups whose weights merging changes: convolutions and matrix products.
func (p tapper) linear() []int {
	var out []int
	for _, k := range p.t.Groups {
		if isLinear(p.s.Models[0].Index, p.s.Pairing.Nodes[k][0]) && !p.t.IsIdentical(k) {
			out = append(out, k)
		}
	}
	return out
}

// isLinear is true of nodes that make features by weights which are constant.
func isLinear(ix *onnx.Index, n *onnx.Node) bool {
	switch n.GetOpType() {
	case "Conv", "ConvTranspose", "Gemm":
		return len(n.GetInput()) > 1 && ix.Initializer(n.GetInput()[1]) != nil
	}
	return false
}
