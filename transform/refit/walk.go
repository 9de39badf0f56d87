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
}

func (o Options) withDefaults() Options {
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
	engine  calibrate.Engine
	model   *onnx.Model
	index   *onnx.Index
	src     calibrate.Source
	o       Options
	steps   []step
	next    int
	stale   []string // frontier values that the step before last needed last
	store   *store
	storeMu sync.Mutex
}

// newWalk plans a walk of m that stops at each list of wanted values in turn.
func newWalk(e calibrate.Engine, m *onnx.Model, src calibrate.Source, wants [][]string, o Options) (*walk, error) {
	ix, err := onnx.NewIndex(m.Graph())
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	return &walk{
		engine: e, model: m, index: ix, src: src, o: o,
		steps: plan(ix, wants), store: newStore(o.Memory, o.Scratch),
	}, nil
}

func (w *walk) close() { w.store.close() }

// batches is the number of runs that the source takes.
func (w *walk) batches() int { return (w.src.Samples() + w.o.Batch - 1) / w.o.Batch }

// advance runs the next step over all samples; its wanted values are kept then, and what it read is kept
// until the next one.
func (w *walk) advance(ctx context.Context) error {
	for _, v := range w.stale {
		for batch := range w.batches() {
			w.store.drop(key{v, batch})
		}
	}
	w.stale = w.steps[w.next].drop
	w.next++
	return w.redo(ctx)
}

// redo runs the last step again, with the model's weights as they are now.
func (w *walk) redo(ctx context.Context) error {
	s := w.steps[w.next-1]
	if len(s.nodes) == 0 || w.src.Samples() == 0 {
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
func (w *walk) each(f func(batch int) error) error { return w.eachOf(0, w.batches(), f) }

// eachOf is each for the batches [from, to).
func (w *walk) eachOf(from, to int, f func(batch int) error) error {
	errs := make([]error, to-from)
	var group sync.WaitGroup
	slots := make(chan struct{}, w.o.Workers)
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
	feeds := map[string]*onnx.Tensor{}
	var inputs map[string]*onnx.Tensor
	for _, v := range s.reads {
		var err error
		if w.index.Input(v) == nil {
			w.storeMu.Lock()
			feeds[v], err = w.store.get(key{v, batch})
			w.storeMu.Unlock()
		} else {
			if inputs == nil {
				from := batch * w.o.Batch
				inputs, err = w.src.Batch(from, min(from+w.o.Batch, w.src.Samples()))
			}
			feeds[v] = inputs[v]
		}
		if err != nil {
			return err
		}
	}
	out, err := session.Run(ctx, feeds)
	if err != nil {
		return err
	}
	w.storeMu.Lock()
	defer w.storeMu.Unlock()
	for _, v := range s.keep {
		if err := w.store.put(key{v, batch}, out[v]); err != nil {
			return err
		}
	}
	return nil
}

// value returns a kept value of a batch.
func (w *walk) value(v string, batch int) (*onnx.Tensor, error) {
	if w.index.Input(v) != nil {
		from := batch * w.o.Batch
		inputs, err := w.src.Batch(from, min(from+w.o.Batch, w.src.Samples()))
		return inputs[v], err
	}
	w.storeMu.Lock()
	defer w.storeMu.Unlock()
	return w.store.get(key{v, batch})
}

// replace changes a kept value of a batch.
func (w *walk) replace(v string, batch int, t *onnx.Tensor) error {
	w.storeMu.Lock()
	defer w.storeMu.Unlock()
	return w.store.put(key{v, batch}, t)
}

// piece is the model that computes one step from the frontier.
func (w *walk) piece(s step) *onnx.Model {
	g := &onnx.Graph{Name: proto.String("step"), Node: s.nodes}
	used := map[string]bool{}
	for _, n := range s.nodes {
		for _, v := range onnx.Reads(n) {
			if t := w.index.Initializer(v); t != nil && !used[v] {
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
		g.Input = append(g.Input, onnx.NewValueInfo(v, w.dtype(v), nil))
	}
	keep := slices.Clone(s.keep)
	slices.Sort(keep)
	for _, v := range slices.Compact(keep) {
		g.Output = append(g.Output, &onnx.ValueInfo{Name: proto.String(v)})
	}
	p := &onnx.ModelProto{IrVersion: w.model.Proto.IrVersion, OpsetImport: w.model.Proto.OpsetImport, Graph: g}
	return &onnx.Model{Proto: p}
}

// dtype is the type of a kept value, as the engine returned it.
func (w *walk) dtype(v string) onnx.DType {
	for batch := range w.batches() {
		if t, err := w.value(v, batch); err == nil {
			return t.DType
		}
	}
	return onnx.Float
}
