package eval

import "math"

// Deviation is how far the elements m of a merged file's output are from the elements s of its source's.
type Deviation struct {
	Elements int64 `json:"elements"` // compared, NotFinite left out
	// RelativeL2 is ‖m-s‖/‖s‖ over all samples; absent where s is zero everywhere and m is not.
	RelativeL2 *float64 `json:"relative_l2,omitempty"`
	MaxAbs     float64  `json:"max_abs"`
	MeanAbs    float64  `json:"mean_abs"`
	// Quantiles of |m-s|: exact up to 2²⁰ elements, within 1 % of the true one beyond. The p quantile is the
	// smallest difference that a share p of all does not exceed.
	P50  float64 `json:"p50_abs"`
	P90  float64 `json:"p90_abs"`
	P99  float64 `json:"p99_abs"`
	P999 float64 `json:"p999_abs"`
	// NotFinite is the number of elements that are NaN or infinite on either side, and not the same infinity.
	NotFinite int64 `json:"not_finite"`
}

// deviations accumulates a Deviation.
type deviations struct {
	n, notFinite            int64
	maxAbs, sumAbs          float64
	squaredDiff, squaredRef float64
	abs                     quantiles
}

// add compares elements; both slices have the same length.
func (d *deviations) add(merged, source []float64) {
	for i, s := range source {
		diff := math.Abs(merged[i] - s)
		if merged[i] == s { // equal infinities, too
			diff = 0
		}
		if math.IsNaN(diff) || math.IsInf(diff, 0) {
			d.notFinite++
			continue
		}
		d.n++
		d.maxAbs = max(d.maxAbs, diff)
		d.sumAbs += diff
		d.squaredDiff += diff * diff
		if !math.IsInf(s, 0) {
			d.squaredRef += s * s
		}
		d.abs.add(diff)
	}
}

func (d *deviations) result() Deviation {
	out := Deviation{Elements: d.n, MaxAbs: d.maxAbs, NotFinite: d.notFinite}
	if d.n > 0 {
		out.MeanAbs = d.sumAbs / float64(d.n)
	}
	if d.squaredRef > 0 || d.squaredDiff == 0 {
		relative := 0.0
		if d.squaredDiff > 0 {
			relative = math.Sqrt(d.squaredDiff / d.squaredRef)
		}
		if !math.IsNaN(relative) && !math.IsInf(relative, 0) { // squares beyond 1e308
			out.RelativeL2 = &relative
		}
	}
	q := d.abs.at(.5, .9, .99, .999)
	out.P50, out.P90, out.P99, out.P999 = q[0], q[1], q[2], q[3]
	return out
}
