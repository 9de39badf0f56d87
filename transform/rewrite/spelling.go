package rewrite

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// spellings lists the operators that can say the same in several ways by attributes and constants, and
// brings each to one. They report whether something changed.
var spellings = map[string]func(e *editor, n *onnx.Node) bool{
	"Reshape":     spellReshape,
	"AveragePool": spellAveragePool,
	"Resize":      spellResize,
	"LSTM":        spellRecurrent,
	"GRU":         spellRecurrent,
	"RNN":         spellRecurrent,
	"Split":       spellSplit,
	"Slice":       spellSlice,
	"Shape":       spellShape,
	"Concat":      spellConcat,
	"Add":         dropLeadingOnes,
	"Sub":         dropLeadingOnes,
	"Mul":         dropLeadingOnes,
	"Div":         dropLeadingOnes,
	"Pow":         dropLeadingOnes,
	"PRelu":       dropLeadingOnes,

	"LayerNormalization": spellLayerNorm,
}

// oneSpelling writes what attributes and constants say in the one way that all exporters' are brought to.
func oneSpelling(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if spell := spellings[n.GetOpType()]; spell != nil && isStandard(n) && spell(e, n) {
			r.did(n.GetOpType() + " spelt")
		}
	}
	e.close()
	return nil
}

// spellLayerNorm gives a norm without a shift one of zeros, as PyTorch's TorchScript exporter writes it.
func spellLayerNorm(e *editor, n *onnx.Node) bool {
	scale, ok := e.constant(input(n, 1))
	if !ok || input(n, 2) != "" {
		return false
	}
	e.setInput(n, 2, e.addConstant(nameFor(n, "shift"), onnx.NewTensor(scale.DType, scale.Dims...)))
	return true
}

// spellReshape spells the target as setTarget does; allowzero says nothing where no entry is zero.
func spellReshape(e *editor, n *onnx.Node) bool {
	old, ok := e.ints(input(n, 1))
	if !ok || onnx.AttrInt(n, "allowzero", 0) != 0 && slices.Contains(old, 0) {
		return false
	}
	changed := onnx.AttrInt(n, "allowzero", 0) != 0
	if changed {
		onnx.SetAttr(n, onnx.Int("allowzero", 0))
	}
	in, out := e.value(input(n, 0)), e.value(n.Output[0])
	if !in.HasRank || !out.HasRank {
		return changed
	}
	target, open := targetOf(out.Dims, in.Dims)
	if open > 1 || slices.Equal(old, target) || slices.ContainsFunc(out.Dims, func(d shape.Dim) bool { return d.Is(0) }) {
		return changed
	}
	e.setConstant(n, 1, "target", onnx.FromInt64(target, int64(len(target))))
	return true
}

// spellAveragePool: whether pads count says nothing where there are none.
func spellAveragePool(_ *editor, n *onnx.Node) bool {
	if onnx.AttrInt(n, "count_include_pad", 0) == 0 || onnx.AttrInt(n, "ceil_mode", 0) != 0 ||
		onnx.Attr(n, "pads") == nil || !all(onnx.AttrInts(n, "pads"), 0) {
		return false
	}
	onnx.SetAttr(n, onnx.Int("count_include_pad", 0))
	return true
}

// spellResize: what only another mode reads says nothing.
func spellResize(_ *editor, n *onnx.Node) bool {
	before := onnx.Clone(n)
	mode := onnx.AttrString(n, "mode", "nearest")
	if mode != "nearest" && onnx.Attr(n, "nearest_mode") != nil {
		onnx.SetAttr(n, onnx.StringAttr("nearest_mode", "round_prefer_floor"))
	}
	if mode != "cubic" && onnx.Attr(n, "cubic_coeff_a") != nil {
		onnx.SetAttr(n, onnx.FloatAttr("cubic_coeff_a", -0.75))
	}
	if onnx.AttrString(n, "coordinate_transformation_mode", "") != "tf_crop_and_resize" {
		onnx.DeleteAttr(n, "extrapolation_value")
	}
	return !onnx.Equal(before, n)
}

// spellSplit: a number of parts that divides the size stands for equal sizes.
func spellSplit(e *editor, n *onnx.Node) bool {
	parts := onnx.AttrInt(n, "num_outputs", 0)
	x := e.value(input(n, 0))
	axis, ok := normalAxis(onnx.AttrInt(n, "axis", 0), len(x.Dims))
	if parts < 1 || parts > int64(len(n.Output)) || !ok || !x.Dims[axis].Known() || x.Dims[axis].Size%parts != 0 {
		return false
	}
	onnx.DeleteAttr(n, "num_outputs")
	e.setInput(n, 1, e.addConstant(nameFor(n, "sizes"), onnx.FromInt64(repeat(x.Dims[axis].Size/parts, int(parts)), parts)))
	return true
}

