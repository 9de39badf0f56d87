package calibrate

import "slices"

const (
	// maxRows bounds the positions that one float32 product sums up before the result goes to float64:
	// its rounding error grows with their number (1e-6 of the deviations' product at about 1,000, 1e-5 at 50,000).
	maxRows = 1024
	// bytesPerProduct is what an element of a float32 product and its float64 copy take.
	bytesPerProduct = 12
)

// tapPlan is how the sums of one tap are computed in a batch of a certain number of samples.
type tapPlan struct {
	tap   Tap
	views []view // of the parts
	// planes: the stacked features have the shape (A, O, P), one product for each of A; else they have
	// the shape (R, O), all positions in one axis.
	planes bool
	// chunks cuts P or R into pieces of at most maxRows, which are multiplied one by one.
	chunks []int64
	// positions in the batch.
	positions int64
	// shift is subtracted before squaring, len O: float32 values.
	shift []float64
}

// planTap decides how to compute t in a batch of n samples. memory bounds the bytes of the products.
//
// The choice of planes or rows is one of cost: planes need A products of O×O, each converted to float64;
// rows need a transposition of A·O·P elements but only R/maxRows products. They break even about where
// O = P (measured in ONNX Runtime on the CPU: 64 features × 784 pixels, 1.5 ms against 2.5 ms; 256 × 49,
// 2.5 ms against 1.3 ms).
func planTap(t Tap, seen map[string]glimpse, n int, memory int64) (tapPlan, error) {
	p := tapPlan{tap: t}
	for _, part := range t.Parts {
		g := seen[part.Value]
		v, err := viewOf(t, part, g.axes)
		if err != nil {
			return tapPlan{}, err
		}
		p.views = append(p.views, v)
		p.shift = append(p.shift, g.means(part, v)...)
	}
	first := p.views[0]
	p.positions = first.positions(n)
	for i, v := range p.views {
		if v.positions(n) != p.positions {
			return tapPlan{}, badTap(t, "its parts have %d and %d positions", p.positions, v.positions(n)).AtValue(t.Parts[i].Value)
		}
	}
	p.planes = p.preferPlanes(n, memory)
	if p.planes {
		p.chunks = pieces(first.inner.at(n))
	} else {
		p.chunks = pieces(p.positions)
	}
	return p, nil
}

// preferPlanes reports whether planes are possible and better than rows.
func (p *tapPlan) preferPlanes(n int, memory int64) bool {
	first := p.views[0]
	for _, v := range p.views {
		if v.inner != first.inner || v.outer != first.outer || v.inner.perSample {
			return false
		}
	}
	if p.tap.Diagonal {
		return first.inner.size > 1
	}
	o := int64(p.tap.features())
	return first.inner.size >= o && first.outer.at(n)*o*o*bytesPerProduct <= memory
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
	if p.planes != q.planes || len(p.chunks) != len(q.chunks) {
		return false
	}
	return len(p.chunks) == 1 || slices.Equal(p.chunks, q.chunks)
}
