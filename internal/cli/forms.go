package cli

import (
	"context"
	"path/filepath"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/transform"
)

// adoptForms brings models into one form by running them, where rules did not.
func (m *merging) adoptForms(ctx context.Context) error {
	if !m.p.FormsDiffer() {
		return nil
	}
	if err := m.openEngine(); err != nil {
		return err
	}
	return m.p.AdoptForms(ctx, m.engine)
}

// adoptForms does so where there is an engine: inspect works without, too.
func (f *inspectFlags) adoptForms(ctx context.Context, a *app, p *transform.Prepared) error {
	if !p.FormsDiffer() {
		return nil
	}
	engine, err := a.openEngine(f.engine)
	if err != nil {
		a.warn(warning{Code: "forms_not_run", Message: "the models may be one network in two forms, which only running them can tell: " + fault.As(err).Error()})
		return nil
	}
	return p.AdoptForms(ctx, engine)
}

// showForms says which models are computed in another's form now.
func (a *app) showForms(forms []transform.FormProof) {
	for _, f := range forms {
		if f.Nodes > 0 {
			a.paragraph("form: %d nodes of %s are computed as %s does, which gave the same values when both were run",
				f.Nodes, filepath.Base(f.File), filepath.Base(f.Like))
		} else {
			a.debug("%s keeps its form: %s", f.File, f.Why)
		}
	}
}
