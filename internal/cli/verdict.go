package cli

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/transform"
)

// The limits of the verdict, as the help of merge says.
const (
	verdictDrop     = 10.0 // points that a task may lose
	verdictDiffers  = 0.80 // agreement below which a head is another model
	verdictAgrees   = 0.90 // agreement from which it is the same for most purposes
	verdictNoSaving = 0.95 // of the ensemble's parameters and FLOPs
)

// verdict says whether the merged file is worth having, and why.
func verdict(r *mergeResult) (verdict, reason string) {
	verdict, reason = verdictAlone(r)
	if verdict == "not_worth_it" {
		return verdict, reason
	}
	for _, c := range r.Controls {
		if c.Name == transform.ControlShrunk {
			if c.Standing == controlBetter {
				reason += fmt.Sprintf("; at the same FLOPs %s comes nearer to the sources (%s), and shares nothing: time both", c.command(), c.figures(r.Report.HeldOut))
			}
			continue
		}
		switch c.Standing {
		case controlBetter:
			return "not_worth_it", fmt.Sprintf("--method %s does better: %s", c.Name, c.figures(r.Report.HeldOut))
		case controlAsGood:
			reason += fmt.Sprintf("; --method %s would do as well", c.Name)
		}
	}
	return verdict, reason
}

// verdictAlone judges without the controls.
func verdictAlone(r *mergeResult) (verdict, reason string) {
	c := r.Report.Cost
	saving := fmt.Sprintf("it has %.0f %% of the ensemble's parameters and needs %.0f %% of its FLOPs", 100*c.ParamsRatio, 100*c.FLOPsRatio)
	if c.ParamsRatio >= verdictNoSaving && c.FLOPsRatio >= verdictNoSaving {
		return "not_worth_it", saving
	}
	if r.Exact {
		return "worth_it", "it equals every source; " + saving
	}
	if r.Scores != nil {
		g := gateDrop(verdictDrop, r.Scores.Tasks)
		if !g.Passed {
			return "not_worth_it", fmt.Sprintf("head %s loses %.1f points against its source", g.Head, g.Value)
		}
		if g.Head != "" {
			return "worth_it", fmt.Sprintf("no task loses more than %.1f points; %s", max(0, g.Value), saving)
		}
	}
	rows := topRows(r.Agreement)
	if len(rows) == 0 {
		return "unknown", "nothing tells how well it does: give labelled data with --test"
	}
	worst := rows[0]
	for _, row := range rows {
		if row.Top1.Value < worst.Top1.Value {
			worst = row
		}
	}
	reason = fmt.Sprintf("head %s agrees with its source on %.1f %% of %d samples", worst.Head, 100*worst.Top1.Value, worst.Top1.N)
	switch {
	case worst.Top1.Value < verdictDiffers:
		return "not_worth_it", reason
	case worst.Top1.Value < verdictAgrees:
		return "unknown", reason + "; give labelled data with --test"
	}
	return "worth_it", reason + "; " + saving
}
