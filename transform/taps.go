package transform

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// tapper finds where the spaces of a trunk are measured in the graph that runs all sources side by
// side: its values are "<head>/<name>".
type tapper struct {
	s    *merge.Sources
	t    *merge.Trunk
	side *merge.Merged
}

// spaces returns a tap for each space that has to be measured, named by spaceTap.
//
// A space is read in many places (all along a residual stream). The last contraction that reads it is
// taken, as in ZipIt's reference: there the stream holds what all its writers have added.
func (p tapper) spaces() []calibrate.Tap {
	var taps []calibrate.Tap
	for _, sp := range p.t.Analysis.Spaces {
		if sp.Mode == space.Pinned || sp.Constant || p.t.Identical[sp] {
			continue
		}
		if parts, ok := p.find(sp); ok {
			taps = append(taps, calibrate.Tap{Name: spaceTap(sp), Parts: parts})
		}
	}
	return taps
}

// taps are those of spaces and, where asked for, those of nodes and of all places where spaces are read.
func (p tapper) taps(nodes, places bool) []calibrate.Tap {
	taps := p.spaces()
	if places {
		taps = append(append(taps, p.places()...), p.norms()...)
	}
	if nodes {
		taps = append(taps, p.nodes()...)
	}
	return taps
}

func spaceTap(sp *space.Space) string { return fmt.Sprintf("space %d", sp.ID) }

// placeTap names the tap of a space at a value other than the last that is read.
func placeTap(sp *space.Space, value string) string {
	return fmt.Sprintf("%s at %s", spaceTap(sp), value)
}

func nodeTap(group int) string { return fmt.Sprintf("node %d", group) }

// find returns the last place where a contraction reads the space whole, or where else the trunk holds it: whole,
// else (an NHWC Flatten holds it once for each position) in part.
func (p tapper) find(sp *space.Space) (parts []calibrate.Part, ok bool) {
	if all := p.findAll(sp); len(all) > 0 {
		return all[0].parts, true
	}
	for _, whole := range []bool{true, false} {
		for k := len(p.t.Groups) - 1; k >= 0; k-- {
			for _, out := range p.s.Pairing.Nodes[p.t.Groups[k]][0].GetOutput() {
				if parts, ok := p.parts(sp, out, whole); ok {
					return parts, true
				}
			}
		}
	}
	return nil, false
}

// place is a value, by model 0's name, from which contractions read a space.
type place struct {
	value string
	parts []calibrate.Part
}

// findAll returns the places where the space is read, the last first.
func (p tapper) findAll(sp *space.Space) []place {
	var all []place
	seen := map[string]bool{}
	reads := p.s.Full.Reads()
	for k := len(reads) - 1; k >= 0; k-- {
		r := reads[k]
		if r.Model != 0 || seen[r.Value] || !p.inTrunk(r.Value) {
			continue
		}
		seen[r.Value] = true
		if parts, ok := p.parts(sp, r.Value, true); ok {
			all = append(all, place{r.Value, parts})
		}
	}
	return all
}

// places returns taps for all places where a space is read, but for the last, which spaces has.
func (p tapper) places() []calibrate.Tap {
	var taps []calibrate.Tap
	for _, sp := range p.t.Analysis.Spaces {
		if !chosen(sp) || sp.Constant || p.t.Identical[sp] {
			continue
		}
		for k, at := range p.findAll(sp) {
			if k > 0 {
				taps = append(taps, calibrate.Tap{Name: placeTap(sp, at.value), Parts: at.parts})
			}
		}
	}
	return taps
}

func (p tapper) inTrunk(value string) bool {
	n := p.s.Models[0].Index.Producer(value)
	return n != nil && p.t.Has(p.s, n)
}

// parts describes the features of a space in a value (model 0's name) of every model. With whole, the value must
// hold the space in one run: all there is of it.
func (p tapper) parts(sp *space.Space, value string, whole bool) ([]calibrate.Part, bool) {
	for axis, layout := range p.t.Analysis.Layouts(0, value) {
		at := 0
		if whole && occurrences(layout, sp) > 1 {
			continue
		}
		for k, seg := range layout {
			if seg.Space == sp && positions(layout)%seg.Inner != 0 {
				break // runs of several kinds: this one cannot be told by features
			}
			if seg.Space == sp && seg.Part == space.Whole && at%seg.Inner == 0 && p.varies(value) {
				parts, ok := p.inModels(value, axis, k)
				return p.pool(parts, value, axis), ok
			}
			if seg.Size < 0 {
				break
			}
			at += seg.Size
		}
	}
	return nil, false
}

