package calibrate

import (
	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// extent is the size of an axis: fixed, or so much for each sample.
type extent struct {
	size      int64
	perSample bool
}

// at is the extent's size in a batch of n samples.
func (e extent) at(n int) int64 {
	if e.perSample {
		return e.size * int64(n)
	}
	return e.size
}

// extentsOf derives a value's extents from its dims in a batch of one sample and in one of n > 1.
func extentsOf(value string, one, many []int64, n int) ([]extent, error) {
	if len(one) != len(many) {
		return nil, dynamicShape(value)
	}
	axes := make([]extent, len(one))
	for i := range one {
		switch many[i] {
		case one[i]:
			axes[i] = extent{size: one[i]}
		case one[i] * int64(n):
			axes[i] = extent{one[i], true}
		default:
			return nil, dynamicShape(value)
		}
	}
	return axes, nil
}

func dynamicShape(value string) error {
	return fault.New(fault.Unsupported, "dynamic_shape", "its shape depends on the data, not only on the number of samples").AtValue(value)
}

// fixedExtents are the extents of a value that is only ever seen in batches of one size.
func fixedExtents(dims []int64) []extent {
	axes := make([]extent, len(dims))
	for i, d := range dims {
		axes[i] = extent{size: d}
	}
	return axes
}

// view is a value seen as (outer, features, inner): the axes before the feature axis, that axis, and those
// after it (with the feature axis' own inner positions). Every value has such a view, by a plain Reshape.
type view struct {
	outer, inner extent
	features     int64
	rank         int // of the value itself
}

// viewOf returns the view of p in a value of these extents.
func viewOf(t Tap, p Part, axes []extent) (view, error) {
	axis := p.Axis
	if axis < 0 {
		axis += len(axes)
	}
	if axis < 0 || axis >= len(axes) {
		return view{}, badTap(t, "no axis %d among %d", p.Axis, len(axes)).AtValue(p.Value)
	}
	size := axes[axis]
	if size.perSample || size.size%p.inner() != 0 || size.size/p.inner() < int64(p.From+p.Len) {
		return view{}, badTap(t, "features [%d, %d) × %d of an axis of %d",
			p.From, p.From+p.Len, p.inner(), size.size).AtValue(p.Value)
	}
	scaling := 0
	for _, a := range axes {
		if a.perSample {
			scaling++
		}
	}
	if scaling > 1 { // a relation between samples, not a value of each
		return view{}, dynamicShape(p.Value)
	}
	v := view{outer: total(axes[:axis]), inner: total(axes[axis+1:]), features: size.size / p.inner(), rank: len(axes)}
	v.inner.size *= p.inner()
	if v.outer.size == 0 || v.inner.size == 0 {
		return view{}, fault.New(fault.Unsupported, "empty_value", "it has no elements").AtValue(p.Value)
	}
	return v, nil
}

// total is the product of extents, of which at most one grows with the samples.
func total(axes []extent) extent {
	e := extent{size: 1}
	for _, a := range axes {
		e.size *= a.size
		e.perSample = e.perSample || a.perSample
	}
	return e
}

// positions is the number of positions in a batch of n samples.
func (v view) positions(n int) int64 { return v.outer.at(n) * v.inner.at(n) }

// shape is the view as a Reshape's target, good for every number of samples.
func (v view) shape() []int64 {
	if v.inner.perSample {
		return []int64{v.outer.size, v.features, -1}
	}
	return []int64{-1, v.features, v.inner.size}
}
