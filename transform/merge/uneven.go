package merge

import (
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// Where nodes of other widths are paired (pair.Options.AnyWidth), numbers of features may differ between the models in
// spaces that may be zipped, and nowhere else: what follows says why a node cannot be shared.

// layoutsDiffer says where the parameters or outputs of a group hold something else in some model than in model 0, ""
// where they do not.
func (s *Sources) layoutsDiffer(a *space.Analysis, k int) string {
	if !s.Pairing.AnyWidth() {
		return "" // shapes are equal
	}
	n := s.Pairing.Nodes[k][0]
	for slot, v := range append(slices.Clone(n.GetInput()), n.GetOutput()...) {
		if v == "" || slot < len(n.GetInput()) && s.param(0, n, slot) == nil {
			continue
		}
		for i := 1; i < len(s.Models); i++ {
			other, ok := s.Pairing.Value(0, i, v)
			if !ok {
				continue
			}
			if !slices.Equal(a.Roles(0, v), a.Roles(i, other)) {
				return fmt.Sprintf("%q means something else in model %d", v, i+1)
			}
			if s.param(0, n, slot) != nil && !hasRole(a.Roles(0, v)) {
				continue // a constant, which is compared as a whole
			}
			if why := s.axesDiffer(a, v, other, i); why != "" {
				return why
			}
		}
	}
	return ""
}

// axesDiffer compares the axes of a value of model 0 with those of its counterpart in model i.
func (s *Sources) axesDiffer(a *space.Analysis, v, other string, i int) string {
	x, y := a.Layouts(0, v), a.Layouts(i, other)
	if len(x) != len(y) {
		return fmt.Sprintf("%q has rank %d, and rank %d in model %d", v, len(x), len(y), i+1)
	}
	for axis := range x {
		n, m := s.size(0, v, axis), s.size(i, other, axis)
		switch {
		case n >= 0 && m >= 0 && n != m && x[axis].Aligned():
			return fmt.Sprintf("axis %d of %q has size %d, and %d in model %d", axis, v, n, m, i+1)
		case !sameLayout(x[axis], y[axis]):
			return fmt.Sprintf("axis %d of %q holds its %d features in another way than the %d of model %d", axis, v, n, m, i+1)
		}
	}
	return ""
}

// size is that of an axis of a model's value, -1 where unknown.
func (s *Sources) size(i int, v string, axis int) int {
	dims := s.Models[i].Shapes[v].Dims
	if axis >= len(dims) {
		return -1
	}
	return int(dims[axis].Size)
}

// sameLayout reports whether two axes hold the same spaces in the same way.
func sameLayout(x, y space.Layout) bool {
	return slices.EqualFunc(x, y, func(p, q space.Segment) bool {
		same := p.Space == q.Space && p.Inner == q.Inner && p.Part == q.Part
		return same && (p.Size == q.Size || p.Size < 0 || q.Size < 0 || p.Space != nil && !p.Space.Even())
	})
}

// onlyWidths reports whether the constant in a slot of a group's node differs between the models in numbers of features
// alone, which rewidth sets anyway.
func (s *Sources) onlyWidths(a *space.Analysis, k, slot int) bool {
	if !s.Pairing.AnyWidth() {
		return false
	}
	first, ok := s.widthless(a, k, slot, 0)
	for i := 1; i < len(s.Models) && ok; i++ {
		var mine []int64
		mine, ok = s.widthless(a, k, slot, i)
		ok = ok && slices.Equal(first, mine)
	}
	return ok
}

// counted stands for a number of features in a constant that is widthless.
const counted = -1 << 32

// widthless is an integer constant of model i with whatever rewidth sets written in a way that is the same for all
// widths: counts of features as one number, places along features as the number of the run that begins there.
// ok is false where the constant cannot be written so.
func (s *Sources) widthless(a *space.Analysis, k, slot, i int) (v []int64, ok bool) {
	n := s.Pairing.Nodes[k][i]
	p := s.param(i, n, slot)
	if p == nil || onnx.DType(p.GetDataType()).IsFloat() {
		return nil, false
	}
	t, err := onnx.TensorOf(p)
	if err != nil {
		return nil, false
	}
	if v, err = t.Int64s(); err != nil {
		return nil, false
	}
	v = slices.Clone(v)
	in, out := a.Layouts(i, n.GetInput()[0]), a.Layouts(i, n.GetOutput()[0])
	switch op := n.GetOpType(); {
	case op == "Reshape" && slot == 1, op == "Expand" && slot == 1:
		return v, countTarget(v, out, op == "Expand")
	case op == "Split" && slot == 1:
		return v, s.countPieces(v, a, n, i)
	case op == "Slice" && (slot == 1 || slot == 2):
		return v, s.countBounds(v, n, i, in)
	case op == "Pad" && slot == 1:
		return v, s.countPads(v, n, i, out)
	}
	return v, false
}

// countTarget marks the sizes of feature axes in a target shape.
func countTarget(v []int64, out []space.Layout, expand bool) bool {
	for axis, l := range out {
		at := axis + len(v) - len(out)
		if at < 0 || v[at] <= 0 || l.Aligned() || expand && v[at] == 1 {
			continue
		}
		if int(v[at]) != layoutSize(l) {
			return false
		}
		v[at] = counted
	}
	return true
}

// countPieces marks the sizes of a Split's pieces.
func (s *Sources) countPieces(v []int64, a *space.Analysis, n *onnx.Node, i int) bool {
	axis := int(onnx.AttrInt(n, "axis", 0))
	if axis < 0 {
		axis += len(s.Models[i].Shapes[n.GetInput()[0]].Dims)
	}
	for piece, value := range n.GetOutput() {
		layouts := a.Layouts(i, value)
		if piece >= len(v) || axis >= len(layouts) {
			return false
		}
		if l := layouts[axis]; !l.Aligned() && layoutSize(l) == int(v[piece]) {
			v[piece] = counted
		}
	}
	return true
}

// countBounds marks the bounds of a Slice along features.
func (s *Sources) countBounds(v []int64, n *onnx.Node, i int, in []space.Layout) bool {
	var axes []int64
	if p := s.param(i, n, 3); p != nil {
		t, err := onnx.TensorOf(p)
		if err != nil {
			return false
		}
		if axes, err = t.Int64s(); err != nil {
			return false
		}
	} else if len(n.GetInput()) > 3 && n.GetInput()[3] != "" {
		return false
	}
	for axis, l := range in {
		at := listed(axes, axis, len(in))
		if l.Aligned() || at < 0 || at >= len(v) {
			continue
		}
		place := int(v[at])
		if place < 0 {
			place += layoutSize(l)
		}
		run, ok := runAt(l, min(max(place, 0), layoutSize(l)))
		if !ok {
			return false
		}
		v[at] = counted + int64(run)
	}
	return true
}

// countPads marks the numbers of features that a Pad adds.
func (s *Sources) countPads(v []int64, n *onnx.Node, i int, out []space.Layout) bool {
	if len(n.GetInput()) > 3 && n.GetInput()[3] != "" || len(v) != 2*len(out) {
		return false
	}
	for axis, l := range out {
		if l.Aligned() {
			continue
		}
		before, ok1 := runAt(l, int(v[axis]))
		behind, ok2 := runAt(l, layoutSize(l)-int(v[axis+len(out)]))
		if !ok1 || !ok2 {
			return false
		}
		v[axis], v[axis+len(out)] = counted+int64(before), counted+int64(behind)
	}
	return true
}

// runAt is the number of the run that begins at a position, ok false where none does.
func runAt(l space.Layout, place int) (run int, ok bool) {
	for run, seg := range l {
		if place == 0 {
			return run, true
		}
		if place -= seg.Size; place < 0 {
			return 0, false
		}
	}
	return len(l), place == 0
}
