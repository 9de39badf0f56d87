package space

import "slices"

// maxCopies bounds how often a block may be repeated by an outer axis of a product (a Flatten of
// H·W·C): beyond it the features are pinned rather than the layout blown up.
const maxCopies = 1 << 14

// product lays axes over each other as a reshape to one axis does: the first is the outermost. ok is
// false where two axes hold features, or a size is unknown; the caller pins.
func product(axes []axis) (axis, bool) {
	out := aligned(1)
	for _, x := range axes {
		x = resolve(x)
		var ok bool
		if out, ok = times(out, x); !ok {
			return nil, false
		}
	}
	return out, true
}

// times is the product of an outer and an inner axis.
func times(outer, inner axis) (axis, bool) {
	no, ni := outer.positions(), inner.positions()
	if no > 0 && ni > 0 && len(outer) == 1 && len(inner) == 1 {
		if whole, ok := join(outer[0], inner[0]); ok {
			return axis{whole}, true
		}
		if outer[0].part == HeadPart && inner[0].part == Whole && inner[0].b != nil && keepOrder(inner[0]) {
			return axis{{b: outer[0].b, inner: outer[0].inner * ni, part: HeadPart}}, true // values that all heads share
		}
	}
	switch {
	case ni == 1 && inner.isAligned():
		return outer, true
	case no == 1 && outer.isAligned():
		return inner, true
	case outer.isAligned() && inner.isAligned():
		if no < 0 || ni < 0 {
			return aligned(-1), true
		}
		return aligned(no * ni), true
	case no < 0 || ni < 0:
		return nil, false
	case inner.isAligned():
		out := make(axis, len(outer))
		for i, r := range outer {
			switch {
			case r.b == nil:
				r.size *= ni
			case r.part == RepeatedPart:
				return nil, false
			default:
				r.inner *= ni
			}
			out[i] = r
		}
		return out, true
	case outer.isAligned() && no*len(inner) <= maxCopies:
		var out axis
		for range no {
			out = append(out, inner...)
		}
		return out, true
	}
	return nil, false
}

// factor is the inverse of product: it divides an axis into axes of the given sizes. ok is false where
// the features do not fall along these sizes.
func factor(x axis, sizes []int) ([]axis, bool) {
	x = resolve(x)
	var out []axis
	for k := 0; k < len(sizes); k++ {
		if x.isAligned() {
			out = append(out, aligned(sizes[k]))
			continue
		}
		rest := 1
		for _, s := range sizes[k+1:] {
			rest *= s
		}
		if head, tail, ok := peelOuter(x, sizes[k], rest); ok {
			out, x = append(out, head), tail
			continue
		}
		if head, tail, ok := divide(x, sizes[k], rest); ok && k == len(sizes)-2 {
			out, x = append(out, head), tail
			continue
		}
		head, ok := dropInner(x, rest)
		if !ok && k == len(sizes)-2 {
			if head, tail, divided := divideRepeated(x, sizes[k], rest); divided {
				out, x = append(out, head), tail
				continue
			}
		}
		if !ok {
			return nil, false
		}
		out, x = append(out, head), aligned(rest)
	}
	return out, true
}

// peelOuter recognises n copies of one layout: an aligned outer axis.
func peelOuter(x axis, n, rest int) (head, tail axis, ok bool) {
	if n == 1 {
		return aligned(1), x, true
	}
	if len(x)%n != 0 {
		return nil, nil, false
	}
	period := len(x) / n
	tail = x[:period]
	if tail.positions() != rest {
		return nil, nil, false
	}
	for i := range x {
		if x[i] != tail[i%period] {
			return nil, nil, false
		}
	}
	return aligned(n), tail, true
}

// dropInner divides every run's inner repeat by rest: the features lie on the outer axis.
func dropInner(x axis, rest int) (axis, bool) {
	out := make(axis, len(x))
	for i, r := range x {
		switch {
		case r.b == nil && r.size%rest == 0:
			r.size /= rest
		case r.b != nil && r.inner%rest == 0 && (r.part != RepeatedPart || rest == 1):
			r.inner /= rest
		default:
			return nil, false
		}
		out[i] = r
	}
	return out, true
}

// dim is a size as reshape sees it: unknown sizes are equal where their symbols are.
type dim struct {
	size int // -1 unknown
	sym  string
}

func (d dim) same(e dim) bool {
	if d.size >= 0 || e.size >= 0 {
		return d.size == e.size
	}
	return d.sym != "" && d.sym == e.sym
}

