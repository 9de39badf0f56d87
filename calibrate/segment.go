package calibrate

import (
	"context"
	"slices"
	"sync"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// piece is what is planned of a segment: it computes the sums of some taps of a stage, and what pieces behind it read. Each node
// of the model is in one at most.
type piece struct {
	taps   []int    // their numbers
	wants  []string // the values that they read
	inputs []string // of the model that it reads
	given  []string // values that it reads of earlier pieces
	makes  []string // values that it computes
	keeps  []string // those of them that later pieces read
	drops  []string // given values that nobody reads behind it
	extra  []string // values that it computes for CaptureOptions.Extra
}

// segment is a piece that runs, on batches of one size.
type segment struct {
	piece
	once    sync.Once
	failed  error
	session Session
	names   []sumNames // of each tap, once the session is open
	asks    []string   // inputs of what Extra appends then
}

// openSegment makes the session of a segment, the first time. given are values of earlier ones, of any batch.
func (c *capture) openSegment(ctx context.Context, s *segment, plans []tapPlan, given map[string]*onnx.Tensor) error {
	s.once.Do(func() { s.failed = c.newSession(ctx, s, plans, given) })
	return s.failed
}

func (c *capture) newSession(ctx context.Context, s *segment, plans []tapPlan, given map[string]*onnx.Tensor) error {
	known := map[string]bool{}
	for _, v := range s.given {
		known[v] = true
	}
	r, b, err := restrict(c.model, c.index, s.wants, known)
	if err != nil {
		return err
	}
	for _, v := range s.given {
		r.Graph().Input = append(r.Graph().Input, onnx.NewValueInfo(v, given[v].DType, slices.Repeat([]onnx.Dim{{Size: -1}}, len(given[v].Dims))))
	}
	for _, t := range s.taps {
		names := b.tap(&plans[t])
		b.declare(&plans[t], names)
		s.names = append(s.names, names)
	}
	for _, v := range s.keeps {
		r.Graph().Output = append(r.Graph().Output, &onnx.ValueInfo{Name: &v}) // the engine infers its type
	}
	if len(s.extra) > 0 {
		before := len(r.Graph().Input)
		c.options.Extra.Extend(r.Graph(), s.extra)
		for _, in := range r.Graph().Input[before:] {
			s.asks = append(s.asks, in.GetName())
		}
	}
	s.session, err = c.engine.Open(ctx, r, SessionOptions{Threads: c.options.Threads, Lean: len(s.given)+len(s.keeps) > 0})
	return err
}

// feeds are those of the values at hand that the segment reads.
func (s *segment) feeds(values map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	feeds := make(map[string]*onnx.Tensor, len(s.inputs)+len(s.given))
	for _, v := range s.inputs {
		feeds[v] = values[v]
	}
	for _, v := range s.given {
		feeds[v] = values[v]
	}
	return feeds
}

// handOver moves what later segments read from the outputs to the values at hand, and takes away what they do not.
func (s *segment) handOver(values, out map[string]*onnx.Tensor) {
	for _, v := range s.keeps {
		values[v] = out[v]
		delete(out, v)
	}
	for _, v := range s.drops {
		delete(values, v)
	}
}

// mask adds to the feeds what each tap's positions count for in a batch of n samples, and returns how many count, by
// the same names.
func (s *segment) mask(m *Mask, plans []tapPlan, n int, feeds map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	counts := map[string]*onnx.Tensor{}
	for k, t := range s.taps {
		p := &plans[t]
		name, first := s.names[k].mask, p.tap.Parts[0]
		if name == "" {
			continue
		}
		dims, axis := p.dims(n), first.Axis
		if axis < 0 {
			axis += len(dims)
		}
		keep, behind := m.Positions(dims, axis), 1 // positions behind the features' axis
		for _, d := range dims[axis+1:] {
			behind *= int(d)
		}
		weights, count := make([]float32, p.positions), 0.0
		for k := range weights {
			if keep == nil || keep[k/(behind*int(first.inner()))*behind+k%behind] {
				weights[k] = 1
				count++
			}
		}
		feeds[name] = onnx.FromFloat32(weights, p.maskShape()...)
		counts[name] = onnx.FromFloat64(onnx.Double, []float64{count})
	}
	return counts
}
