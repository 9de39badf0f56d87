package calibrate

import (
	"context"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// maxProbedInts is the number of elements up to which Probe returns the contents of integer tensors.
const maxProbedInts = 64

// Probed is what one run has shown.
type Probed struct {
	// Dims holds the dims of every tensor that a node of the main graph makes.
	Dims map[string][]int64
	// Ints holds the elements of the small (at most 64) integer tensors among them that follow from
	// shapes and constants, not from the data: what Reshape, Expand, Slice and the like take as shapes,
	// axes and bounds. A scalar has one element. Operators without a rule in staticTypes are passed over.
	Ints map[string][]int64
}

// Probe runs m once for each set of feeds (by input name; usually batches of one sample and of two) and
// returns the exact dims of all values, for where inference without running has no answer. Values that are
// no tensors (sequences, maps, optionals) are left out. Only sizes leave the engine, not activations.
//
// Errors are those of the engine, and of kind fault.Data where a feed is missing.
func Probe(ctx context.Context, e Engine, m *onnx.Model, feeds ...map[string]*onnx.Tensor) ([]Probed, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	g, err := newProbeGraph(m, ix)
	if err != nil {
		return nil, err
	}
	if len(g.values) == 0 {
		return make([]Probed, len(feeds)), nil
	}
	s, err := e.Open(ctx, g.model, SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	result := make([]Probed, len(feeds))
	for i := range feeds {
		if result[i], err = g.run(ctx, s, feeds[i]); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// probeGraph is a model whose outputs tell the dims of its values and the contents of some.
type probeGraph struct {
	model  *onnx.Model
	values []string
	dims   []string // outputs: for each value 1 followed by its dims, so that a scalar's is not empty
	ints   []string // values that are outputs themselves
}

func newProbeGraph(m *onnx.Model, ix *onnx.Index) (*probeGraph, error) {
	g := &probeGraph{values: tensorValues(ix)}
	r, b, err := restrict(m, ix, g.values, nil)
	if err != nil {
		return nil, err
	}
	g.model = r
	for _, v := range g.values {
		shape := b.add("Concat", []string{b.ints(1), b.add("Shape", []string{v})}, onnx.Int("axis", 0))
		b.output(shape, onnx.Int64, []onnx.Dim{{Size: -1}})
		g.dims = append(g.dims, shape)
	}
	types := staticTypes(ix)
	for _, v := range g.values {
		if t := types[v]; t.IsInt() {
			b.output(v, t, nil)
			g.ints = append(g.ints, v)
		}
	}
	return g, nil
}

func (g *probeGraph) run(ctx context.Context, s Session, all map[string]*onnx.Tensor) (Probed, error) {
	feeds := map[string]*onnx.Tensor{}
	for _, in := range g.model.Graph().GetInput() {
		t := all[in.GetName()]
		if t == nil {
			return Probed{}, fault.New(fault.Data, "missing_input", "nothing is fed").AtValue(in.GetName())
		}
		feeds[in.GetName()] = t
	}
	out, err := s.Run(ctx, feeds)
	if err != nil {
		return Probed{}, err
	}
	p := Probed{Dims: map[string][]int64{}, Ints: map[string][]int64{}}
	for i, v := range g.values {
		dims, err := out[g.dims[i]].Int64s()
		if err != nil {
			return Probed{}, err
		}
		p.Dims[v] = dims[1:]
	}
	for _, v := range g.ints {
		if t := out[v]; t.Len() <= maxProbedInts {
			if p.Ints[v], err = t.Int64s(); err != nil {
				return Probed{}, err
			}
		}
	}
	return p, nil
}
