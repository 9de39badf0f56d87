package cli

import "math"

// tieNoise is how far the relative output errors of two equally good merges lie apart when measured on one held-out
// sample; on n it is √n times less. Docs: docs/auto.md has what was measured.
const tieNoise = 0.4

// nearest is, of merges from the one that shares most to the one that shares least, the first whose outputs come as
// near to the sources' as the nearest one's, but for the noise of few samples; nil where none was made. Taking the least
// of many noisy figures would prefer a lucky cut to a good one.
func nearest(all []tried) *tried {
	least := math.Inf(1)
	for _, t := range all {
		if t.Failed == nil {
			least = min(least, t.HeldOut.RelativeError())
		}
	}
	for i := range all {
		t := &all[i]
		if t.Failed == nil && t.HeldOut.RelativeError() <= least*(1+tieNoise/math.Sqrt(float64(t.HeldOut[0].Samples))) {
			return t
		}
	}
	return nil
}
