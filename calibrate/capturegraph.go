package calibrate

import (
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// sumNames are the outputs of one tap, float64, over all positions of a batch. They are to be multiplied
// with the plan's scale.
type sumNames struct {
	// sums holds, for each part, Σ (x−s): as many elements as it has features; s is the plan's shift.
	sums []string
	// squares holds, for each pair of parts i ≤ j in the order (0,0) (0,1) … (1,1) …, Σ (x_i−s_i)(x_j−s_j)ᵀ
	// of shape (Len_i, Len_j): the other half of the matrix is its transpose. Of a diagonal tap it holds
	// Σ (x−s)² for each part, as sums does.
	squares []string
	// mask is an input: 1 for each position that counts, 0 for the others; "" where all do.
	mask string
}

// declare makes the sums of a tap outputs, with their shapes.
func (b *builder) declare(p *tapPlan, names sumNames) {
	parts := p.tap.Parts
	vector := func(i int) []onnx.Dim {
		dims := onnx.Static(int64(parts[i].Len))
		if p.layout == pooled { // which leaves axes of size 1
			dims = append(dims, slices.Repeat(onnx.Static(1), p.views[i].rank-2)...)
		}
		return dims
	}
	next := 0
	for i := range parts {
		b.output(names.sums[i], onnx.Double, vector(i))
		if p.tap.Diagonal {
			b.output(names.squares[i], onnx.Double, vector(i))
			continue
		}
		for _, other := range parts[i:] {
			b.output(names.squares[next], onnx.Double, onnx.Static(int64(parts[i].Len), int64(other.Len)))
			next++
		}
	}
}

// tap appends the nodes of one tap: float32 within a chunk or plane, float64 from there on.
func (b *builder) tap(p *tapPlan) sumNames {
	var names sumNames
	if p.masked {
		names.mask = b.name()
		b.graph.Input = append(b.graph.Input, onnx.NewValueInfo(names.mask, onnx.Float, slices.Repeat([]onnx.Dim{{Size: -1}}, len(p.maskShape()))))
	}
	if p.layout == pooled {
		for i, part := range p.tap.Parts {
			x := b.cast(part.Value, onnx.Float)
			names.sums = append(names.sums, b.pooled(p, i, x))
			names.squares = append(names.squares, b.pooled(p, i, b.mul(x, x)))
		}
		return names
	}
	chunks := make([][]string, len(p.views)) // of each part
	for i := range chunks {
		chunks[i] = b.split(b.masked(b.part(p, i), names.mask), p.positionAxis(), p.chunks)
		names.sums = append(names.sums, b.overChunks(p, chunks[i], func(x string) string {
			return b.reduceSum(x, p.positionAxis())
		}))
		if p.tap.Diagonal {
			names.squares = append(names.squares, b.overChunks(p, chunks[i], func(x string) string {
				return b.reduceSum(b.mul(x, x), p.positionAxis()) // ReduceSumSquare is slower: its kernel is not vectorised
			}))
		}
	}
	if !p.tap.Diagonal {
		names.squares = b.products(p, chunks)
	}
	return names
}

// products multiplies each part with itself and those behind it, summing over the positions. ONNX Runtime
// fuses the transpositions into the products.
func (b *builder) products(p *tapPlan, chunks [][]string) []string {
	perm := []int64{1, 0}
	if p.layout == planes {
		perm = []int64{0, 2, 1}
	}
	turned := make([][]string, len(chunks))
	for i, part := range chunks {
		for _, x := range part {
			turned[i] = append(turned[i], b.transpose(x, perm...))
		}
	}
	var products []string
	for i := range chunks {
		for j := i; j < len(chunks); j++ {
			left, right := chunks[i], turned[j] // (A, O, P)·(A, P, O)
			if p.layout == rows {
				left, right = turned[i], chunks[j] // (O, R)·(R, O)
			}
			var perChunk []string
			for k := range left {
				perChunk = append(perChunk, b.overPlanes(p, b.matMul(left[k], right[k])))
			}
			products = append(products, b.sum(perChunk))
		}
	}
	return products
}

// overChunks adds up f of all chunks of a part, in float64.
func (b *builder) overChunks(p *tapPlan, chunks []string, f func(string) string) string {
	var sums []string
	for _, x := range chunks {
		sums = append(sums, b.overPlanes(p, f(x)))
	}
	return b.sum(sums)
}

// overPlanes converts float32 sums to float64 and adds up those of all planes.
func (b *builder) overPlanes(p *tapPlan, x string) string {
	x = b.cast(x, onnx.Double)
	if p.layout == rows {
		return x
	}
	return b.reduceSum(x, 0)
}

// pooled averages x, made of part i, over its positions and sums up the samples: shape (Len, 1, …).
func (b *builder) pooled(p *tapPlan, i int, x string) string {
	x = b.add("GlobalAveragePool", []string{x})
	return b.overPlanes(p, b.features(x, p.tap.Parts[i], p.views[i].features))
}

// part brings part i into the shape (A, Len, P) for planes, (R, Len) for rows, as float32 and less its shift.
func (b *builder) part(p *tapPlan, i int) string {
	part, v := p.tap.Parts[i], p.views[i]
	x := b.cast(part.Value, onnx.Float) // engines drop it where it changes nothing
	shiftShape := []int64{1, int64(part.Len)}
	switch {
	case p.layout == planes:
		x = b.reshape(x, v.shape()...)
		shiftShape = append(shiftShape, 1)
	case v.inner == extent{size: 1}: // the features are last already
		x = b.reshape(x, -1, v.features)
	default:
		x = b.reshape(b.transpose(b.reshape(x, v.shape()...), 0, 2, 1), -1, v.features)
	}
	x = b.features(x, part, v.features)
	if shift := p.shifts[i]; shift != nil {
		x = b.sub(x, b.constant(onnx.FromFloat64(onnx.Float, shift, shiftShape...)))
	}
	return x
}

// masked makes the positions that do not count 0, after the shift: they add nothing to any sum.
func (b *builder) masked(x, mask string) string {
	if mask == "" {
		return x
	}
	return b.mul(x, mask)
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
