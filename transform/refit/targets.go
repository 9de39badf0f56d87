package refit

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// targets are what the sources make at the sampled positions of every node: Σ_i M_i·z_i. The sources run once
// for all nodes, and only the sampled positions leave the engine.
type targets struct {
	walk     *walk // over the sources; it has one step
	problems []*problem
	names    [][]string // of the graph's outputs, for each member of each problem
	variance [][]sums   // of each channel of each problem's target
}

// newTargets plans the pass, and learns the problems' dims by running the sources on the first samples.
func newTargets(ctx context.Context, e calibrate.Engine, side *onnx.Model, src calibrate.Source, problems []*problem, s *store, o Options) (*targets, error) {
	var values []string
	for _, p := range problems {
		for _, m := range p.Target {
			values = append(values, m.Value)
		}
	}
	w, err := newWalk(e, side, src, [][]string{values}, s, o)
	if err != nil {
		return nil, err
	}
	t := &targets{walk: w, problems: problems, variance: make([][]sums, len(problems))}
	if w.batches() == 0 {
		return nil, fewSamplesError(w)
	}
	return t, t.look(ctx)
}

// look finds the dims of the targets.
func (t *targets) look(ctx context.Context) error {
	n := 1
	if t.walk.fixed {
		n = t.walk.o.Batch
	}
	feeds, err := t.walk.src.Batch(0, n)
	if err != nil {
		return err
	}
	s, err := t.walk.engine.Open(ctx, t.walk.piece(t.walk.steps[0]), calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := s.Run(ctx, t.inputs(feeds))
	if err != nil {
		return err
	}
	for _, p := range t.problems {
		dims := out[p.Target[0].Value].Dims
		p.dims, p.sampled = dims[1:], p.channelsFirst() || len(dims) > 2 && dims[0] == int64(n)
	}
	return nil
}

// inputs are the feeds that the graph reads.
func (t *targets) inputs(all map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	feeds := map[string]*onnx.Tensor{}
	for _, v := range t.walk.steps[0].reads {
		feeds[v] = all[v]
	}
	return feeds
}

// run computes the targets of all batches and keeps them in the store.
func (t *targets) run(ctx context.Context) error {
	s, err := t.walk.engine.Open(ctx, t.graph(), calibrate.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	parts := make([][][]sums, t.walk.batches())
	err = t.walk.each(func(b int) error {
		feeds, err := t.walk.input(b)
		if err != nil {
			return err
		}
		feeds = t.inputs(feeds)
		for k, p := range t.problems {
			if index := p.index(b, t.walk.samples()); index != nil {
				feeds[positionsName(k)] = onnx.FromInt64(index, int64(len(index)))
			}
		}
		out, err := s.Run(ctx, feeds)
		if err != nil {
			return err
		}
		parts[b], err = t.keep(b, out)
		return err
	})
	if err != nil {
		return err
	}
	for _, part := range parts {
		t.add(part)
	}
	return nil
}

func positionsName(problem int) string { return fmt.Sprintf("positions/%d", problem) }

// graph is the sources with the sampled positions for outputs: [N, C, P], [N, P, C] or [rows, C].
func (t *targets) graph() *onnx.Model {
	m := t.walk.piece(t.walk.steps[0])
	b := &graphBuilder{g: m.Proto.Graph, prefix: "targets/"}
	b.g.Output = nil
	t.names = nil
	for k, p := range t.problems {
		if p.sampled {
			b.g.Input = append(b.g.Input, onnx.NewValueInfo(positionsName(k), onnx.Int64, []onnx.Dim{{Size: -1}}))
		}
		var names []string
		for _, member := range p.Target {
			v := b.sampled(p, member, positionsName(k))
			b.g.Output = append(b.g.Output, onnx.NewValueInfo(v, onnx.Float, nil))
			names = append(names, v)
		}
		t.names = append(t.names, names)
	}
	return m
}

// sampled takes the sampled positions of a member's value.
func (b *graphBuilder) sampled(p *problem, m Member, positions string) string {
	v, channels := m.Value, int64(len(m.To))
	switch {
	case p.channelsFirst():
		v = b.node("Reshape", []string{v, b.ints(0, channels, -1)})
		v = b.node("Gather", []string{v, positions}, onnx.Int("axis", 2))
	case p.sampled:
		v = b.node("Reshape", []string{v, b.ints(0, -1, channels)})
		v = b.node("Gather", []string{v, positions}, onnx.Int("axis", 1))
	default:
		v = b.node("Reshape", []string{v, b.ints(-1, channels)})
	}
	return b.node("Cast", []string{v}, onnx.Int("to", int64(onnx.Float)))
}

// keep merges the members' values of a batch and stores the sums, [C, columns].
func (t *targets) keep(batch int, out map[string]*onnx.Tensor) ([][]sums, error) {
	parts := make([][]sums, len(t.problems))
	for k, p := range t.problems {
		var target []float32
		for i, m := range p.Target {
			z := out[t.names[k][i]]
			v, _, err := float32s(z)
			if err != nil {
				return nil, err
			}
			if target == nil {
				target = make([]float32, len(v)/len(m.To)*p.groups*p.o)
			}
			p.addMember(target, v, z.Dims, m)
		}
		channels := p.groups * p.o
		cols := len(target) / channels
		parts[k] = grid{v: target, outer: 1, channels: channels, inner: cols}.sums(make([]float64, channels))
		if err := t.walk.store.put(key{t, p.Node, batch}, tensor32(target, int64(channels), int64(cols))); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// addMember adds a member's values to the target, [C, columns].
func (p *problem) addMember(target, v []float32, dims []int64, m Member) {
	channels, last := len(m.To), int(dims[len(dims)-1])
	cols := len(v) / channels
	if !p.channelsFirst() {
		for c, to := range m.To {
			if coef := float32(m.Coef[c]); coef != 0 {
				for k := range cols {
					target[to*cols+k] += coef * v[k*channels+c]
				}
			}
		}
		return
	}
	for c, to := range m.To {
		coef := float32(m.Coef[c])
		if coef == 0 {
			continue
		}
		for n := range cols / max(last, 1) {
			dst := target[to*cols+n*last:][:last]
			for k, x := range v[(n*channels+c)*last:][:last] {
				dst[k] += coef * x
			}
		}
	}
}

// add adds a batch's sums.
func (t *targets) add(part [][]sums) {
	for k, channels := range part {
		if t.variance[k] == nil {
			t.variance[k] = make([]sums, len(channels))
		}
		for c, s := range channels {
			a := &t.variance[k][c]
			a.n, a.sum, a.square = a.n+s.n, a.sum+s.sum, a.square+s.square
		}
	}
}

// varianceOf is that of a problem's target, summed over channels.
func (t *targets) varianceOf(problem int) float64 {
	total := 0.0
	for _, s := range t.variance[problem] {
		if s.n > 0 {
			mean := s.sum / s.n
			total += max(s.square/s.n-mean*mean, 0)
		}
	}
	return total
}

// get returns the target of a batch, [C, columns]; drop forgets it.
func (t *targets) get(p *problem, batch int) (*onnx.Tensor, error) {
	return t.walk.store.get(key{t, p.Node, batch})
}

func (t *targets) drop(p *problem) {
	for b := range t.walk.batches() {
		t.walk.store.drop(key{t, p.Node, b})
	}
}
