package merge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// rewidth rewrites what a trunk node says about the number of features, where a merge changes it:
// shape vectors, split sizes, slice bounds, pad amounts, indices, the group of a depthwise convolution, a recurrence's size. n
// is the merged node, its values still under model 0's names. What is missed here, checkShapes finds.
func (b *builder) rewidth(n *onnx.Node) error {
	if !b.changesWidth(n) {
		return nil
	}
	switch n.GetOpType() {
	case "Conv", "ConvTranspose": // the groups of other than depthwise ones are as many in the merged model
		if groups := onnx.AttrInt(n, "group", 1); groups != 1 && int(groups) == b.sizeOf(0, n.GetInput()[0], 1) {
			onnx.SetAttr(n, onnx.Int("group", b.dims(n.GetInput()[0])[1].Size))
		}
	case "LSTM", "GRU", "RNN":
		onnx.SetAttr(n, onnx.Int("hidden_size", int64(b.mergedSize(b.t.Analysis.Layouts(0, n.GetInput()[2])[2]))))
	case "Reshape", "Expand":
		return b.rewidthReshape(n)
	case "Split":
		return b.rewidthSplit(n)
	case "Slice":
		return b.rewidthSlice(n)
	case "Pad":
		return b.rewidthPad(n)
	case "Gather":
		return b.rewidthGather(n)
	case "Resize":
		return b.rewidthResize(n)
	}
	return nil
}

// changesWidth reports whether a merge changes the number of features on an axis that the node reads or
// makes. Segments count, not their sum: one may grow where another shrinks.
func (b *builder) changesWidth(n *onnx.Node) bool {
	for _, v := range append(slices.Clone(n.GetInput()), n.GetOutput()...) {
		for _, l := range b.t.Analysis.Layouts(0, v) {
			if slices.ContainsFunc(l, func(seg space.Segment) bool { return b.as.segmentSize(seg) != seg.Size }) {
				return true
			}
		}
	}
	return false
}

// mergedAt is where position p of an axis begins after the merge; ok false inside a run of features.
func (b *builder) mergedAt(layout space.Layout, p int) (at int, ok bool) {
	for _, seg := range layout {
		switch {
		case p == 0:
			return at, true
		case p < seg.Size:
			return at + p, stays(seg)
		}
		p -= seg.Size
		at += b.as.segmentSize(seg)
	}
	return at, p == 0
}

// fixed is the refusal for a node whose width cannot follow.
func fixed(n *onnx.Node, why string) error {
	return fault.New(fault.Unsupported, "fixed_width", "the number of features cannot be changed: %s", why).
		AtNode(onnx.NodeName(n)).WithHint("keep the width, or cut the trunk before this node")
}

// ints reads a constant integer input of a trunk node; nil where it is computed or absent.
func (b *builder) ints(n *onnx.Node, slot int) ([]int64, error) {
	p := b.s.param(0, n, slot)
	if p == nil {
		return nil, nil
	}
	t, err := onnx.TensorOf(p)
	if err != nil {
		return nil, err
	}
	return t.Int64s()
}

// setInts replaces a constant integer input. Where other nodes read the old one too, it stays for them.
func (b *builder) setInts(n *onnx.Node, slot int, v []int64) {
	name := n.GetInput()[slot]
	dtype := onnx.DType(b.s.Models[0].Index.Initializer(name).GetDataType())
	if len(b.s.Models[0].Index.Uses(name)) > 1 {
		name = b.names.unique(name)
		b.names.taken[name] = true // model 0's name is the trunk's
		n.Input[slot] = name
	}
	t := onnx.FromInt64(v, int64(len(v)))
	if dtype == onnx.Int32 {
		t = onnx.NewTensor(dtype, int64(len(v)))
		for k, x := range v {
			binary.LittleEndian.PutUint32(t.Raw[4*k:], uint32(x))
		}
	}
	b.initializer(name, t)
}

// rewidthReshape sets the sizes of feature axes in a target shape.
func (b *builder) rewidthReshape(n *onnx.Node) error {
	target, err := b.ints(n, 1)
	if err != nil {
		return err
	}
	if target == nil {
		return b.rewidthComputed(n)
	}
	layouts := b.t.Analysis.Layouts(0, n.GetOutput()[0])
	b.setSizes(n, target, layouts, len(layouts)-len(target)) // Expand's target may be shorter: right-aligned
	b.setInts(n, 1, target)
	return nil
}

