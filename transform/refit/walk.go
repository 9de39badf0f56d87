package refit

import (
	"context"
	"slices"
	"sync"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Options says how a walk runs. The zero value is useful.
type Options struct {
	Batch   int    // samples in a run, 32 where 0
	Workers int    // runs at once, 1 where 0
	Memory  int64  // bytes of frontier kept in memory, 512 MiB where 0
	Scratch string // folder for the rest, the system's temporary one where ""
	Mask    string // calibrate.CaptureOptions.Mask
}

// WithDefaults fills in what is 0.
func (o Options) WithDefaults() Options {
	if o.Batch <= 0 {
		o.Batch = calibrate.DefaultBatch
	}
	if o.Workers <= 0 {
		o.Workers = 1
	}
	if o.Memory <= 0 {
		o.Memory = 512 << 20
	}
	return o
}

// walk runs a graph over a source, stopping at wanted values.
type walk struct {
	engine calibrate.Engine
	model  *onnx.Model
	index  *onnx.Index
	src    calibrate.Source
	o      Options
	fixed  bool // the model runs full batches only
	steps  []step
	next   int
	stale  []string // frontier values that the step before last needed last
	store  *store   // shared with other walks
}

// newWalk plans a walk of m that stops at each list of wanted values in turn. A model with a fixed batch axis
// overrules o.Batch, and leaves out the last samples where they do not fill a batch.
func newWalk(e calibrate.Engine, m *onnx.Model, src calibrate.Source, wants [][]string, s *store, o Options) (*walk, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	w := &walk{engine: e, model: m, index: ix, src: src, o: o.WithDefaults(), steps: plan(ix, wants), store: s}
	for _, in := range ix.Inputs() {
		if _, dims, ok := onnx.TensorType(in); ok && len(dims) > 0 && dims[0].Size > 0 {
			w.o.Batch, w.fixed = int(dims[0].Size), true
			break
		}
	}
	return w, nil
}

// batches is the number of runs that the samples take.
func (w *walk) batches() int {
	if w.fixed {
		return w.src.Samples() / w.o.Batch
	}
	return (w.src.Samples() + w.o.Batch - 1) / w.o.Batch
}

// samples is the number of samples that a walk over all batches sees.
func (w *walk) samples() int { return min(w.src.Samples(), w.batches()*w.o.Batch) }

// input reads the feeds of a batch.
func (w *walk) input(batch int) (map[string]*onnx.Tensor, error) {
	from := batch * w.o.Batch
	return w.src.Batch(from, min(from+w.o.Batch, w.src.Samples()))
}

// advance runs the next step over all samples, with the model's weights as they are now. Its wanted values are
// kept then, and what it read is kept until the next one.
func (w *walk) advance(ctx context.Context) error {
	for _, v := range w.stale {
		for batch := range w.batches() {
			w.store.drop(key{w, v, batch})
		}
	}
	s := w.steps[w.next]
	w.stale = s.drop
	w.next++
	if len(s.nodes) == 0 || w.batches() == 0 {
		return nil
	}
	session, err := w.engine.Open(ctx, w.piece(s), calibrate.SessionOptions{Threads: 1})
	if err != nil {
		return err
	}
	defer session.Close()
	return w.each(func(batch int) error { return w.runBatch(ctx, session, s, batch) })
}

// each calls f for every batch, Workers at once, and returns the error of the earliest batch.
func (w *walk) each(f func(batch int) error) error {
	return parallel(w.o.Workers, 0, w.batches(), f)
}

// parallel calls f for [from, to), so many at once, and returns the error of the smallest.
func parallel(workers, from, to int, f func(int) error) error {
	errs := make([]error, max(to-from, 0))
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for b := from; b < to; b++ {
		slots <- struct{}{}
		group.Add(1)
		go func() {
			defer func() { <-slots; group.Done() }()
			errs[b-from] = f(b)
		}()
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) runBatch(ctx context.Context, session calibrate.Session, s step, batch int) error {
	feeds, err := w.feeds(s, batch)
	if err != nil {
		return err
	}
	out, err := session.Run(ctx, feeds)
	if err != nil {
		return err
	}
	for _, v := range s.keep {
		if err := w.store.put(key{w, v, batch}, out[v]); err != nil {
			return err
		}
	}
	return nil
}

// feeds are what a step reads: inputs of the graph, and values of the frontier.
func (w *walk) feeds(s step, batch int) (map[string]*onnx.Tensor, error) {
	feeds := map[string]*onnx.Tensor{}
	var inputs map[string]*onnx.Tensor
	for _, v := range s.reads {
		var err error
		switch {
		case w.index.Input(v) == nil:
			feeds[v], err = w.store.get(key{w, v, batch})
		case inputs == nil:
			inputs, err = w.input(batch)
			fallthrough
		default:
			feeds[v] = inputs[v]
		}
		if err != nil {
			return nil, err
		}
	}
	return feeds, nil
}

// value returns a kept value of a batch, or an input of the graph.
func (w *walk) value(v string, batch int) (*onnx.Tensor, error) {
	if w.index.Input(v) == nil {
		return w.store.get(key{w, v, batch})
	}
	inputs, err := w.input(batch)
	return inputs[v], err
}

// replace changes a kept value of a batch.
func (w *walk) replace(v string, batch int, t *onnx.Tensor) error {
	return w.store.put(key{w, v, batch}, t)
}

// piece is the model that computes one step from the frontier.
func (w *walk) piece(s step) *onnx.Model {
	g := &onnx.Graph{Name: proto.String("step"), Node: s.nodes}
	used := map[string]bool{}
	for _, n := range s.nodes {
		for _, v := range onnx.Reads(n) {
			if t := w.initializer(v); t != nil && !used[v] {
				used[v] = true
				g.Initializer = append(g.Initializer, t)
			}
		}
	}
	for _, v := range s.reads {
		if in := w.index.Input(v); in != nil {
			g.Input = append(g.Input, in)
			continue
		}
		g.Input = append(g.Input, w.declare(v))
	}
	keep := slices.Clone(s.keep)
	slices.Sort(keep)
	for _, v := range slices.Compact(keep) {
		g.Output = append(g.Output, &onnx.ValueInfo{Name: proto.String(v)})
	}
	p := &onnx.ModelProto{IrVersion: w.model.Proto.IrVersion, OpsetImport: w.model.Proto.OpsetImport, Graph: g}
	return &onnx.Model{Proto: p}
}

// initializer finds a constant of the model, one that was added since the walk was planned too.
func (w *walk) initializer(v string) *onnx.TensorProto {
	if w.index.Has(v) {
		return w.index.Initializer(v)
	}
	return find(w.model.Graph(), v)
}

// declare declares a kept value as the engine returned it: type and rank, every size open.
func (w *walk) declare(v string) *onnx.ValueInfo {
	t, rank, ok := w.store.form(key{w, v, 0})
	if !ok {
		return onnx.NewValueInfo(v, onnx.Float, nil)
	}
	dims := make([]onnx.Dim, rank)
	for k := range dims {
		dims[k].Size = -1
	}
	return onnx.NewValueInfo(v, t, dims)
}
