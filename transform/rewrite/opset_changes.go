package rewrite

import (
	"math"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
	"google.golang.org/protobuf/proto"
)

// never is for a change that is left to the exporter.
func never(why string) func(*raiser, *onnx.Node) string {
	return func(*raiser, *onnx.Node) string { return why }
}

// rename is for an operator that got another name: Upsample became Resize, Scatter ScatterElements.
func rename(op string) func(*raiser, *onnx.Node) string {
	return func(_ *raiser, n *onnx.Node) string {
		n.OpType = proto.String(op)
		return ""
	}
}

// reduceAxes: axes became an input. Where there are none, all of them are meant in both forms.
func reduceAxes(r *raiser, n *onnx.Node) string {
	r.attributeToInput(n, "axes", 1)
	return ""
}

// splitSizes: the sizes became an input.
func splitSizes(r *raiser, n *onnx.Node) string {
	r.attributeToInput(n, "split", 1)
	return ""
}

// splitCount: without sizes the number of (equal) parts must be said.
func splitCount(_ *raiser, n *onnx.Node) string {
	if input(n, 1) == "" {
		onnx.SetAttr(n, onnx.Int("num_outputs", int64(len(n.Output))))
	}
	return ""
}

// clipBounds: the bounds became inputs; an attribute left out was the type's own bound.
func clipBounds(r *raiser, n *onnx.Node) string {
	for slot, name := range []string{1: "min", 2: "max"} {
		a := onnx.Attr(n, name)
		if name == "" || a == nil {
			continue
		}
		onnx.DeleteAttr(n, name)
		if math.Abs(float64(a.GetF())) == math.MaxFloat32 { // the default, written out
			continue
		}
		bound := r.scalar(n, name, float64(a.GetF()))
		if bound == "" {
			return "the type of its input is not known"
		}
		r.setSlot(n, slot, bound)
	}
	return ""
}

// padInputs: pads and value became inputs.
func padInputs(r *raiser, n *onnx.Node) string {
	value := onnx.AttrFloat(n, "value", 0)
	r.attributeToInput(n, "pads", 1)
	onnx.DeleteAttr(n, "value")
	if value != 0 {
		bound := r.scalar(n, "value", float64(value))
		if bound == "" {
			return "the type of its input is not known"
		}
		r.setSlot(n, 2, bound)
	}
	return ""
}

// sliceInputs: starts, ends and axes became inputs.
func sliceInputs(r *raiser, n *onnx.Node) string {
	r.attributeToInput(n, "starts", 1)
	r.attributeToInput(n, "ends", 2)
	r.attributeToInput(n, "axes", 3)
	return ""
}

// topKInput: k became an input.
func topKInput(r *raiser, n *onnx.Node) string {
	k := onnx.AttrInt(n, "k", -1)
	onnx.DeleteAttr(n, "k")
	r.setSlot(n, 1, r.addConstant(nameFor(n, "k"), onnx.FromInt64([]int64{k}, 1)))
	return ""
}

// dropoutMask: the mask became a bool.
func dropoutMask(_ *raiser, n *onnx.Node) string {
	if len(n.Output) > 1 && n.Output[1] != "" {
		return "its mask has another type now"
	}
	return ""
}

// dropoutRatio: the ratio became an input, which means nothing in inference.
func dropoutRatio(_ *raiser, n *onnx.Node) string {
	onnx.DeleteAttr(n, "ratio")
	return ""
}

// batchNormOutputs: a node for training, told by its outputs until then, is told by an attribute.
func batchNormOutputs(_ *raiser, n *onnx.Node) string {
	if slices.ContainsFunc(n.Output[1:], func(v string) bool { return v != "" }) {
		return "it is in training mode"
	}
	n.Output = n.Output[:1]
	return ""
}

// refuseCeilWithPad: how a window that reaches beyond the pads is counted was not said before, and engines
// differ by the opset.
func refuseCeilWithPad(_ *raiser, n *onnx.Node) string {
	if onnx.AttrInt(n, "ceil_mode", 0) != 0 && onnx.AttrInt(n, "count_include_pad", 0) != 0 {
		return "windows that count pads and reach beyond them are computed in another way"
	}
	return ""
}