// rewidthComputed sets the sizes of feature axes in a target shape that is put together of pieces: those that stand in the file. What is
// taken from the shape of a merged value follows by itself.
func (b *builder) rewidthComputed(n *onnx.Node) error {
	src := b.s.Models[0]
	shape, rank := src.Index.Producer(n.GetInput()[1]), src.Shapes[n.GetInput()[1]].Dims
	if shape == nil || shape.GetOpType() != "Concat" || len(rank) != 1 || !rank[0].Known() {
		return nil
	}
	layouts := b.t.Analysis.Layouts(0, n.GetOutput()[0])
	pieces, changed, axis := slices.Clone(shape.GetInput()), false, len(layouts)-int(rank[0].Size) // right-aligned, as Expand's
	for k, piece := range pieces {
		dims := src.Shapes[piece].Dims
		if len(dims) != 1 || !dims[0].Known() {
			break
		}
		sizes, err := b.ints(shape, k)
		if err != nil {
			return err
		}
		if b.setSizes(n, sizes, layouts, axis) {
			pieces[k] = b.shapeName(n, fmt.Sprint("piece", k))
			b.initializer(pieces[k], onnx.FromInt64(sizes, int64(len(sizes))))
			changed = true
		}
		axis += int(dims[0].Size)
	}
	if changed {
		n.Input[1] = b.shapeName(n, "shape")
		b.graph.Node = append(b.graph.Node, onnx.NewNode("Concat", n.Input[1], pieces, []string{n.Input[1]}, onnx.Int("axis", 0)))
	}
	return nil
}

// setSizes sets the merged sizes of feature axes in (a piece of) a target shape, whose first entry is that of axis first. 0 (keep), -1
// (infer) and 1 (of Expand) hold by themselves.
func (b *builder) setSizes(n *onnx.Node, sizes []int64, layouts []space.Layout, first int) (changed bool) {
	for at, size := range sizes {
		axis := first + at
		if axis < 0 || axis >= len(layouts) || size <= 0 || layouts[axis].Aligned() || n.GetOpType() == "Expand" && size == 1 {
			continue
		}
		sizes[at] = int64(b.mergedSize(layouts[axis]))
		changed = changed || sizes[at] != size
	}
	return changed
}

// shapeName is a new name for a part of a node's target shape.
func (b *builder) shapeName(n *onnx.Node, part string) string {
	name := b.names.unique(n.GetOutput()[0] + "/" + part)
	b.names.taken[name] = true
	return name
}

// axisOf is an axis attribute of n, counted from the left.
func (b *builder) axisOf(n *onnx.Node) int {
	at := int(onnx.AttrInt(n, "axis", 0))
	if at < 0 {
		at += len(b.s.Models[0].Shapes[n.GetInput()[0]].Dims)
	}
	return at
}

// rewidthSplit sets the sizes of the pieces (an attribute before opset 13, an input after).
func (b *builder) rewidthSplit(n *onnx.Node) error {
	at := b.axisOf(n)
	var sizes []int64
	for _, out := range n.GetOutput() {
		dims := b.dims(out)
		if at >= len(dims) {
			return fixed(n, "it drops a piece")
		}
		sizes = append(sizes, dims[at].Size)
	}
	switch {
	case b.s.Models[0].Model.Opset("") < 13:
		onnx.SetAttr(n, onnx.Ints("split", sizes...))
		return nil
	case b.s.param(0, n, 1) != nil:
		b.setInts(n, 1, sizes)
		return nil
	case len(n.GetInput()) > 1 && n.GetInput()[1] != "":
		return fixed(n, "the sizes of its pieces are computed")
	}
	name := b.names.unique(n.GetOutput()[0] + "/split")
	b.names.taken[name] = true
	n.Input = append(n.Input[:1], name)
	onnx.DeleteAttr(n, "num_outputs")
	b.initializer(name, onnx.FromInt64(sizes, int64(len(sizes))))
	return nil
}

// listed is the place of an axis in a list of axes (nil: all), -1 where it is not there.
func listed(axes []int64, axis, rank int) int {
	if axes == nil {
		return axis
	}
	return slices.IndexFunc(axes, func(x int64) bool { return int(x) == axis || int(x)+rank == axis })
}

