package calibrate

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// peekBytes bounds the activations that the first look takes out of the engine, as float32.
const peekBytes = 4 << 20

// glimpse is what the first look found out about a value.
type glimpse struct {
	axes    []extent
	samples int
	values  []float32 // of those samples
}

// peek runs the first samples with the given values as outputs. Their dims say which axis grows with the
// samples, and their means serve as the shift that keeps squares small. It looks at one sample and then at
// as many as peekBytes allows, but at least two; or at one full batch where the model has a fixed one.
func peek(ctx context.Context, e Engine, m *onnx.Model, ix *onnx.Index, values []string, f *feeder) (map[string]glimpse, error) {
	r, names, err := peekModel(m, ix, values)
	if err != nil {
		return nil, err
	}
	s, err := e.Open(ctx, r, SessionOptions{Threads: 1, Unoptimized: true}) // for two runs optimising does not pay
	if err != nil {
		return nil, err
	}
	defer s.Close()
	run := func(samples int) (map[string]*onnx.Tensor, error) {
		feeds, err := f.read(0, samples)
		if err != nil {
			return nil, err
		}
		return s.Run(ctx, feeds)
	}

	few, one := f.batch, map[string]*onnx.Tensor(nil)
	if !f.fixed && few > 1 {
		if one, err = run(1); err != nil {
			return nil, err
		}
		few = affordable(one, few)
	}
	many, err := run(few)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]glimpse, len(values))
	for i, v := range values {
		if seen[v], err = newGlimpse(v, one[names[i]], many[names[i]], few); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// peekModel returns a model with the values, cast to float32, as outputs, and the outputs' names.
func peekModel(m *onnx.Model, ix *onnx.Index, values []string) (*onnx.Model, []string, error) {
	r, b, err := restrict(m, ix, values, nil)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = b.cast(v, onnx.Float)
		b.output(names[i], onnx.Float, nil)
	}
	return r, names, nil
}

// affordable is the number of samples whose outputs fit peekBytes: 2 to most, given those of one sample.
func affordable(one map[string]*onnx.Tensor, most int) int {
	bytes := 1
	for _, t := range one {
		bytes += len(t.Raw)
	}
	return min(most, max(2, peekBytes/bytes))
}

// newGlimpse takes in a value of a run of one sample (nil where there was none) and of one of `samples`.
func newGlimpse(value string, one, many *onnx.Tensor, samples int) (glimpse, error) {
	x, err := many.Float32s()
	if err != nil {
		return glimpse{}, err
	}
	g := glimpse{fixedExtents(many.Dims), samples, x}
	if one == nil {
		return g, nil
	}
	if g.axes, err = extentsOf(value, one.Dims, many.Dims, samples); err != nil {
		return glimpse{}, err
	}
	if !slices.ContainsFunc(g.axes, func(e extent) bool { return e.perSample }) {
		return glimpse{}, fault.New(fault.Unsupported, "constant_value", "it does not depend on the samples").AtValue(value)
	}
	return g, nil
}

// statistics are the means and the mean squares of the features of a part over the positions seen.
func (g glimpse) statistics(p Part, v view) (means, squares []float64) {
	inner, outer := int(v.inner.at(g.samples)), int(v.outer.at(g.samples))
	means, squares = make([]float64, p.Len), make([]float64, p.Len)
	for o := range outer {
		for c := range means {
			at := (o*int(v.features) + p.From + c) * inner
			sum, square := 0.0, 0.0
			for _, x := range g.values[at : at+inner] {
				sum += float64(x)
				square += float64(x) * float64(x)
			}
			means[c] += sum
			squares[c] += square
		}
	}
	n := float64(outer * inner)
	for c := range means {
		means[c] /= n
		squares[c] /= n
	}
	return means, squares
}

// maxOffset is the ratio of mean² to variance up to which squares are taken without a shift: they lose as
// many bits of float32 as it has, and one feature beyond it costs its tap a pass over the data.
const maxOffset = 4

// shiftOf returns what to subtract from the features of a part before squaring: float32 values near the
// means, or nil where no mean is large against the deviation. A feature that is not finite gets zero: the
// sums will tell, with the place.
func (g glimpse) shiftOf(p Part, v view) []float64 {
	means, squares := g.statistics(p, v)
	needed := false
	for c, mean := range means {
		if !finite(squares[c]) {
			means[c] = 0
			continue
		}
		needed = needed || mean*mean > maxOffset*max(0, squares[c]-mean*mean)
		means[c] = float64(float32(mean))
	}
	if !needed {
		return nil
	}
	return means
}

// finite reports whether x is neither infinite nor NaN.
func finite(x float64) bool { return x-x == 0 }
