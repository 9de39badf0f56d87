package calibrate_test

import (
	"fmt"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
)

func TestRatio(t *testing.T) {
	for _, p := range []string{"vgg", "resnet20"} {
		m, src := pair(t, p), calibration(t, 64)
		taps := realTaps(t, m, src, "Conv")
		got := capture(t, m, taps, src, calibrate.CaptureOptions{})
		for _, tap := range taps {
			g := got[tap.Name]
			s := g.Std()
			worst, dead, big := 0.0, 0, 0
			for i := range s {
				if s[i] == 0 {
					dead++
					continue
				}
				r := g.Mean[i] * g.Mean[i] / s[i] / s[i]
				worst = max(worst, r)
				if r > 16 {
					big++
				}
			}
			fmt.Printf("%s %s diag %v: worst %.2f, %d>16, dead %d of %d\n", p, tap.Name, tap.Diagonal, worst, big, dead, len(s))
		}
	}
}