// rewidthSlice moves the bounds of slices along features.
func (b *builder) rewidthSlice(n *onnx.Node) error {
	in, out := b.t.Analysis.Layouts(0, n.GetInput()[0]), b.t.Analysis.Layouts(0, n.GetOutput()[0])
	attribute := onnx.Attr(n, "starts") != nil
	starts, ends, axes := onnx.AttrInts(n, "starts"), onnx.AttrInts(n, "ends"), onnx.AttrInts(n, "axes")
	if !attribute {
		var errs [3]error
		starts, errs[0] = b.ints(n, 1)
		ends, errs[1] = b.ints(n, 2)
		axes, errs[2] = b.ints(n, 3)
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	starts, ends = slices.Clone(starts), slices.Clone(ends)
	for k := range in {
		at := listed(axes, k, len(in))
		if in[k].Aligned() || at < 0 || at >= len(starts) || at >= len(ends) {
			continue
		}
		total := 0
		for _, seg := range in[k] {
			total += seg.Size
		}
		from := int(starts[at])
		if from < 0 {
			from += total
		}
		from = min(max(from, 0), total)
		lo, ok1 := b.mergedAt(in[k], from)
		hi, ok2 := b.mergedAt(in[k], from+layoutSize(out[k]))
		if !ok1 || !ok2 {
			return fixed(n, "it cuts through features")
		}
		starts[at], ends[at] = int64(lo), int64(hi)
	}
	if attribute {
		onnx.SetAttr(n, onnx.Ints("starts", starts...))
		onnx.SetAttr(n, onnx.Ints("ends", ends...))
		return nil
	}
	if len(starts) == 0 || len(ends) == 0 {
		return nil // computed: checkShapes says whether they follow
	}
	b.setInts(n, 1, starts)
	b.setInts(n, 2, ends)
	return nil
}

func layoutSize(l space.Layout) int {
	n := 0
	for _, seg := range l {
		n += seg.Size
	}
	return n
}

// rewidthPad sets the numbers of constant features that are added.
func (b *builder) rewidthPad(n *onnx.Node) error {
	out := b.t.Analysis.Layouts(0, n.GetOutput()[0])
	attribute := onnx.Attr(n, "pads") != nil
	pads, axes := onnx.AttrInts(n, "pads"), []int64(nil)
	if !attribute {
		var err1, err2 error
		pads, err1 = b.ints(n, 1)
		axes, err2 = b.ints(n, 3)
		if err1 != nil || err2 != nil || pads == nil {
			return fixed(n, "the amounts are computed")
		}
	}
	pads = slices.Clone(pads)
	half := len(pads) / 2
	for k, l := range out {
		at := listed(axes, k, len(out))
		if l.Aligned() || at < 0 || at >= half {
			continue
		}
		before, ok1 := b.mergedAt(l, int(pads[at]))
		behind, ok2 := b.mergedAt(l, layoutSize(l)-int(pads[at+half]))
		if !ok1 || !ok2 {
			return fixed(n, "it pads through features")
		}
		pads[at], pads[at+half] = int64(before), int64(b.mergedSize(l)-behind)
	}
	if attribute {
		onnx.SetAttr(n, onnx.Ints("pads", pads...))
		return nil
	}
	b.setInts(n, 1, pads)
	return nil
}

// rewidthGather makes the indices of a reordering of features follow: each run of features that is
// picked is picked with its merged width.
func (b *builder) rewidthGather(n *onnx.Node) error {
	at := b.axisOf(n)
	in, out := b.t.Analysis.Layouts(0, n.GetInput()[0]), b.t.Analysis.Layouts(0, n.GetOutput()[0])
	if at >= len(in) || in[at].Aligned() {
		return nil
	}
	index, err := b.ints(n, 1)
	if err != nil || index == nil {
		return fixed(n, "the indices are computed")
	}
	total := int64(layoutSize(in[at]))
	var merged []int64
	p := 0
	for _, seg := range out[at] {
		first := index[p]
		if first < 0 {
			first += total
		}
		from, ok := b.mergedAt(in[at], int(first))
		if !ok {
			return fixed(n, "it picks single features")
		}
		for k := range b.as.segmentSize(seg) {
			merged = append(merged, int64(from+k))
		}
		p += seg.Size
	}
	b.setInts(n, 1, merged)
	return nil
}

// rewidthResize sets the feature axes in target sizes; scales hold by themselves.
func (b *builder) rewidthResize(n *onnx.Node) error {
	sizes, err := b.ints(n, 3)
	if err != nil || sizes == nil {
		return err
	}
	layouts := b.t.Analysis.Layouts(0, n.GetOutput()[0])
	for k, l := range layouts {
		if at := listed(onnx.AttrInts(n, "axes"), k, len(layouts)); at >= 0 && at < len(sizes) && !l.Aligned() {
			sizes[at] = int64(b.mergedSize(l))
		}
	}
	b.setInts(n, 3, sizes)
	return nil
}
