package calibrate_test

import (
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"pgregory.net/rapid"
)

// momentsOf computes moments in two passes, positions row by row.
func momentsOf(rows [][]float64, diagonal bool) *calibrate.Moments {
	if len(rows) == 0 {
		return &calibrate.Moments{}
	}
	o := len(rows[0])
	m := &calibrate.Moments{N: float64(len(rows)), Mean: make([]float64, o)}
	for _, r := range rows {
		for i, x := range r {
			m.Mean[i] += x / m.N
		}
	}
	size := o * o
	if diagonal {
		size = o
	}
	m.Cov = make([]float64, size)
	for _, r := range rows {
		for i := range o {
			for j := range o {
				c := (r[i] - m.Mean[i]) * (r[j] - m.Mean[j]) / m.N
				switch {
				case !diagonal:
					m.Cov[i*o+j] += c
				case i == j:
					m.Cov[i] += c
				}
			}
		}
	}
	return m
}

// near fails where moments differ by more than tolerance, relative to the deviations.
func near(t testing.TB, what string, got, want *calibrate.Moments, tolerance float64) {
	t.Helper()
	if got.N != want.N || len(got.Mean) != len(want.Mean) || len(got.Cov) != len(want.Cov) {
		t.Fatalf("%s: N %v, %d means, %d covariances: want %v, %d, %d", what,
			got.N, len(got.Mean), len(got.Cov), want.N, len(want.Mean), len(want.Cov))
	}
	if d := distance(got, want); !(d <= tolerance) {
		t.Fatalf("%s: differs by %.3g: want at most %.3g", what, d, tolerance)
	}
}

// distance is the largest difference of a correlation, or of a mean in units of its deviation. A feature
// that is constant in want counts by its absolute difference.
func distance(got, want *calibrate.Moments) float64 {
	worst := 0.0
	std := want.Std()
	unit := func(i int) float64 {
		if std[i] > 0 {
			return std[i]
		}
		return 1
	}
	see := func(d float64) {
		if !(d <= worst) { // NaN counts
			worst = d
		}
	}
	for i := range std {
		see(math.Abs(got.Mean[i]-want.Mean[i]) / unit(i))
		for j := range std {
			if i == j || !want.IsDiagonal() {
				see(math.Abs(got.Covariance(i, j)-want.Covariance(i, j)) / (unit(i) * unit(j)))
			}
		}
	}
	return worst
}

func TestMergeEqualsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := rapid.IntRange(1, 4).Draw(t, "features")
		diagonal := rapid.Bool().Draw(t, "diagonal")
		offset := rapid.Float64Range(-100, 100).Draw(t, "offset")
		row := rapid.SliceOfN(rapid.Float64Range(offset-1, offset+1), o, o)
		shards := rapid.SliceOfN(rapid.SliceOfN(row, 0, 5), 1, 6).Draw(t, "shards")
		order := rapid.Permutation(shards).Draw(t, "order")

		var all [][]float64
		merged := &calibrate.Moments{}
		for _, s := range order {
			if err := merged.Merge(momentsOf(s, diagonal)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range shards {
			all = append(all, s...)
		}
		want := momentsOf(all, diagonal)
		if merged.N != want.N {
			t.Fatalf("N = %v: want %v", merged.N, want.N)
		}
		for i := range want.Mean {
			if math.Abs(merged.Mean[i]-want.Mean[i]) > 1e-11 {
				t.Fatalf("mean %d is %v: want %v", i, merged.Mean[i], want.Mean[i])
			}
		}
		for i := range want.Cov {
			if math.Abs(merged.Cov[i]-want.Cov[i]) > 1e-11 {
				t.Fatalf("covariance %d is %v: want %v", i, merged.Cov[i], want.Cov[i])
			}
		}
	})
}

func TestMergeKeepsSymmetryAndTheOther(t *testing.T) {
	a := momentsOf([][]float64{{1, 2, 3}, {0.1, 7, -2}}, false)
	b := momentsOf([][]float64{{-1, 0.3, 5}, {4, 4, 4}, {9, 1, 1}}, false)
	before := *b
	if err := a.Merge(b); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for j := range 3 {
			if a.Covariance(i, j) != a.Covariance(j, i) {
				t.Errorf("covariance (%d, %d) is not symmetric", i, j)
			}
		}
	}
	near(t, "other", b, &before, 0)
	var empty calibrate.Moments
	if err := empty.Merge(b); err != nil {
		t.Fatal(err)
	}
	empty.Mean[0]++ // a copy, not an alias
	near(t, "other", b, momentsOf([][]float64{{-1, 0.3, 5}, {4, 4, 4}, {9, 1, 1}}, false), 1e-15)
}

func TestMergeRefusesOtherFeatures(t *testing.T) {
	a := momentsOf([][]float64{{1, 2}, {3, 4}}, false)
	if err := a.Merge(momentsOf([][]float64{{1, 2, 3}}, false)); err == nil {
		t.Error("2 and 3 features merged")
	}
	if err := a.Merge(momentsOf([][]float64{{1, 2}}, true)); err == nil {
		t.Error("full and diagonal moments merged")
	}
}

func TestStd(t *testing.T) {
	for _, diagonal := range []bool{false, true} {
		std := momentsOf([][]float64{{1, 5}, {3, 5}}, diagonal).Std()
		if std[0] != 1 || std[1] != 0 {
			t.Errorf("diagonal %v: deviations %v: want [1 0]", diagonal, std)
		}
	}
}