// flattenedSoftmax: until then the input was taken as a matrix whose rows began at axis, since then axis is
// one axis. They are the same where axis is the last or all behind it have size one; else the matrix is
// made, and undone.
func flattenedSoftmax(r *raiser, n *onnx.Node) string {
	axis, x := onnx.AttrInt(n, "axis", 1), r.value(input(n, 0))
	onnx.SetAttr(n, onnx.Int("axis", axis))
	if axis == -1 {
		return ""
	}
	if at, ok := normalAxis(axis, len(x.Dims)); ok && x.HasRank {
		if !slices.ContainsFunc(x.Dims[at+1:], func(d shape.Dim) bool { return !d.Is(1) }) {
			return ""
		}
	}
	flat, soft, dims := r.fresh(nameFor(n, "flat")), r.fresh(nameFor(n, "rows")), r.fresh(nameFor(n, "dims"))
	r.before = append(r.before,
		onnx.NewNode("Shape", r.freshNode(nameFor(n, "shape")), []string{input(n, 0)}, []string{dims}),
		onnx.NewNode("Flatten", r.freshNode(nameFor(n, "flatten")), []string{input(n, 0)}, []string{flat}, onnx.Int("axis", axis)))
	r.after = append(r.after,
		onnx.NewNode("Reshape", r.freshNode(nameFor(n, "reshape")), []string{soft, dims}, []string{n.Output[0]}))
	n.Input[0], n.Output[0] = flat, soft
	onnx.SetAttr(n, onnx.Int("axis", 1))
	return ""
}

// resizeCoordinates: an output position p was p/scale of the input then, rounded down by nearest; now a mode
// says so. Nearest with a scale below one was not said exactly, and engines differ.
func resizeCoordinates(r *raiser, n *onnx.Node) string {
	if onnx.AttrString(n, "mode", "nearest") == "nearest" {
		_, scales, ok := r.floats(input(n, 1))
		if !ok || slices.ContainsFunc(scales, func(s float64) bool { return s < 1 }) {
			return "which elements nearest takes where it shrinks was not said before"
		}
		onnx.SetAttr(n, onnx.StringAttr("nearest_mode", "floor"))
	}
	onnx.SetAttr(n, onnx.StringAttr("coordinate_transformation_mode", "asymmetric"))
	n.Input = []string{input(n, 0), r.addConstant(nameFor(n, "roi"), onnx.NewTensor(onnx.Float, 0)), input(n, 1)}
	return ""
}

// resizeAbsent: inputs that are not used could not be left out, only be empty; and a mode was dropped.
func resizeAbsent(r *raiser, n *onnx.Node) string {
	mode := onnx.AttrString(n, "coordinate_transformation_mode", "")
	if mode == "tf_half_pixel_for_nn" {
		return "the coordinates tf_half_pixel_for_nn are gone"
	}
	for slot := 1; slot < len(n.Input) && slot <= 2; slot++ {
		t, ok := r.constant(input(n, slot))
		if ok && t.Len() == 0 || slot == 1 && mode != "tf_crop_and_resize" {
			n.Input[slot] = ""
		}
	}
	return ""
}

// roiAlignCoordinates: the mode's default became another than what was before.
func roiAlignCoordinates(_ *raiser, n *onnx.Node) string {
	onnx.SetAttr(n, onnx.StringAttr("coordinate_transformation_mode", "output_half_pixel"))
	return ""
}

// gridSampleModes: two modes were renamed.
func gridSampleModes(_ *raiser, n *onnx.Node) string {
	mode := onnx.AttrString(n, "mode", "bilinear")
	if to := map[string]string{"bilinear": "linear", "bicubic": "cubic"}[mode]; to != "" {
		mode = to
	}
	onnx.SetAttr(n, onnx.StringAttr("mode", mode))
	return ""
}

// groupNormPerChannel: scale and bias, one number for each group until then, are per channel.
func groupNormPerChannel(r *raiser, n *onnx.Node) string {
	groups, x := onnx.AttrInt(n, "num_groups", 0), r.value(input(n, 0))
	if groups < 1 || x.Rank() < 2 || !x.Dims[1].Known() || x.Dims[1].Size%groups != 0 {
		return "the number of channels is not known"
	}
	for slot := 1; slot <= 2; slot++ {
		t, v, ok := r.floats(input(n, slot))
		if !ok || int64(len(v)) != groups {
			return "its parameters are not constants per group"
		}
		each := x.Dims[1].Size / groups
		spread := make([]float64, 0, x.Dims[1].Size)
		for _, p := range v {
			for range each {
				spread = append(spread, p)
			}
		}
		r.setSlot(n, slot, r.addConstant(input(n, slot)+"_channels", onnx.FromFloat64(t.DType, spread, int64(len(spread)))))
	}
	return ""
}
