package refit

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// targets are what the sources make at the sampled positions of every node: Σ_i M_i·z_i. The sources run once
// for all nodes of all merges, and only the sampled positions leave the engine.
type targets struct {
	sources *Sources
	src     calibrate.Source
	judges  bool               // these samples choose between fits; half as many positions do
	walk    *walk              // over src; of the latest pass
	seen    map[string]glimpse // the sources' values, by name
}

// glimpse is the form of a value, without its samples.
type glimpse struct {
	dims    []int64
	samples bool // the first axis counts samples
}

// sampleName tells a source's value at the positions that a node looks at.
func (t *targets) sampleName(p *problem, m Member) string {
	return fmt.Sprintf("%s at %d of %s", m.Value, p.perSample(t.walk.samples(), t.judges), p.Node)
}

// prepare runs the sources for those problems whose targets are not kept yet.
func (t *targets) prepare(ctx context.Context, problems []*problem) error {
	missing, err := t.missing(ctx, problems)
	if err != nil || len(missing) == 0 {
		return err
	}
	return t.run(ctx, missing)
}

// missing learns all problems' dims, lists those whose targets are not kept yet, and plans the walk that computes them.
func (t *targets) missing(ctx context.Context, problems []*problem) ([]*problem, error) {
	if err := t.plan(valuesOf(problems, func(v string) bool { _, ok := t.seen[v]; return !ok })); err != nil {
		return nil, err
	}
	if err := t.look(ctx); err != nil {
		return nil, err
	}
	var missing []*problem
	for _, p := range problems {
		g := t.seen[p.Target[0].Value]
		p.dims, p.sampled = g.dims, p.channelsFirst() || len(g.dims) > 1 && g.samples
		if slices.ContainsFunc(p.Target, func(m Member) bool { return !t.has(t.sampleName(p, m)) }) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	return missing, t.plan(valuesOf(missing, func(string) bool { return true }))
}

// has is true of samples that are kept for every batch.
func (t *targets) has(name string) bool {
	for b := range t.walk.batches() {
		if _, _, ok := t.walk.store.form(key{t, name, b}); !ok {
			return false
		}
	}
	return true
}

// valuesOf lists the sources' values that problems are compared with, as far as they are wanted.
func valuesOf(problems []*problem, wanted func(string) bool) []string {
	var values []string
	for _, p := range problems {
		for _, m := range p.Target {
			if wanted(m.Value) {
				values = append(values, m.Value)
			}
		}
	}
	return values
}

// plan makes the walk that computes values.
func (t *targets) plan(values []string) (err error) {
	s := t.sources
	if t.walk, err = newWalk(s.engine, s.side, t.src, [][]string{values}, s.store, s.o); err == nil && t.walk.batches() == 0 {
		return fewSamplesError(t.walk)
	}
	return err
}

// look runs the sources on the first samples, for the dims of their values.
func (t *targets) look(ctx context.Context) error {
	if len(t.walk.steps[0].keep) == 0 {
		return nil
	}
	n := 1
	if t.walk.fixed {
		n = t.walk.o.Batch
	}
	feeds, err := t.src.Batch(0, n)
	if err != nil {
		return err
	}
	s, err := t.sources.engine.Open(ctx, t.walk.piece(t.walk.steps[0]), calibrate.SessionOptions{Threads: 1, Unoptimized: true})
	if err != nil {
		return err
	}
	defer s.Close()
	out, err := s.Run(ctx, t.inputs(feeds))
	for name, x := range out {
		t.seen[name] = glimpse{x.Dims[1:], x.Dims[0] == int64(n)}
	}
	return err
}

// inputs are the feeds that the graph reads.
func (t *targets) inputs(all map[string]*onnx.Tensor) map[string]*onnx.Tensor {
	feeds := map[string]*onnx.Tensor{}
	for _, v := range t.walk.steps[0].reads {
		feeds[v] = all[v]
	}
	return feeds
}

// run computes the members of all batches and keeps them in the store.
func (t *targets) run(ctx context.Context, problems []*problem) error {
	model := t.walk.piece(t.walk.steps[0])
	model.Graph().Output = nil
	names := t.extend(model.Graph(), problems, valuesOf(problems, func(string) bool { return true }))
	s, err := t.sources.engine.Open(ctx, model, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	return t.walk.each(func(b int) error {
		feeds, err := t.walk.input(b)
		if err != nil {
			return err
		}
		feeds = t.inputs(feeds)
		t.feedPositions(problems, b, feeds)
		out, err := s.Run(ctx, feeds)
		if err != nil {
			return err
		}
		return t.keep(names, b, out)
	})
}

// feedPositions adds the sampled positions of a batch.
func (t *targets) feedPositions(problems []*problem, batch int, feeds map[string]*onnx.Tensor) {
	for k, p := range problems {
		if index := p.index(batch, t.walk.samples(), t.judges); index != nil {
			feeds[positionsName(k)] = onnx.FromInt64(index, int64(len(index)))
		}
	}
}

// keep stores the samples of a batch; names are extend's.
func (t *targets) keep(names map[string]string, batch int, out map[string]*onnx.Tensor) error {
	for name, output := range names {
		if out[output] == nil {
			continue // of another piece
		}
		if err := t.walk.store.put(key{t, name, batch}, out[output]); err != nil {
			return err
		}
	}
	return nil
}

func positionsName(problem int) string { return fmt.Sprintf("targets/positions/%d", problem) }

// extend makes the members with one of these values, at the sampled positions, outputs of the sources' graph: [N, C, P],
// [N, P, C] or [rows, C]. It returns the outputs' names, by sampleName.
func (t *targets) extend(g *onnx.Graph, problems []*problem, values []string) map[string]string {
	names := map[string]string{}
	for k, p := range problems {
		asked := false
		for i, member := range p.Target {
			if !slices.Contains(values, member.Value) {
				continue
			}
			b := &graphBuilder{g: g, prefix: fmt.Sprintf("targets/%d/%d/", k, i)} // the same in every piece
			if p.sampled && !asked {
				b.g.Input = append(b.g.Input, onnx.NewValueInfo(positionsName(k), onnx.Int64, []onnx.Dim{{Size: -1}}))
				asked = true
			}
			v := b.sampled(p, member, positionsName(k))
			b.g.Output = append(b.g.Output, onnx.NewValueInfo(v, onnx.Float, nil))
			names[t.sampleName(p, member)] = v
		}
	}
	return names
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

// get returns the target of a batch, [C, columns].
func (t *targets) get(p *problem, batch int) (*onnx.Tensor, error) {
	var target []float32
	channels := p.groups * p.o
	for _, m := range p.Target {
		z, err := t.walk.store.get(key{t, t.sampleName(p, m), batch})
		if err != nil {
			return nil, err
		}
		v, _, err := z.ViewFloat32s()
		if err != nil {
			return nil, err
		}
		if target == nil {
			target = make([]float32, len(v)/len(m.To)*channels)
		}
		p.addMember(target, v, z.Dims, m)
	}
	return onnx.OverFloat32(target, int64(channels), int64(len(target)/channels)), nil
}

// addMember adds a member's values to the target, [C, columns].
func (p *problem) addMember(target, v []float32, dims []int64, m Member) {
	channels, last := len(m.To), int(dims[len(dims)-1])
	cols := len(v) / channels
	if m.Mix != nil {
		p.addMixed(target, v, last, m)
		return
	}
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

// addMixed is addMember of combinations.
func (p *problem) addMixed(target, v []float32, last int, m Member) {
	width, channels := m.Mix.Dims()
	cols := len(v) / channels
	mix := blas32.General{Rows: width, Cols: channels, Stride: channels, Data: make([]float32, width*channels)}
	for q := range width {
		for c := range channels {
			mix.Data[q*channels+c] = float32(m.Mix.At(q, c))
		}
	}
	out := blas32.General{Rows: width, Cols: cols, Stride: cols, Data: target}
	if !p.channelsFirst() {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, mix, blas32.General{Rows: cols, Cols: channels, Stride: channels, Data: v}, 1, out)
		return
	}
	for n := range cols / max(last, 1) {
		in := blas32.General{Rows: channels, Cols: last, Stride: last, Data: v[n*channels*last:][:channels*last]}
		part := blas32.General{Rows: width, Cols: last, Stride: cols, Data: target[n*last:]}
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, mix, in, 1, part)
	}
}

// varianceOf is that of a problem's target, summed over channels.
func (t *targets) varianceOf(p *problem) (float64, error) {
	channels := p.groups * p.o
	all := make([]sums, channels)
	for b := range t.walk.batches() {
		z, err := t.get(p, b)
		if err != nil {
			return 0, err
		}
		v, _, err := z.ViewFloat32s()
		if err != nil {
			return 0, err
		}
		m, err := t.walk.mask(b)
		if err != nil {
			return 0, err
		}
		cols := len(v) / channels
		g := grid{v: v, outer: 1, channels: channels, inner: cols, keep: p.kept(m, p.index(b, t.walk.samples(), t.judges), cols)}
		for c, s := range g.sums(make([]float64, channels)) {
			a := &all[c]
			a.n, a.sum, a.square = a.n+s.n, a.sum+s.sum, a.square+s.square
		}
	}
	total := 0.0
	for _, s := range all {
		if s.n > 0 {
			mean := s.sum / s.n
			total += max(s.square/s.n-mean*mean, 0)
		}
	}
	return total, nil
}

// drop forgets a problem's members, unless other merges may want them.
func (t *targets) drop(p *problem) {
	if t.sources.Keep {
		return
	}
	for _, m := range p.Target {
		name := t.sampleName(p, m)
		for b := range t.walk.batches() {
			t.walk.store.drop(key{t, name, b})
		}
	}
}
