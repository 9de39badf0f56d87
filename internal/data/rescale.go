package data

import (
	"math"
	"strconv"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// rescales reports whether any of scale, mean and std is set.
func (o *Options) rescales() bool { return o.Scale != 0 || len(o.Mean) > 0 || len(o.Std) > 0 }

// check refuses settings that no data can be rescaled with, as errors of kind fault.Usage.
func (o *Options) check() error {
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	ok := finite(o.Scale)
	for _, m := range o.Mean {
		ok = ok && finite(m)
	}
	for _, s := range o.Std {
		ok = ok && finite(s) && s > 0
	}
	if !ok {
		return fault.New(fault.Usage, "bad_scale", "scale, mean and std must be finite numbers, and std above zero")
	}
	return nil
}

// checkChannels refuses a list of Mean or Std that is not as long as axis 1.
func (o *Options) checkChannels(shape []int64) error {
	for _, list := range []struct {
		name string
		n    int
	}{{"mean", len(o.Mean)}, {"std", len(o.Std)}} {
		switch {
		case list.n <= 1:
		case len(shape) < 2:
			return bad("channels", "%d values of --%s, but the array %s has no channels", list.n, list.name, tuple(shape))
		case int64(list.n) != shape[1]:
			return bad("channels", "%d values of --%s for %d channels: the shape is %s",
				list.n, list.name, shape[1], tuple(shape)).AtAxis(strconv.Itoa(1))
		}
	}
	return nil
}

// rescale returns (x·Scale − Mean) / Std, computed in float64 and rounded once.
func (o *Options) rescale(t *onnx.Tensor, to onnx.DType) (*onnx.Tensor, findings, error) {
	x, err := t.Float64s()
	if err != nil {
		return nil, findings{}, err
	}
	channels, inner := 1, 1 // inner: elements from one channel to the next
	if len(t.Dims) > 1 {
		channels = int(t.Dims[1])
		for _, d := range t.Dims[2:] {
			inner *= int(d)
		}
	}
	scale := o.Scale
	if scale == 0 {
		scale = 1
	}
	for i := range x {
		c := i / inner % channels
		x[i] = (x[i]*scale - at(o.Mean, c, 0)) / at(o.Std, c, 1)
	}
	return onnx.FromFloat64(to, x, t.Dims...), findings{}, nil
}

// at is the value for channel c of a list that has none, one, or one for each channel.
func at(list []float64, c int, unset float64) float64 {
	switch len(list) {
	case 0:
		return unset
	case 1:
		return list[0]
	}
	return list[c]
}
