package calibrate

import (
	"github.com/onnx-zip/onnx-zip/onnx"
)

// captureGraph is a model that computes the sums of taps and nothing else.
type captureGraph struct {
	model *onnx.Model
	names []sumNames // of each tap
}

// sumNames are the outputs of one tap, float64, over all positions of a batch, with s the plan's shift.
type sumNames struct {
	sum    string // Σ (x−s), shape (O)
	square string // Σ (x−s)(x−s)ᵀ, shape (O, O); of a diagonal tap Σ (x−s)², shape (O)
}

// newCaptureGraph appends the sums of the plans to the part of m that they need.
func newCaptureGraph(m *onnx.Model, ix *onnx.Index, plans []tapPlan) (*captureGraph, error) {
	taps := make([]Tap, len(plans))
	for i, p := range plans {
		taps[i] = p.tap
	}
	r, b, err := restrict(m, ix, tappedValues(taps))
	if err != nil {
		return nil, err
	}
	g := &captureGraph{model: r}
	for i := range plans {
		names := b.sums(&plans[i])
		o := int64(taps[i].features())
		b.output(names.sum, onnx.Double, o)
		if taps[i].Diagonal {
			b.output(names.square, onnx.Double, o)
		} else {
			b.output(names.square, onnx.Double, o, o)
		}
		g.names = append(g.names, names)
	}
	return g, nil
}

// sums appends the nodes of one tap: float32 within a chunk, float64 from there on.
func (b *builder) sums(p *tapPlan) sumNames {
	x, positionAxis := b.stack(p)
	var sums, squares []string
	for _, chunk := range b.split(x, positionAxis, p.chunks) {
		sums = append(sums, b.overPlanes(p, b.reduceSum(chunk, positionAxis)))
		squares = append(squares, b.overPlanes(p, b.squares(p, chunk, positionAxis)))
	}
	return sumNames{b.sum(sums), b.sum(squares)}
}

// squares is the product of a chunk with itself, summed over the positions, in float32. ONNX Runtime fuses
// the transposition into the product.
func (b *builder) squares(p *tapPlan, chunk string, positionAxis int64) string {
	switch {
	case p.tap.Diagonal: // cheaper than ReduceSumSquare, whose kernel is not vectorised
		return b.reduceSum(b.mul(chunk, chunk), positionAxis)
	case p.planes: // (A, O, P)·(A, P, O)
		return b.matMul(chunk, b.transpose(chunk, 0, 2, 1))
	}
	return b.matMul(b.transpose(chunk, 1, 0), chunk) // (O, R)·(R, O)
}

// overPlanes converts a chunk's float32 sums to float64 and adds up those of all planes.
func (b *builder) overPlanes(p *tapPlan, x string) string {
	x = b.cast(x, onnx.Double)
	if p.planes {
		return b.reduceSum(x, 0)
	}
	return x
}

// stack brings the parts of a tap together as float32, less the shift: shape (A, O, P) for planes, else
// (R, O). It returns the axis of the positions, too.
func (b *builder) stack(p *tapPlan) (stacked string, positionAxis int64) {
	featureAxis, shiftShape := int64(1), []int64{1, int64(len(p.shift))}
	if p.planes {
		positionAxis, shiftShape = 2, append(shiftShape, 1)
	}
	parts := make([]string, len(p.views))
	for i, v := range p.views {
		parts[i] = b.part(p.tap.Parts[i], v, p.planes)
	}
	x := b.concat(parts, featureAxis)
	shift := b.constant(onnx.FromFloat64(onnx.Float, p.shift, shiftShape...))
	return b.sub(x, shift), positionAxis
}

// part brings one part into the shape (A, Len, P) or (R, Len).
func (b *builder) part(p Part, v view, planes bool) string {
	x := b.cast(p.Value, onnx.Float) // engines drop it where it changes nothing
	switch {
	case planes:
		x = b.reshape(x, v.shape()...)
	case v.inner == extent{size: 1}: // the features are last already
		x = b.reshape(x, -1, v.features)
	default:
		x = b.reshape(b.transpose(b.reshape(x, v.shape()...), 0, 2, 1), -1, v.features)
	}
	return b.features(x, p, v.features)
}

// features cuts a part's features out of all those of its value, along axis 1.
func (b *builder) features(x string, p Part, all int64) string {
	var sizes []int64
	ours := 0
	if p.From > 0 {
		sizes, ours = append(sizes, int64(p.From)), 1
	}
	sizes = append(sizes, int64(p.Len))
	if rest := all - int64(p.From+p.Len); rest > 0 {
		sizes = append(sizes, rest)
	}
	return b.split(x, 1, sizes)[ours]
}
