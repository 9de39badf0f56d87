package cli

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
)

// batchReport says how many samples the merged model runs at a time.
type batchReport struct {
	Free   bool                   `json:"free"`             // any number
	Proofs []transform.BatchProof `json:"proofs,omitempty"` // of sources that were exported for a fixed number
}

// freeBatches gives sources of a fixed batch a free one where that can be proved by running them.
func (m *merging) freeBatches(ctx context.Context, models []*onnx.Model) ([]*onnx.Model, error) {
	m.result.Batch = &batchReport{}
	if !transform.FixedBatches(models) {
		return models, nil
	}
	if err := m.openEngine(); err != nil {
		return nil, err
	}
	free, proofs, err := transform.FreeBatches(ctx, m.engine, models)
	m.result.Batch.Proofs = proofs
	return free, err
}

// showBatch says what became of fixed batches.
func (m *merging) showBatch() {
	b := m.result.Batch
	b.Free = !transform.FixedBatches(m.p.Originals[:1])
	if len(b.Proofs) == 0 {
		return
	}
	var files []string
	for _, p := range b.Proofs {
		if !b.Free {
			m.a.paragraph("batch: %d at a time, as in the files: %s: %s", p.Fixed, filepath.Base(p.File), p.Why)
			return
		}
		files = append(files, filepath.Base(p.File))
	}
	m.a.paragraph("batch: free, also of %s, proved by running 1, 2 and 3 samples", strings.Join(files, ", "))
}
