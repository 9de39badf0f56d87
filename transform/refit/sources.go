package refit

import (
	"context"
	"maps"
	"sync"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// Sources are the source models, side by side, over calibration samples: what they make at the sampled positions
// of linear nodes. One Sources serves several merges of the same models: positions that one of them has looked at
// are not computed again for the next.
type Sources struct {
	// Keep says that more merges will be fitted: what the sources made is kept until Close, in memory up to
	// Options.Memory, else in scratch space.
	Keep bool

	engine    calibrate.Engine
	side      *onnx.Model
	o         Options
	store     *store
	fit, held *targets
}

// NewSources prepares the sources for fits on some samples, judged on others. Nothing runs yet.
func NewSources(e calibrate.Engine, side *onnx.Model, fit, held calibrate.Source, o Options) *Sources {
	o = o.WithDefaults()
	s := &Sources{engine: e, side: side, o: o, store: newStore(o.Memory, o.Scratch)}
	s.fit, s.held = newTargets(s, fit), newTargets(s, held)
	s.held.judges = true
	return s
}

func newTargets(s *Sources, src calibrate.Source) *targets {
	return &targets{sources: s, src: src, seen: map[string]glimpse{}}
}

// Sample returns what lets a capture over the samples to fit keep what nodes of a merged model will be compared with, so
// that the sources need not run again for them; nil where all is kept. Only widths, names and targets of the model matter.
// What the capture does not see to, because the merge turns out another one, is computed when it is needed.
func (s *Sources) Sample(ctx context.Context, merged *onnx.Model, nodes []Linear) (*calibrate.Extra, error) {
	ix, err := onnx.NewIndex(merged.Graph())
	if err != nil {
		return nil, err
	}
	t := s.fit
	missing, err := t.missing(ctx, problemsOf(ix, nodes))
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	var mu sync.Mutex
	names := map[string]string{} // grows while batches run: pieces are made when they are needed
	return &calibrate.Extra{
		Values: valuesOf(missing, func(string) bool { return true }),
		Batch:  t.walk.o.Batch,
		Extend: func(g *onnx.Graph, values []string) {
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(names, t.extend(g, missing, values))
		},
		Feed: func(batch int, feeds map[string]*onnx.Tensor) { t.feedPositions(missing, batch, feeds) },
		Take: func(batch int, out map[string]*onnx.Tensor) error {
			mu.Lock()
			known := maps.Clone(names)
			mu.Unlock()
			return t.keep(known, batch, out)
		},
	}, nil
}

// Used is the most that was kept so far, in bytes: in memory, and in the scratch file.
func (s *Sources) Used() (memory, scratch int64) { return s.store.used() }

// Close frees what was kept.
func (s *Sources) Close() { s.store.close() }
