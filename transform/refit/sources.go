package refit

import (
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
	o = o.withDefaults()
	s := &Sources{engine: e, side: side, o: o, store: newStore(o.Memory, o.Scratch)}
	s.fit, s.held = newTargets(s, fit), newTargets(s, held)
	return s
}

func newTargets(s *Sources, src calibrate.Source) *targets {
	return &targets{sources: s, src: src, seen: map[string]glimpse{}, kept: map[string]bool{}}
}

// Close frees what was kept.
func (s *Sources) Close() { s.store.close() }
