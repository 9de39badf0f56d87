package calibrate

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// peekBytes bounds the activations that the first look takes out of the engine, as float32.
const peekBytes = 16 << 20

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
	s, err := e.Open(ctx, r, SessionOptions{Threads: 1})
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
	r, b, err := restrict(m, ix, values)
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = b.cast(v, onnx.Float)
		b.graph.Output = append(b.graph.Output, onnx.NewValueInfo(names[i], onnx.Float, nil))
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

// means are the means of the features of a part over the positions seen, rounded to float32, and zero where
// they are not finite (the sums will tell, with the place).
func (g glimpse) means(p Part, v view) []float64 {
	inner := int(v.inner.at(g.samples))
	outer := int(v.outer.at(g.samples))
	means := make([]float64, p.Len)
	for o := range outer {
		for c := range means {
			at := (o*int(v.features) + p.From + c) * inner
			for _, x := range g.values[at : at+inner] {
				means[c] += float64(x)
			}
		}
	}
	for c := range means {
		if means[c] = float64(float32(means[c] / float64(outer*inner))); !finite(means[c]) {
			means[c] = 0
		}
	}
	return means
}

// finite reports whether x is neither infinite nor NaN.
func finite(x float64) bool { return x-x == 0 }
