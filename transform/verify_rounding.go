package transform

import (
	"context"

	"github.com/onnx-zip/onnx-zip/onnx"
)

// Some networks amplify rounding: their own outputs change by more than the tolerance where an engine's optimisations
// order the additions otherwise. A merge of such networks may deviate by roundingFactor times as much as the worst of
// them, and by mostRounding at most: a broken file deviates by far more.
const roundingFactor, mostRounding = 10, 1e-3

// allowRounding looks at the last check, of the optimised file: where it failed by what rounding could explain, the
// sources are run with and without optimisations on the same inputs, and the limit becomes what they show.
func (v *verifier) allowRounding(ctx context.Context, batch int64) error {
	last := &v.checks[len(v.checks)-1]
	if last.Passed || last.Deviation > mostRounding || tolerance[onnx.Float] != last.Limit {
		return nil
	}
	own := 0.0
	for i := range v.p.Originals {
		d, err := v.rounding(ctx, i, batch)
		if err != nil {
			return err
		}
		own = max(own, d)
	}
	last.Limit = max(last.Limit, min(roundingFactor*own, mostRounding))
	last.Passed = last.Deviation <= last.Limit
	return nil
}

// rounding is the largest relative deviation of source i's outputs between optimised and not.
func (v *verifier) rounding(ctx context.Context, i int, batch int64) (float64, error) {
	plain, err := v.outputs(ctx, v.p.Originals[i], true, batch, v.sourceInputs(i))
	if err != nil {
		return 0, err
	}
	optimised, err := v.outputs(ctx, v.p.Originals[i], false, batch, v.sourceInputs(i))
	if err != nil {
		return 0, err
	}
	own := 0.0
	for name, want := range plain {
		if got := optimised[name]; got != nil {
			own = max(own, deviation(got, want))
		}
	}
	return own, nil
}

// sourceInputs maps the inputs of source i to the merged model's.
func (v *verifier) sourceInputs(i int) map[string]string {
	names := map[string]string{}
	for _, row := range v.p.Sources.Pairing.Inputs {
		names[row[i]] = row[0]
	}
	return names
}
