package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// markAnyHeads finds the groups of heads of which a merge may keep any number: those of an attention that is written in parts
// (a product of two computed values holds heads on an axis of their own), none of which is shared, grouped or counted otherwise.
func (a *Analysis) markAnyHeads(inputs []Input, keep func(model int, n *onnx.Node) bool) {
	attends, bound := map[int]bool{}, map[int]bool{}
	for _, s := range a.Spaces {
		if s.Heads > 0 && (s.Mode != Permute || s.HeadsFixed || s.Fixed != "" || !s.Even() || s.Apart != "" || s.Constant || s.Dim%s.Heads != 0 || s.Dim == s.Heads) {
			bound[s.Group] = true
		}
	}
	for i, in := range inputs {
		for _, n := range in.Index.Order {
			if keep != nil && !keep(i, n) {
				continue
			}
			product := n.GetOpType() == "MatMul" && !slices.ContainsFunc(n.GetInput(), func(v string) bool { return in.Index.Initializer(v) != nil })
			counts := n.GetDomain() != "" && n.GetDomain() != "ai.onnx" || n.GetOpType() == "Attention" || n.GetOpType() == "GroupNormalization"
			for _, v := range slices.Concat(n.GetInput(), n.GetOutput()) {
				for _, layout := range a.Layouts(i, v) {
					for _, seg := range layout {
						if seg.Space == nil || seg.Space.Heads == 0 {
							continue
						}
						attends[seg.Space.Group] = attends[seg.Space.Group] || product && seg.Part == HeadPart
						if counts || seg.Part == GroupPart || seg.Part == RepeatedPart || seg.Part == HeadPart && (seg.Size < 0 || len(layout) > 1) {
							bound[seg.Space.Group] = true
						}
					}
				}
			}
		}
	}
	for _, s := range a.Spaces {
		s.AnyHeads = s.Heads > 0 && attends[s.Group] && !bound[s.Group]
	}
}
