package cli

import (
	"context"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// agreementRow is how well one output of a merged file imitates its source's.
type agreementRow struct {
	eval.OutputAgreement
}

// agreement compares a merged file with its sources, without labels.
func (s scorer) agreement(ctx context.Context, m *onnx.Model, sources []source, src calibrate.Source) ([]agreementRow, error) {
	var rows []agreementRow
	for _, one := range sources {
		o := eval.AgreementOptions{Options: s.options("compare"), SourceData: eval.Rename(src, one.Rename)}
		out, err := eval.Agreement(ctx, s.engine, m, one.Model, one.Pairs, src, o)
		if err != nil {
			return nil, err
		}
		for _, r := range out {
			rows = append(rows, agreementRow{r})
		}
	}
	return rows, nil
}

// topRows are those of classifiers.
func topRows(rows []agreementRow) []agreementRow {
	var out []agreementRow
	for _, r := range rows {
		if r.Top1 != nil {
			out = append(out, r)
		}
	}
	return out
}
