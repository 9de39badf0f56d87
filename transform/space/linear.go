package space

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// A space is linear where nothing looks at its features one by one: weights make them and read them, sums add them, and norms
// divide all of them by one number. In any other basis the network computes the same: x → Q·x with weights Q·W and W·Qᵀ,
// Q orthogonal where there is a norm, with Q·1 = 1 where it takes the mean away (SliceGPT, Ashkboos et al. 2024, §3). A merge may
// then keep any combinations of features, not only features.

// markLinear finds the linear spaces.
func (a *Analysis) markLinear(inputs []Input, keep func(model int, n *onnx.Node) bool) {
	for _, sp := range a.Spaces {
		sp.Linear = (sp.Mode == Zip || sp.Mode == Permute) && sp.Heads == 0 && sp.Fixed == "" && sp.Apart == "" && sp.Even() && !sp.Constant
	}
	for i, in := range inputs {
		for _, n := range in.Index.Order {
			if keep == nil || keep(i, n) {
				l := linearity{a, in.Index, i, n}
				l.look()
			}
		}
	}
}

// linearity looks at what one node does with the spaces that it reads and makes.
type linearity struct {
	a     *Analysis
	ix    *onnx.Index
	model int
	n     *onnx.Node
}

// look takes the mark from spaces that the node sees feature by feature.
func (l linearity) look() {
	seen := map[*Space]bool{}
	for _, v := range slices.Concat(l.n.GetInput(), l.n.GetOutput()) {
		for _, layout := range l.a.Layouts(l.model, v) {
			for _, seg := range layout {
				if seg.Space != nil && seg.Space.Linear && !seen[seg.Space] {
					seen[seg.Space] = true
					seg.Space.Linear = l.whole(seg.Space) && l.keeps(seg.Space)
					seg.Space.Centred = seg.Space.Centred || l.n.GetOpType() == "LayerNormalization" || l.takesMean(seg.Space)
				}
			}
		}
	}
}

// axis is the one axis of a value that holds a space, all of it once; -1 where none does, -2 where it lies otherwise.
func (l linearity) axis(v string, sp *Space) int {
	found := -1
	for k, layout := range l.a.Layouts(l.model, v) {
		if !slices.ContainsFunc(layout, func(seg Segment) bool { return seg.Space == sp }) {
			continue
		}
		if found != -1 || !layout.Is(sp) {
			return -2
		}
		found = k
	}
	return found
}

// whole reports whether all values of the node hold the space on one axis of its own, or not at all.
func (l linearity) whole(sp *Space) bool {
	for _, v := range slices.Concat(l.n.GetInput(), l.n.GetOutput()) {
		if l.axis(v, sp) == -2 {
			return false
		}
	}
	return true
}

// keeps reports whether what the node does to a space is the same in any basis.
func (l linearity) keeps(sp *Space) bool {
	if d := l.n.GetDomain(); d != "" && d != "ai.onnx" {
		return false
	}
	in := func(slot int) string {
		if slot < len(l.n.GetInput()) {
			return l.n.GetInput()[slot]
		}
		return ""
	}
	holds := func(slot int) bool { return l.axis(in(slot), sp) >= 0 }
	switch l.n.GetOpType() {
	case "Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Concat", "Expand", "GlobalAveragePool", "Shape":
		return true // along other axes: this one is whole before and behind
	case "AveragePool":
		return l.axis(in(0), sp) == 1
	case "Gather":
		return holds(0) && l.axis(l.n.GetOutput()[0], sp) >= 0
	case "Conv", "Gemm", "MatMul":
		_, ok := ContractionOf(l.ix, l.n, 2)
		return ok
	case "Add", "Sub", "Sum":
		return l.addsWhole(sp)
	case "Mul", "Div":
		if l.squares() {
			return l.onlyReduced(sp)
		}
		return holds(0) && !holds(1) || holds(1) && !holds(0) && l.n.GetOpType() == "Mul"
	case "Pow":
		return l.isConstant(in(1), 2) && l.onlyReduced(sp)
	case "ReduceMean", "ReduceSum":
		return l.reducesRight(sp)
	case "LayerNormalization":
		x := l.axis(in(0), sp)
		return x == len(l.a.Layouts(l.model, in(0)))-1 && l.isConstant(in(1), 1) && (in(2) == "" || l.isConstant(in(2), 0))
	}
	return false
}