// spellShape: limits that leave nothing out say nothing.
func spellShape(e *editor, n *onnx.Node) bool {
	before, rank := len(n.Attribute), e.rank(input(n, 0))
	if onnx.Attr(n, "start") != nil && onnx.AttrInt(n, "start", 0) == 0 {
		onnx.DeleteAttr(n, "start")
	}
	if onnx.Attr(n, "end") != nil && rank >= 0 && onnx.AttrInt(n, "end", 0) >= int64(rank) {
		onnx.DeleteAttr(n, "end")
	}
	return len(n.Attribute) < before
}

// spellConcat: what was joined along the axis by another Concat, for this one alone, is joined at once.
func spellConcat(e *editor, n *onnx.Node) bool {
	var in []string
	var gone []*onnx.Node
	for _, v := range n.Input {
		inner := e.producer[v]
		if isOp(inner, "Concat") && onnx.AttrInt(inner, "axis", 0) == onnx.AttrInt(n, "axis", 0) && e.soleReader(v) {
			in, gone = append(in, inner.Input...), append(gone, inner)
		} else {
			in = append(in, v)
		}
	}
	if len(gone) == 0 {
		return false
	}
	for _, inner := range gone {
		e.replace(inner)
	}
	joined := onnx.Clone(n)
	joined.Input = in
	e.replace(n, joined)
	return true
}

// spellSlice: bounds and axes count from the front, an end lies within the axis, steps of one are left out.
func spellSlice(e *editor, n *onnx.Node) bool {
	if e.opset() < 10 {
		return false
	}
	x := e.value(input(n, 0))
	starts, okStarts := e.ints(input(n, 1))
	ends, okEnds := e.ints(input(n, 2))
	axes, given, okAxes := e.list(n, "axes", 3)
	if !given {
		axes = sequence(0, int64(len(starts)))
	}
	if !x.HasRank || !okStarts || !okEnds || !okAxes || len(starts) != len(ends) || len(axes) != len(starts) || !e.stepsAreOne(n) {
		return false
	}
	starts, ends, axes = slices.Clone(starts), slices.Clone(ends), slices.Clone(axes)
	for i := range axes {
		axis, ok := normalAxis(axes[i], len(x.Dims))
		if !ok {
			return false
		}
		axes[i] = int64(axis)
		if d := x.Dims[axis]; d.Known() {
			starts[i], ends[i] = within(starts[i], d.Size), within(ends[i], d.Size)
		}
	}
	changed := input(n, 4) != ""
	if changed {
		e.setInput(n, 4, "")
	}
	for slot, list := range [][]int64{1: starts, 2: ends, 3: axes} {
		if old, ok := e.ints(input(n, slot)); slot > 0 && (!ok || !slices.Equal(old, list) || !e.isInt64(input(n, slot))) {
			e.setConstant(n, slot, "bound", onnx.FromInt64(list, int64(len(list))))
			changed = true
		}
	}
	return changed
}

func (e *editor) isInt64(value string) bool { return e.value(value).DType == onnx.Int64 }

func (e *editor) stepsAreOne(n *onnx.Node) bool {
	steps, ok := e.ints(input(n, 4))
	return input(n, 4) == "" || ok && all(steps, 1)
}

// within counts a bound of a slice from the front.
func within(bound, size int64) int64 {
	if bound < 0 {
		bound += size
	}
	return min(max(bound, 0), size)
}

// dropLeadingOnes: a constant broadcasts from the last axis, ones before the others say nothing. One that
// stands for an axis of a single feature stays.
func dropLeadingOnes(e *editor, n *onnx.Node) bool {
	t, ok := e.constant(input(n, 1))
	x := e.value(input(n, 0))
	if !ok || len(x.Dims) < len(t.Dims) || e.opset() < 7 || e.tied(input(n, 1)) {
		return false
	}
	dims := t.Dims
	for len(dims) > 0 && dims[0] == 1 {
		if axis := len(x.Dims) - len(dims); axis > 0 && (!x.Dims[axis].Known() || x.Dims[axis].Is(1)) {
			break
		}
		dims = dims[1:]
	}
	if len(dims) == len(t.Dims) {
		return false
	}
	e.setConstant(n, 1, "plain", &onnx.Tensor{DType: t.DType, Dims: slices.Clone(dims), Raw: t.Raw})
	return true
}
