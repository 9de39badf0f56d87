package eval

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestRateOf has, but for the last one, values that Newcombe (1998), table I, gives for the score method.
func TestRateOf(t *testing.T) {
	tests := []struct {
		correct, n int
		low, high  float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
		{29, 29, 0.8830, 1},
	}
	for _, test := range tests {
		r := RateOf(test.correct, test.n)
		near(t, "low", r.Low, test.low, 5e-5)
		near(t, "high", r.High, test.high, 5e-5)
		if r.Value != float64(test.correct)/float64(test.n) || r.N != test.n || r.Correct != test.correct {
			t.Errorf("%+v", r)
		}
	}
	if r := RateOf(0, 0); r != (Rate{High: 1}) {
		t.Errorf("no samples: %+v", r)
	}
}

func TestRateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1_000_000).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "correct")
		r, mirrored := RateOf(k, n), RateOf(n-k, n)
		if r.Low < 0 || r.Low > r.Value || r.Value > r.High || r.High > 1 {
			t.Fatalf("out of order: %+v", r)
		}
		if math.Abs(r.Low-(1-mirrored.High)) > 1e-12 {
			t.Fatalf("%+v is no mirror image of %+v", r, mirrored)
		}
	})
}

func TestPaired(t *testing.T) {
	yes, no := true, false
	a := []bool{yes, yes, yes, no, no, yes, yes, yes}
	b := []bool{yes, no, no, no, yes, yes, no, yes}
	d := Paired(a, b)
	if d.N != 8 || d.OnlyFirst != 3 || d.OnlySecond != 1 || d.Points != 25 {
		t.Fatalf("%+v", d)
	}
	// by hand: p1 = 4/10, p2 = 2/10, variance (.6-.04)/10
	half := 1.959963984540054 * math.Sqrt(0.056)
	near(t, "low", d.Low, 100*(0.2-half), 1e-9)
	near(t, "high", d.High, 100*(0.2+half), 1e-9)

	same := Paired(a, a)
	if same.Points != 0 || same.Low >= 0 || math.Abs(same.Low+same.High) > 1e-12 {
		t.Errorf("equal models: %+v", same)
	}
	if none := Paired(nil, nil); none.Points != 0 || none.Low != -100 || none.High != 100 {
		t.Errorf("no samples: %+v", none)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("different lengths are compared")
			}
		}()
		Paired(a, b[1:])
	}()
}

func TestPairedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(rapid.Bool(), 1, 200).Draw(t, "a")
		b := rapid.SliceOfN(rapid.Bool(), len(a), len(a)).Draw(t, "b")
		d, back := Paired(a, b), Paired(b, a)
		if d.Points != -back.Points || math.Abs(d.Low+back.High) > 1e-9 || math.Abs(d.High+back.Low) > 1e-9 {
			t.Fatalf("%+v is no mirror image of %+v", d, back)
		}
		if d.Low > d.Points || d.Points > d.High || d.Low < -100 || d.High > 100 {
			t.Fatalf("out of order: %+v", d)
		}
	})
}

func TestCompare(t *testing.T) {
	p := Predictions{Samples: []int{0, 3}, Labels: []int64{1, 2}, Classes: []int64{1, 1}}
	q := Predictions{Samples: []int{0, 3}, Labels: []int64{1, 2}, Classes: []int64{1, 2}}
	d, err := Compare(p, q)
	if err != nil || d.Points != -50 || d.OnlySecond != 1 {
		t.Errorf("%+v, %v", d, err)
	}
	q.Samples = []int{0, 4}
	if _, err := Compare(p, q); err == nil {
		t.Error("different samples are compared")
	}
}
