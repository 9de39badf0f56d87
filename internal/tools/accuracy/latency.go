package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// times are what was measured of one family, all in one run.
type times struct {
	Report eval.LatencyReport `json:"report"`
	Names  map[int64]string   `json:"names"` // FLOPs → the subject that was timed for all networks of that size
}

func (b *benchmark) timesPath(f *family) string {
	return filepath.Join(b.cache, "results", f.Family+"-times.json")
}

// timeFamily times a family's networks against each other, on its first pair. Networks of the same size differ in weights only and are
// timed once.
func (b *benchmark) timeFamily(ctx context.Context, f *family) error {
	if len(f.pairs) == 0 {
		return nil
	}
	p := f.pairs[0]
	o := &opened{b: b, p: p}
	if err := o.load(); err != nil {
		return err
	}
	subjects := []eval.Subject{{Name: rowEnsemble, Models: o.models}}
	t := times{Names: map[int64]string{}}
	for _, v := range variants() {
		r, err := readResult(b.resultPath(p, v, testFile))
		if err != nil || r.Error != "" || v.choice || t.Names[r.FLOPs] != "" {
			continue
		}
		m, err := onnx.Load(b.mergedPath(p, v))
		if err != nil {
			return err
		}
		t.Names[r.FLOPs] = v.name
		subjects = append(subjects, eval.Subject{Name: v.name, Models: []*onnx.Model{m}})
	}
	b.step("%s: timing %d networks", f.Family, len(subjects))
	var err error
	if t.Report, err = eval.Latency(ctx, b.engine, subjects, eval.LatencyOptions{Runs: 30, Reference: rowEnsemble}); err != nil {
		return err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(b.timesPath(f), text, 0o644)
}

// readTimes is what was timed of a family; nothing where nothing was.
func (b *benchmark) readTimes(f *family) (t times, err error) {
	text, err := os.ReadFile(b.timesPath(f))
	if os.IsNotExist(err) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

// ratio is the time of networks of that size with that batch, relative to the ensemble's.
func (t times) ratio(flops int64, batch int) (eval.Ratio, bool) {
	b, ok := t.Report.Times(t.Names[flops], batch)
	return b.Ratio, ok
}
