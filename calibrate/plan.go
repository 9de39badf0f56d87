package calibrate

import "slices"

const (
	// maxRows bounds the positions that one float32 product sums up before the result goes to float64:
	// its rounding error grows with their number. Measured in units of the deviations, with about 800
	// rows: 4e-7 in general, 5e-6 where most positions are one constant background, which always rounds
	// the same way; with 50,000 rows 1e-5 in general.
	maxRows = 1024
	// maxPooled is the same bound for the sums of a pooling operator. Deviations come of them, in which an
	// error is half of that of the squares.
	maxPooled = 4 * maxRows
	// bytesPerProduct is what an element of a float32 product and its float64 copy take.
	bytesPerProduct = 12
)

// layout is the form in which the parts of a tap are summed. A is the number of planes (most often samples),
// O of features, P of positions in a plane, R = A·P.
type layout int

const (
	// rows: shape (R, O), all positions in one axis. Every tap can take it, perhaps by a transposition.
	rows layout = iota
	// planes: shape (A, O, P), one product for each plane.
	planes
	// pooled: the values as they are, (N, C, …), averaged by GlobalAveragePool. ONNX Runtime runs it in
	// the blocked format of its convolutions, which the other layouts make it convert.
	pooled
)

// tapPlan is how the sums of one tap are computed in a batch of a certain number of samples.
type tapPlan struct {
	tap    Tap
	layout layout
	views  []view // of the parts
	// chunks cuts P (planes) or R (rows) into pieces of at most maxRows, which are summed one by one.
	chunks []int64
	// positions in the batch.
	positions int64
	// scale turns the graph's sums into sums over positions: P where they are means over planes, else 1.
	scale float64
	// shifts are subtracted from the parts before squaring: for each the float32 values of its features,
	// or nil where that is not needed.
	shifts [][]float64
	// read is the size in bytes of the values that the tap reads, as float32.
	read int64
	// axes are those of the first part's value, and masked says that not all its positions may count.
	axes   []extent
	masked bool
}

// dims are those of the first part's value in a batch of n samples.
func (p *tapPlan) dims(n int) []int64 {
	dims := make([]int64, len(p.axes))
	for k, a := range p.axes {
		dims[k] = a.at(n)
	}
	return dims
}

// maskShape is that of what multiplies the parts: one number for each position.
func (p *tapPlan) maskShape() []int64 {
	if p.layout == planes {
		inner := p.views[0].inner.size
		return []int64{p.positions / inner, 1, inner}
	}
	return []int64{p.positions, 1}
}

// planTap decides how to compute t in a batch of n samples.
func planTap(t Tap, seen map[string]glimpse, n int, o CaptureOptions) (tapPlan, error) {
	p := tapPlan{tap: t, scale: 1, masked: o.Mask != "", axes: seen[t.Parts[0].Value].axes}
	for k, part := range t.Parts {
		v, err := viewOf(t, part, seen[part.Value].axes)
		if err != nil {
			return tapPlan{}, err
		}
		p.views = append(p.views, v)
		p.shifts = append(p.shifts, seen[part.Value].shiftOf(part, v))
		if !slices.ContainsFunc(t.Parts[:k], func(q Part) bool { return q.Value == part.Value }) {
			p.read += bytesOf(seen[part.Value].axes, n)
		}
	}
	first := p.views[0]
	p.positions = first.positions(n)
	for i, v := range p.views {
		if v.positions(n) != p.positions {
			return tapPlan{}, badTap(t, "its parts have %d and %d positions", p.positions, v.positions(n)).AtValue(t.Parts[i].Value)
		}
	}
	p.layout = p.chooseLayout(seen, n, o.MemoryBytes)
	switch p.layout {
	case rows:
		p.chunks = pieces(p.positions)
	case planes:
		p.chunks = pieces(first.inner.at(n))
	case pooled:
		p.scale = float64(first.inner.at(n))
	}
	return p, nil
}

// bytesOf is the size of a float32 value with these axes in a batch of n samples.
func bytesOf(axes []extent, n int) int64 {
	size := int64(4)
	for _, a := range axes {
		size *= a.at(n)
	}
	return size
}

// handsOut is what the products, or of a diagonal tap the squares, take that a run hands out, in bytes.
func (p *tapPlan) handsOut() int64 {
	if p.tap.Diagonal {
		return 8 * int64(p.tap.features())
	}
	total := int64(0)
	for i, part := range p.tap.Parts {
		for _, other := range p.tap.Parts[i:] {
			total += 8 * int64(part.Len) * int64(other.Len)
		}
	}
	return total
}

// positionAxis is the axis of a part's positions, in its layout.
func (p *tapPlan) positionAxis() int64 {
	if p.layout == planes {
		return 2
	}
	return 0
}

// chooseLayout takes the cheapest of the possible layouts.
//
// Planes need A products of O×O, each converted to float64; rows need a transposition of A·O·P elements but
// only R/maxRows products. They break even about where O = P (measured in ONNX Runtime on the CPU: 64
// features × 784 positions, 1.5 ms against 2.5 ms; 256 × 49, 2.5 ms against 1.3 ms).
func (p *tapPlan) chooseLayout(seen map[string]glimpse, n int, memory int64) layout {
	first, o := p.views[0], int64(p.tap.features())
	alike := !slices.ContainsFunc(p.views, func(v view) bool {
		return v.inner != first.inner || v.outer != first.outer || v.inner.perSample
	})
	switch {
	case !alike:
		return rows
	case p.tap.Diagonal && p.canPool(seen):
		return pooled
	case p.tap.Diagonal && first.inner.size > 1:
		return planes
	case !p.tap.Diagonal && first.inner.size >= o && first.outer.at(n)*o*o*bytesPerProduct <= memory:
		return planes
	}
	return rows
}

// canPool reports whether every part is a value of shape (N, C, …) that needs no shift.
func (p *tapPlan) canPool(seen map[string]glimpse) bool {
	if p.views[0].inner.size > maxPooled || p.masked {
		return false
	}
	for i, part := range p.tap.Parts {
		axes := seen[part.Value].axes
		if p.shifts[i] != nil || len(axes) < 3 || part.inner() != 1 || p.views[i].outer != axes[0] || p.views[i].features != axes[1].size {
			return false
		}
	}
	return true
}

// pieces cuts length into the fewest pieces of at most maxRows, of sizes that differ by at most one.
func pieces(length int64) []int64 {
	count := (length + maxRows - 1) / maxRows
	sizes := make([]int64, count)
	for i := range sizes {
		sizes[i] = (int64(i)+1)*length/count - int64(i)*length/count
	}
	return sizes
}

// sameGraph reports whether two plans of one tap, for batches of different sizes, need the same nodes.
func (p tapPlan) sameGraph(q tapPlan) bool {
	if p.layout != q.layout || len(p.chunks) != len(q.chunks) {
		return false
	}
	return len(p.chunks) <= 1 || slices.Equal(p.chunks, q.chunks)
}
