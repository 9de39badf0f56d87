package match

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGreedy(t *testing.T) {
	for _, test := range []struct {
		name    string
		f       Features
		o       Options
		want    []int
		explain string
	}{
		{"crossed", Features{Widths: []int{2, 2}, Cov: crossed}, DefaultOptions(), []int{0, 1, 1, 0}, "most correlated pairs"},
		{"full", Features{Widths: []int{2, 2}, Cov: crossed}, Options{Width: 4}, []int{0, 1, 2, 3}, "no merge at full width"},
		{"one", Features{Widths: []int{2, 2}, Cov: diagonal(1, 0, 1, 0)}, Options{Width: 1}, []int{0, 0, 0, 0}, "all in one"},
		{"one model", Features{Widths: []int{3}, Cov: symmetric([]float64{1, .1, .9}, []float64{1, .2}, []float64{1})},
			Options{Width: 2}, []int{0, 1, 0}, "β = 0 does not bind a single model"},
		{"scale", Features{Widths: []int{2, 2}, Cov: symmetric(
			[]float64{100, 1, 6, 9}, []float64{1, 0.9, 0.3}, []float64{1, 0.1}, []float64{1})},
			DefaultOptions(), []int{0, 1, 1, 0}, "correlation, not covariance"},
		{"dead", Features{Widths: []int{3, 3}, Cov: diagonal(1, 0, 1, 0, 1, 1)},
			DefaultOptions(), []int{0, 1, 2, 1, 0, 2}, "the two dead ones share a slot"},
		{"all dead", Features{Widths: []int{2, 2}, Cov: diagonal(0, 0, 0, 0)},
			DefaultOptions(), []int{0, 1, 0, 1}, "same index"},
		{"dead in one model only", Features{Widths: []int{2, 2}, Cov: symmetric(
			[]float64{0, 0, 0, 0}, []float64{1, 0.3, 0.2}, []float64{1, 0.1}, []float64{1})},
			Options{Width: 2, Beta: 0}, []int{0, 1, 1, 1}, "the limit of β = 0 is lifted"},
		{"constants", Features{Widths: []int{3, 3}, Mean: []float64{5, 0, 2, 2, 5, 0}, Cov: diagonal(0, 0, 0, 0, 0, 0)},
			DefaultOptions(), []int{0, 1, 2, 2, 0, 1}, "equal constants"},
		{"duplicates", Features{Widths: []int{2, 2}, Cov: slices.Repeat([]float64{1}, 16)},
			DefaultOptions(), []int{0, 1, 0, 1}, "across models first, same index first"},
		{"noise", Features{Widths: []int{2, 2}, Cov: symmetric(
			[]float64{1, 1, 1 - 1e-15, 1}, []float64{1, 1, 1 - 1e-15}, []float64{1, 1}, []float64{1})},
			DefaultOptions(), []int{0, 1, 0, 1}, "rounding noise does not decide"},
		{"float32 noise", Features{Widths: []int{2, 2}, Cov: symmetric(
			[]float64{1, 1, 1 - 2e-7, 1}, []float64{1, 1, 1 - 1e-7}, []float64{1, 1}, []float64{1})},
			Options{Alpha: 0.3, Beta: 1, Tie: 1e-6}, []int{0, 1, 0, 1}, "a larger tie step"},
		{"three models", Features{Widths: []int{1, 1, 1}, Cov: symmetric(
			[]float64{1, .9, .1}, []float64{1, .5}, []float64{1})},
			Options{}, []int{0, 0, 0}, "one feature of each model"},
		{"unequal widths", Features{Widths: []int{1, 2}, Cov: symmetric(
			[]float64{1, 0.1, 0.7}, []float64{1, 0.9}, []float64{1})},
			Options{Alpha: 0.3}, []int{0, 1, 0}, "β = 0 forbids the better pair"},
	} {
		t.Run(test.name, func(t *testing.T) {
			z, err := Greedy(test.f, test.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, z.Of); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.explain, diff)
			}
		})
	}
}

// TestBudgetLimitsWhatAModelLoses: all of model 0 is alike, so every merge would
// go there.
func TestBudgetLimitsWhatAModelLoses(t *testing.T) {
	const n = 8
	f := Features{Widths: []int{n, n}, Cov: make([]float64, 4*n*n)}
	for i := range 2 * n {
		for j := range 2 * n {
			switch {
			case i == j:
				f.Cov[i*2*n+j] = 1
			case i < n && j < n:
				f.Cov[i*2*n+j] = 0.9
			default:
				f.Cov[i*2*n+j] = 0.1
			}
		}
	}
	for beta, atLeast := range map[float64]int{0: n, 0.25: n - 1, 0.5: n - 2, 1: n - 4} {
		z, err := Greedy(f, Options{Alpha: 1, Beta: beta})
		if err != nil {
			t.Fatal(err)
		}
		of := slices.Clone(z.Of[:n])
		slices.Sort(of)
		if left := len(slices.Compact(of)); left != atLeast {
			t.Errorf("beta %v: model 0 has %d features left: want %d", beta, left, atLeast)
		}
	}
}

func TestErrors(t *testing.T) {
	with := func(k int, v float64) []float64 {
		c := slices.Clone(crossed)
		c[k] = v
		return c
	}
	two := []int{2, 2}
	for _, test := range []struct {
		name string
		f    Features
		o    Options
		want string
	}{
		{"no models", Features{}, Options{}, "no models"},
		{"empty model", Features{Widths: []int{2, 0}}, Options{}, "model 1 has width 0"},
		{"too many models", Features{Widths: slices.Repeat([]int{1}, 65)}, Options{}, "65 models: want at most 64"},
		{"covariance size", Features{Widths: two, Cov: []float64{1}}, Options{}, "want 4×4 = 16"},
		{"mean size", Features{Widths: two, Cov: crossed, Mean: []float64{1}}, Options{}, "1 means for 4 features"},
		{"NaN", Features{Widths: two, Cov: with(7, math.NaN())}, Options{}, "covariance of features 1 and 3 is NaN"},
		{"infinite", Features{Widths: two, Cov: with(0, math.Inf(1))}, Options{}, "covariance of features 0 and 0 is +Inf"},
		{"infinite mean", Features{Widths: two, Cov: crossed, Mean: []float64{0, 0, math.Inf(-1), 0}}, Options{}, "mean of feature 2 is -Inf"},
		{"negative variance", Features{Widths: two, Cov: with(5, -1)}, Options{}, "variance of feature 1 is -1"},
		{"segments", Features{Widths: two, Cov: crossed, Segments: []int{1}}, Options{}, "1 segment ids for the 2 features"},
		{"narrower than segments", Features{Widths: two, Cov: crossed, Segments: []int{1, 2}}, Options{Width: 1}, "less than the 2 segments"},
		{"alpha", Features{Widths: two, Cov: crossed}, Options{Alpha: math.NaN()}, "alpha is NaN"},
		{"beta", Features{Widths: two, Cov: crossed}, Options{Beta: -1}, "beta is -1"},
		{"tie", Features{Widths: two, Cov: crossed}, Options{Tie: 1}, "tie is 1"},
		{"width", Features{Widths: two, Cov: crossed}, Options{Width: 5}, "width is 5: want 1 to 4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, match := range map[string]func(Features, Options) (Zip, error){"Greedy": Greedy, "Reference": Reference} {
				_, err := match(test.f, test.o)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: error %v: want one with %q", name, err, test.want)
				}
			}
		})
	}
}
