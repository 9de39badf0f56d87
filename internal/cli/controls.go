package cli

import (
	"context"
	"fmt"
	"math"

	"github.com/onnx-zip/onnx-zip/eval"
	"github.com/onnx-zip/onnx-zip/transform"
)

// How a control does against the merge. Heads are compared one by one: a merge that is better at one of them is worth
// its matching.
const (
	controlWorse  = "worse"   // the merge does better at some head
	controlAsGood = "as_good" // at none, and the control neither
	controlBetter = "better"  // the control at some, the merge at none
)

// controlMargin is the factor between two relative errors from which one merge counts as better, without labels. Other
// seeds of random halves differ by less (docs/refit.md).
const controlMargin = 1.05

// controlRow is how a control does.
type controlRow struct {
	Name     string       `json:"name"`
	What     string       `json:"what"`
	FLOPs    int64        `json:"flops"`
	Budget   float64      `json:"budget,omitempty"` // what models were shrunk to, of one source's FLOPs
	Standing string       `json:"standing"`         // worse, as_good, better: than the merge
	Heads    []controlled `json:"heads"`
}

// controlled is one head of a control.
type controlled struct {
	Head string `json:"head"`
	// RelativeError and Agreement are on held-out calibration samples, as those of the merge in report.held_out.
	RelativeError float64    `json:"relative_error"`
	Agreement     *float64   `json:"top1_agreement,omitempty"`
	Accuracy      *eval.Rate `json:"accuracy,omitempty"`
	// Difference is the merge's accuracy less the control's, paired on the same samples.
	Difference *eval.Diff `json:"merge_minus_control_points,omitempty"`
}

// judgeControls compares every control with the merge: by accuracy where there is test data, else by the outputs'
// errors.
func (m *merging) judgeControls(ctx context.Context) error {
	r := m.res.Report
	for _, c := range r.Controls {
		row := controlRow{Name: c.Name, What: c.Why, FLOPs: c.FLOPs, Budget: c.Budget}
		for _, s := range m.sources {
			error, agreement, ok := ofHead(c.HeldOut, s.Head)
			if ok {
				row.Heads = append(row.Heads, controlled{Head: s.Head, RelativeError: error, Agreement: agreement})
			}
		}
		if m.result.Scores != nil {
			if err := m.scoreControl(ctx, c, &row); err != nil {
				return err
			}
		}
		row.Standing = row.standing(r.HeldOut)
		m.result.Controls = append(m.result.Controls, row)
		if c.Name == "halves" && row.Standing != controlWorse {
			m.a.warn(warning{Code: "below_control", Message: fmt.Sprintf("no head is shown to do better than with random features: matching did not help here (%s)", row.figures(r.HeldOut))})
		}
	}
	return nil
}

// ofHead is a head's part of a judgement: the means over its outputs.
func ofHead(j transform.Judgement, head string) (error float64, agreement *float64, ok bool) {
	var own transform.Judgement
	for _, o := range j {
		if o.Head == head {
			own = append(own, o)
		}
	}
	if a, any := own.Agreement(); any {
		agreement = &a
	}
	return own.RelativeError(), agreement, len(own) > 0
}

// scoreControl adds the accuracies.
func (m *merging) scoreControl(ctx context.Context, c transform.Control, row *controlRow) error {
	theirs, err := m.scorer.judge(ctx, m.tasks(), m.scorer.ofModel(c.Model))
	if err != nil {
		return err
	}
	for i, t := range theirs.Tasks {
		for k := range row.Heads {
			if h := &row.Heads[k]; h.Head == t.Head {
				d, err := eval.Compare(m.result.Scores.predictions[i], t.Predictions)
				if err != nil {
					return err
				}
				h.Accuracy, h.Difference = &t.Accuracy, &d
			}
		}
	}
	return nil
}

// standing compares head by head and, with test data, the mean over the heads, which is surer than each.
func (c controlRow) standing(merge transform.Judgement) string {
	mergeWins, controlWins := false, false
	note := func(low, high float64) { mergeWins, controlWins = mergeWins || low > 0, controlWins || high < 0 }
	mean, variance, scored := 0.0, 0.0, 0.0
	for _, h := range c.Heads {
		if d := h.Difference; d != nil {
			note(d.Low, d.High)
			mean, variance, scored = mean+d.Points, variance+(d.High-d.Low)*(d.High-d.Low)/4, scored+1
		}
	}
	if scored > 0 {
		note(mean-math.Sqrt(variance), mean+math.Sqrt(variance))
	} else {
		for _, h := range c.Heads {
			own, _, _ := ofHead(merge, h.Head)
			note(h.RelativeError-controlMargin*own, controlMargin*h.RelativeError-own)
		}
	}
	switch {
	case mergeWins:
		return controlWorse
	case controlWins:
		return controlBetter
	}
	return controlAsGood
}

// figures are those that the comparison rests on.
func (c controlRow) figures(merge transform.Judgement) string {
	text := ""
	for k, h := range c.Heads {
		if k > 0 {
			text += ", "
		}
		if h.Difference != nil {
			text += fmt.Sprintf("head %s: the merge is better by %s points", h.Head, points(*h.Difference))
			continue
		}
		own, _, _ := ofHead(merge, h.Head)
		text += fmt.Sprintf("head %s: relative error %.3f, the merge's is %.3f", h.Head, h.RelativeError, own)
	}
	return text
}

// command is how the control that shares nothing is made.
func (c controlRow) command() string {
	return fmt.Sprintf("--method ensemble --budget %.2fx", c.Budget)
}

// controlTable shows the merge beside its controls.
func (m *merging) controlTable() *table {
	t := &table{left: map[int]bool{1: true}}
	header := []string{"control", "head", "relative error", "same top-1, %"}
	if m.result.Scores != nil {
		header = append(header, "accuracy, %")
	}
	t.add(header...)
	var own []controlled
	for _, s := range m.sources {
		error, agreement, ok := ofHead(m.res.Report.HeldOut, s.Head)
		if !ok {
			continue
		}
		h := controlled{Head: s.Head, RelativeError: error, Agreement: agreement}
		if m.result.Scores != nil {
			for _, row := range m.result.Scores.Tasks {
				if row.Head == s.Head {
					h.Accuracy = &row.Accuracy
				}
			}
		}
		own = append(own, h)
	}
	addControl(t, "(this merge)", own)
	for _, c := range m.result.Controls {
		addControl(t, c.Name, c.Heads)
	}
	return t
}

func addControl(t *table, name string, heads []controlled) {
	for k, h := range heads {
		if k > 0 {
			name = ""
		}
		cells := []string{name, h.Head, fmt.Sprintf("%.3f", h.RelativeError), ""}
		if h.Agreement != nil {
			cells[3] = fmt.Sprintf("%.1f", 100**h.Agreement)
		}
		if h.Accuracy != nil {
			cells = append(cells, rate(*h.Accuracy))
		}
		t.add(cells...)
	}
}
