package main

import (
	"context"
	"fmt"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/transform"
)

// commonOrigin prints a line for each pair whose models stem from one checkpoint.
func (d *demo) commonOrigin(ctx context.Context, names ...string) error {
	fmt.Fprintf(d.out, "\nModels of common origin (accuracy in %%: task A / task B; size relative to the ensemble's):\n")
	for _, name := range names {
		p, err := d.open(ctx, name)
		if err != nil {
			return err
		}
		text, err := p.originLine(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(d.out, "  %s: %s\n", name, text)
	}
	return nil
}

// originLine tells what the models have in common, and what the methods that suit them make of it.
func (p *pair) originLine(ctx context.Context) (string, error) {
	origin, err := p.prepared.Origin()
	if err != nil {
		return "", err
	}
	result, err := p.ensemble()
	if err != nil {
		return "", err
	}
	related := fmt.Sprintf("cosine of the weights %.2f", origin.Cosine)
	if origin.Identical > 0 {
		related = fmt.Sprintf("%.1f %% of the weights identical", 100*origin.Identical)
	}
	text := fmt.Sprintf("%s; ensemble %s", related, tasks(result))
	for _, method := range []string{"average", transform.DefaultMethod} {
		merged, err := p.merge(ctx, variant{method: method})
		if err != nil {
			return "", err
		}
		if result, err = p.score(ctx, merged.Model); err != nil {
			return "", err
		}
		c := merged.Report.Cost
		if merged.Exact {
			return text + fmt.Sprintf("; merged %s, without data and exact, at %.0f %% of FLOPs", tasks(result), 100*c.FLOPsRatio), nil
		}
		text += fmt.Sprintf("; %s %s", method, tasks(result))
	}
	return text, nil
}

func tasks(r eval.Result) string {
	return fmt.Sprintf("%.1f / %.1f", 100*r.Tasks[0].Accuracy.Value, 100*r.Tasks[1].Accuracy.Value)
}
