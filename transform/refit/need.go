package refit

import (
	"context"
	"slices"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/cost"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// Need is what a least-squares refit keeps between its steps, in bytes, where it is most.
type Need struct {
	Memory  int64 `json:"memory_bytes"`  // kept in memory, at most Options.Memory
	Scratch int64 `json:"scratch_bytes"` // kept in the scratch file
	// Columns is what is kept besides of one node's columns, for its next pass.
	Columns int64 `json:"columns_bytes"`
	// System is the largest linear system: a Gram of [inputs+1]² float64 for each group, and the right-hand sides.
	System int64 `json:"system_bytes"`
}

// Need predicts what LeastSquares of these nodes will keep, by the shapes of merged (its weights don't matter): the
// frontier of the merged network, and what the sources make at the sampled positions. Values of unknown size count as
// nothing. The sources run on one sample.
func (s *Sources) Need(ctx context.Context, merged *onnx.Model, nodes []Linear) (Need, error) {
	ix, err := onnx.NewIndex(merged.Graph())
	if err != nil {
		return Need{}, err
	}
	sizes, err := sampleBytes(merged)
	if err != nil {
		return Need{}, err
	}
	problems := problemsOf(ix, nodes)
	var n Need
	left := make([]int64, len(problems)) // what the sources made and is not used yet, before each problem
	for _, t := range []*targets{s.fit, s.held} {
		if _, err := t.missing(ctx, problems); err != nil {
			return Need{}, err
		}
		after := int64(0)
		for k, p := range slices.Backward(problems) {
			after += p.targetBytes(t.walk.samples(), t.judges)
			left[k] += after
		}
	}
	if s.Keep {
		left = slices.Repeat(left[:1], len(left))
	}
	for _, p := range problems {
		n.Columns = max(n.Columns, p.columnBytes(s.fit)+p.columnBytes(s.held))
		n.System = max(n.System, 8*int64(p.groups)*int64(p.d+1)*int64(p.d+1+p.o))
	}
	samples := int64(s.fit.src.Samples() + s.held.src.Samples())
	frontier, most := int64(0), int64(0)
	var stale []string
	for k, st := range plan(ix, wantsOf(problems)) {
		for _, v := range stale {
			frontier -= samples * sizes[v]
		}
		for _, v := range st.keep {
			frontier += samples * sizes[v]
		}
		stale = st.drop
		most = max(most, frontier+left[k])
	}
	n.Memory = min(most, s.o.Memory)
	n.Scratch = most - n.Memory
	return n, nil
}

// columnBytes is the size of the columns that are kept of a problem.
func (p *problem) columnBytes(t *targets) int64 {
	samples, positions := t.walk.samples(), 1
	if p.sampled {
		positions = p.perSample(samples, t.judges)
	}
	return min(mostColumns, 4*int64(p.groups)*int64(p.d+1)*int64(positions)*int64(samples))
}

// targetBytes is the size of what the sources make at the positions that a problem looks at.
func (p *problem) targetBytes(samples int, half bool) int64 {
	positions := 1
	if p.sampled {
		positions = p.perSample(samples, half)
	}
	channels := 0
	for _, m := range p.Target {
		channels += len(m.To) // as many as its source has, whatever the merged node's width
	}
	return 4 * int64(channels) * int64(positions) * int64(samples)
}

// sampleBytes is the size of each value of a model for one sample.
func sampleBytes(m *onnx.Model) (map[string]int64, error) {
	dims, err := cost.Bind(m, 1)
	if err != nil {
		return nil, err
	}
	shapes, err := shape.Infer(m, shape.Options{InputDims: dims})
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for v, s := range shapes {
		size := int64(s.DType.Size())
		for _, d := range s.Dims {
			size *= max(d.Size, 0)
		}
		out[v] = size
	}
	return out, nil
}
