package rewrite

import "github.com/onnx-zip/onnx-zip/onnx"

// splitsToSlices writes a Split into known sizes as a Slice for each part that is read: exporters cut
// features by one or the other.
func splitsToSlices(m *onnx.Model, r *Record) error {
	e, err := editTyped(m)
	if err != nil {
		return err
	}
	for n := range e.nodes {
		if isOp(n, "Split") {
			if news := e.slicesOf(n); news != nil {
				e.replace(n, news...)
				r.did("Split made Slices")
			}
		}
	}
	e.close()
	return nil
}

// slicesOf makes the Slices that stand for a Split; nil where sizes or axis are not known.
func (e *editor) slicesOf(n *onnx.Node) []*onnx.Node {
	sizes, given, ok := e.list(n, "split", 1)
	axis, axisOK := normalAxis(onnx.AttrInt(n, "axis", 0), e.rank(input(n, 0)))
	if !given || !ok || !axisOK || len(sizes) != len(n.Output) || e.opset() < 10 {
		return nil
	}
	var news []*onnx.Node
	at := int64(0)
	for i, size := range sizes {
		if out := n.Output[i]; !e.unread(out) {
			news = append(news, e.cutOut(n, "part", at, at+size, axis, out))
		}
		at += size
	}
	return news
}

// cutOut is a Slice of what n reads, from one position along an axis to before another, named after n.
func (e *editor) cutOut(n *onnx.Node, what string, from, to int64, axis int, out string) *onnx.Node {
	bound := func(v int64) string { return e.addConstant(nameFor(n, "bound"), onnx.FromInt64([]int64{v}, 1)) }
	return onnx.NewNode("Slice", e.freshNode(nameFor(n, what)), []string{n.Input[0], bound(from), bound(to), bound(int64(axis))}, []string{out})
}
