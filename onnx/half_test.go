package onnx

import (
	"math"
	"testing"
)

// narrow is a 16-bit floating type under test.
type narrow struct {
	name string
	wide func(uint16) float64
	back func(float64) uint16
	inf  uint16
}

var narrows = []narrow{
	{"float16", halfToFloat64, halfFromFloat64, 0x7c00},
	{"bfloat16", bfloatToFloat64, bfloatFromFloat64, 0x7f80},
}

func TestEveryNarrowPatternRoundTrips(t *testing.T) {
	for _, n := range narrows {
		for i := range 1 << 16 {
			h := uint16(i)
			x := n.wide(h)
			isNaN := h&0x7fff > n.inf
			if isNaN != math.IsNaN(x) {
				t.Fatalf("%s %#04x is %v", n.name, h, x)
			}
			if got := n.back(x); !isNaN && got != h || isNaN && !math.IsNaN(n.wide(got)) {
				t.Fatalf("%s %#04x is %v and comes back as %#04x", n.name, h, x, got)
			}
		}
	}
}

// Between any two neighbours, the midpoint goes to the even one and the float64 next to it to the nearer one.
// The midpoint is exact in float64, which has more than twice the bits. The pair of the largest number and
// infinity is among them: there the next power of two stands for infinity.
func TestNarrowRoundsToNearestEven(t *testing.T) {
	for _, n := range narrows {
		for low := uint16(0); low < n.inf; low++ {
			high := low + 1
			a, b := n.wide(low), n.wide(high)
			if high == n.inf {
				b = a + (a - n.wide(low-1))
			}
			mid := a + (b-a)/2
			even := low + low&1
			for _, c := range []struct {
				x    float64
				want uint16
			}{{mid, even}, {math.Nextafter(mid, 0), low}, {math.Nextafter(mid, math.Inf(1)), high}} {
				if got := n.back(c.x); got != c.want {
					t.Fatalf("%s: %v becomes %#04x, want %#04x", n.name, c.x, got, c.want)
				}
				if got := n.back(-c.x); got != c.want|0x8000 {
					t.Fatalf("%s: %v becomes %#04x, want %#04x", n.name, -c.x, got, c.want|0x8000)
				}
			}
		}
	}
}

func TestNarrowAnchors(t *testing.T) {
	for _, c := range []struct {
		narrow int
		bits   uint16
		x      float64
	}{
		{0, 0x3c00, 1}, {0, 0x0001, math.Ldexp(1, -24)}, {0, 0x0400, math.Ldexp(1, -14)}, {0, 0x7bff, 65504},
		{0, 0xc000, -2}, {0, 0x7c00, math.Inf(1)},
		{1, 0x3f80, 1}, {1, 0x0001, math.Ldexp(1, -133)}, {1, 0x7f7f, math.Ldexp(255, 120)}, {1, 0xc000, -2},
		{1, 0xff80, math.Inf(-1)},
	} {
		n := narrows[c.narrow]
		if got := n.wide(c.bits); got != c.x {
			t.Errorf("%s %#04x is %v, want %v", n.name, c.bits, got, c.x)
		}
	}
	for _, n := range narrows {
		for _, x := range []float64{1e300, math.MaxFloat64, math.Inf(1)} {
			if got := n.back(x); got != n.inf {
				t.Errorf("%s: %v becomes %#04x", n.name, x, got)
			}
		}
		if got := n.back(5e-324); got != 0 {
			t.Errorf("%s: the smallest float64 becomes %#04x", n.name, got)
		}
	}
}