// varies reports whether a value (model 0's name) depends on the data, and not on their shape alone, as a table of
// relative positions does.
func (p tapper) varies(value string) bool {
	ix := p.s.Models[0].Index
	seen := map[string]bool{}
	var reaches func(v string) bool
	reaches = func(v string) bool {
		n := ix.Producer(v)
		switch {
		case seen[v] || ix.Initializer(v) != nil:
			return false
		case n == nil:
			return ix.Input(v) != nil
		case n.GetOpType() == "Shape" || n.GetOpType() == "Size":
			return false
		}
		seen[v] = true
		return slices.ContainsFunc(onnx.Reads(n), reaches)
	}
	return reaches(value)
}

// inModels describes the features of run k along an axis in every model's value.
func (p tapper) inModels(value string, axis, k int) ([]calibrate.Part, bool) {
	var parts []calibrate.Part
	for i := range p.s.Models {
		name, ok := p.s.Pairing.Value(0, i, value)
		if !ok || p.side.Values[i][name] == "" {
			return nil, false
		}
		layouts := p.t.Analysis.Layouts(i, name)
		if axis >= len(layouts) || k >= len(layouts[axis]) {
			return nil, false
		}
		before, seg := layouts[axis][:k], layouts[axis][k]
		if seg.Size < 0 || k > 0 && positions(before) == 0 {
			return nil, false
		}
		parts = append(parts, calibrate.Part{
			Value: p.side.Values[i][name], Axis: axis, From: positions(before) / seg.Inner, Len: seg.Size / seg.Inner, Inner: seg.Inner,
		})
	}
	return parts, true
}

// wholeAxis describes all positions along an axis of every model's value.
func (p tapper) wholeAxis(value string, axis int) ([]calibrate.Part, bool) {
	var parts []calibrate.Part
	for i, src := range p.s.Models {
		name, ok := p.s.Pairing.Value(0, i, value)
		if !ok || p.side.Values[i][name] == "" {
			return nil, false
		}
		parts = append(parts, calibrate.Part{Value: p.side.Values[i][name], Axis: axis, Len: int(src.Shapes[name].Dims[axis].Size)})
	}
	return parts, true
}

func occurrences(l space.Layout, sp *space.Space) int {
	n := 0
	for _, seg := range l {
		if seg.Space == sp {
			n++
		}
	}
	return n
}

// positions is the length of an axis, 0 where unknown.
func positions(l space.Layout) int {
	n := 0
	for _, seg := range l {
		if seg.Size < 0 {
			return 0
		}
		n += seg.Size
	}
	return n
}

// pool averages over axes of a tapped value that hold other features (an MLP-Mixer's tokens beside channels): they
// lie in another order in every model, so what is measured must not depend on it. It adds nodes to the graph.
func (p tapper) pool(parts []calibrate.Part, value string, axis int) []calibrate.Part {
	for k, l := range p.t.Analysis.Layouts(0, value) {
		if k == axis || l.Aligned() || l.Pinned() == nil && allAligned(l) {
			continue
		}
		for i := range parts {
			parts[i].Value = p.meanOver(parts[i].Value, int64(k))
		}
	}
	return parts
}

// allAligned is true of a layout whose features all keep their places.
func allAligned(l space.Layout) bool {
	for _, seg := range l {
		if seg.Space != nil && !seg.Space.Aligned {
			return false
		}
	}
	return true
}

// meanOver adds a ReduceMean to the graph, once.
func (p tapper) meanOver(value string, axis int64) string {
	out := fmt.Sprintf("%s/mean%d", value, axis)
	g := p.side.Model.Graph()
	for _, n := range g.GetNode() {
		if n.GetOutput()[0] == out {
			return out
		}
	}
	if p.side.Model.Opset("") < 18 {
		g.Node = append(g.Node, onnx.NewNode("ReduceMean", out, []string{value}, []string{out}, onnx.Ints("axes", axis)))
		return out
	}
	g.Initializer = append(g.Initializer, onnx.FromInt64([]int64{axis}, 1).Proto(out+"/axes"))
	g.Node = append(g.Node, onnx.NewNode("ReduceMean", out, []string{value, out + "/axes"}, []string{out}))
	return out
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
		if parts, ok := p.wholeAxis(out, axis); ok {
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