// addsWhole is true of sums of values that all hold the space on the same axis, and of a difference to its mean.
func (l linearity) addsWhole(sp *Space) bool {
	fromEnd := -1
	for _, v := range l.n.GetInput() {
		axis := l.axis(v, sp)
		if axis < 0 {
			return l.n.GetOpType() == "Sub" && l.isMeanOf(l.n.GetInput()[1], l.n.GetInput()[0], sp)
		}
		at := len(l.a.Layouts(l.model, v)) - axis
		if fromEnd >= 0 && at != fromEnd {
			return false
		}
		fromEnd = at
	}
	return true
}

// isMeanOf reports whether mean is that of x over the space's features.
func (l linearity) isMeanOf(mean, x string, sp *Space) bool {
	p := l.ix.Producer(mean)
	return p != nil && p.GetOpType() == "ReduceMean" && p.GetInput()[0] == x && l.axis(mean, sp) == -1
}

// takesMean reports whether the node takes the mean of the space's features away.
func (l linearity) takesMean(sp *Space) bool {
	in := l.n.GetInput()
	return l.n.GetOpType() == "Sub" && len(in) == 2 && l.axis(in[0], sp) >= 0 && l.isMeanOf(in[1], in[0], sp)
}

// squares is true of x·x.
func (l linearity) squares() bool {
	in := l.n.GetInput()
	return l.n.GetOpType() == "Mul" && len(in) == 2 && in[0] == in[1]
}

// onlyReduced reports whether squares are added up over the features and nothing else.
func (l linearity) onlyReduced(sp *Space) bool {
	out := l.n.GetOutput()[0]
	if l.ix.Output(out) != nil {
		return false
	}
	for _, u := range l.ix.Uses(out) {
		if op := u.Node.GetOpType(); op != "ReduceMean" && op != "ReduceSum" || l.axis(u.Node.GetOutput()[0], sp) != -1 {
			return false
		}
	}
	return true
}

// reducesRight is true of reductions over other axes, of sums of squares, and of a mean that is only taken away.
func (l linearity) reducesRight(sp *Space) bool {
	x, out := l.n.GetInput()[0], l.n.GetOutput()[0]
	if l.axis(x, sp) < 0 || l.axis(out, sp) >= 0 {
		return true
	}
	if Squared(l.ix, x) != "" {
		return true
	}
	if l.n.GetOpType() != "ReduceMean" || l.ix.Output(out) != nil {
		return false
	}
	for _, u := range l.ix.Uses(out) {
		if u.Node.GetOpType() != "Sub" || u.Slot != 1 || u.Node.GetInput()[0] != x {
			return false
		}
	}
	return true
}

// Squared is the value that a value holds the squares of, by its form (x² or x·x); "" where it has another.
func Squared(ix *onnx.Index, v string) string {
	n := ix.Producer(v)
	if n != nil && (n.GetOpType() == "Pow" || n.GetOpType() == "Mul" && n.GetInput()[0] == n.GetInput()[1]) {
		return n.GetInput()[0]
	}
	return ""
}

// isConstant reports whether a value is a parameter, all of whose entries are x.
func (l linearity) isConstant(v string, x float64) bool {
	p := l.ix.Initializer(v)
	if p == nil {
		return false
	}
	t, err := onnx.TensorOf(p)
	if err != nil {
		return false
	}
	values, err := t.Float64s()
	return err == nil && !slices.ContainsFunc(values, func(y float64) bool { return y != x })
}