// reshape carries axes over to new sizes: it groups input and output axes whose products agree, merges
// each group and divides it again. ok is false where features get lost; bad then holds the input axes
// that must be pinned.
func reshape(axes []axis, in, out []dim) (result []axis, bad []axis) {
	result = make([]axis, len(out))
	i, j := 0, 0
	for i < len(in) && j < len(out) {
		switch {
		case in[i].same(out[j]):
			result[j] = axes[i]
			i, j = i+1, j+1
			continue
		case in[i].size == 1 && axes[i].isAligned():
			i++
			continue
		case out[j].size == 1:
			result[j] = aligned(1)
			j++
			continue
		}
		if a, b, ok := batchedHeads(axes[i:], in[i:], out[j:]); ok {
			result[j], result[j+1] = a, b
			i, j = i+2, j+2
			continue
		}
		if !groupable(in[i:], out[j:]) {
			break
		}
		ni, nj := group(in[i:], out[j:])
		if ni == 0 {
			break
		}
		bad = append(bad, regroup(axes[i:i+ni], result[j:j+nj], out[j:j+nj])...)
		i, j = i+ni, j+nj
		continue
	}
	for ; j > 0 && j == len(out) && i < len(in) && in[i].size == 1; i++ { // one feature that is squeezed away
		whole, ok := product([]axis{result[j-1], axes[i]})
		if !ok {
			bad = append(bad, result[j-1], axes[i])
		}
		result[j-1] = whole
	}
	return result, append(bad, suffix(axes[i:], in[i:], out[j:], result[j:])...)
}

// batchedHeads recognises [N, E] → [N·h, E/h] with N unknown: the form in which PyTorch's MultiheadAttention lays
// heads beside samples. E is a whole block, divided into h heads. joinLast is the way back.
func batchedHeads(axes []axis, in, out []dim) (first, second axis, ok bool) {
	if len(in) < 2 || len(out) < 2 || in[0].size >= 0 || out[0].size >= 0 || in[1].size <= 0 || out[1].size <= 0 {
		return nil, nil, false
	}
	x, y := resolve(axes[0]), resolve(axes[1])
	if !x.isAligned() || in[1].size%out[1].size != 0 {
		return nil, nil, false
	}
	head, inside, ok := divide(y, in[1].size/out[1].size, out[1].size)
	if ok {
		head[0].many = true
	}
	return head, inside, ok
}

// layBatch lays an unknown number of samples and heads on one axis, [N, h] → [N·h], or takes them apart again.
func layBatch(axes []axis, in, out []dim, result []axis) bool {
	switch {
	case len(in) == 2 && len(out) == 1 && in[0].size < 0 && out[0].size < 0:
		x, heads := resolve(axes[0]), slices.Clone(resolve(axes[1]))
		if !x.isAligned() || len(heads) != 1 || heads[0].part != HeadPart || heads[0].many {
			return false
		}
		heads[0].many = true
		result[0] = heads
		return true
	case len(in) == 1 && len(out) == 2 && out[0].size < 0:
		heads := slices.Clone(resolve(axes[0]))
		if len(heads) != 1 || !heads[0].many || heads[0].b.find().heads.count*heads[0].inner != out[1].size {
			return false
		}
		heads[0].many = false
		result[0], result[1] = aligned(-1), heads
		return true
	}
	return false
}

// joinLast recognises heads, beside an unknown number of samples or not, and what is inside them as the last two
// axes, which the result has as one.
func joinLast(axes []axis, out dim) (whole axis, ok bool) {
	if len(axes) < 2 {
		return nil, false
	}
	x, y := resolve(axes[len(axes)-2]), resolve(axes[len(axes)-1])
	if len(x) != 1 || len(y) != 1 {
		return nil, false
	}
	r, ok := join(x[0], y[0])
	return axis{r}, ok && r.positions() == out.size
}

func groupable(in, out []dim) bool { return in[0].size > 0 && out[0].size > 0 }

// group finds the smallest leading groups of equal product, (0, 0) where there are none.
func group(in, out []dim) (ni, nj int) {
	p, q := in[0].size, out[0].size
	ni, nj = 1, 1
	for p != q {
		switch {
		case p < q && ni < len(in) && in[ni].size > 0:
			p *= in[ni].size
			ni++
		case q < p && nj < len(out) && out[nj].size > 0:
			q *= out[nj].size
			nj++
		default:
			return 0, 0
		}
	}
	return ni, nj
}

// regroup merges axes and divides them into result; it returns the axes to pin where that fails.
func regroup(axes []axis, result []axis, out []dim) []axis {
	sizes := make([]int, len(out))
	for k, d := range out {
		sizes[k] = d.size
	}
	if whole, ok := product(axes); ok {
		if parts, ok := factor(whole, sizes); ok {
			copy(result, parts)
			return nil
		}
	}
	return axes // result stays nil: the caller makes pinned axes of it
}

// suffix handles what the walk from the left could not (an unknown size): equal sizes are matched from
// the right, the rest must hold no features.
func suffix(axes []axis, in, out []dim, result []axis) (bad []axis) {
	for len(in) > 0 && len(out) > 0 {
		last := len(out) - 1
		if whole, ok := joinLast(axes, out[last]); ok {
			result[last] = whole
			axes, in, out = axes[:len(in)-2], in[:len(in)-2], out[:last] // the samples, if any, are aligned
			continue
		}
		if !in[len(in)-1].same(out[last]) {
			break
		}
		result[last] = axes[len(in)-1]
		axes, in, out = axes[:len(in)-1], in[:len(in)-1], out[:last]
	}
	if layBatch(axes, in, out, result) {
		return nil
	}
	for k := range axes {
		if !axes[k].isAligned() {
			return axes
		}
	}
	for k := range out {
		if result[k] == nil {
			result[k] = aligned(out[k].size)
		}
	}
	return nil
}
