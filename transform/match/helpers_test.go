package match

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var _ fataler = testing.TB(nil)

// checkZip fails unless z is a valid zip of total features to the given width.
func checkZip(t fataler, z Zip, width, total int) {
	t.Helper()
	if err := z.Validate(); err != nil {
		t.Fatal(err)
	}
	if z.Width != width || len(z.Of) != total {
		t.Fatalf("got a zip of %d features to %d: want %d to %d", len(z.Of), z.Width, total, width)
	}
}

// samples holds one column of values for each feature.
type samples [][]float64

// features computes the statistics as a calibration run would: from sums, with
// all their rounding errors.
func (s samples) features(widths ...int) Features {
	total, n := len(s), float64(len(s[0]))
	f := Features{Widths: widths, Mean: make([]float64, total), Cov: make([]float64, total*total)}
	for i, x := range s {
		for _, v := range x {
			f.Mean[i] += v / n
		}
	}
	for i, x := range s {
		for j, y := range s {
			gram := 0.0
			for k := range x {
				gram += x[k] * y[k]
			}
			f.Cov[i*total+j] = gram/n - f.Mean[i]*f.Mean[j]
		}
	}
	return f
}

// inFloat32 is features measured by a network that computes, and sums, in float32: features that vary have an error
// next to the largest ones of their space, covariances one next to the deviations.
func (s samples) inFloat32(seed uint64, widths ...int) Features {
	random := rand.New(rand.NewPCG(seed, 2))
	sigma, typical := s.features(widths...).deviations()
	for i, x := range s {
		for k := range x {
			if sigma[i] > 0 {
				x[k] += 1e-7 * typical * random.NormFloat64()
			}
		}
	}
	f := s.features(widths...)
	for i := range sigma {
		for j := i; j < len(sigma); j++ {
			f.Cov[i*len(sigma)+j] += 3e-7 * (2*random.Float64() - 1) * sigma[i] * sigma[j]
			f.Cov[j*len(sigma)+i] = f.Cov[i*len(sigma)+j]
		}
	}
	return f
}

// drawFaint adds features to a model that vary little next to the others.
func drawFaint(t *rapid.T, model samples) samples {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "faint"), 3))
	_, typical := model.features(len(model)).deviations()
	for _, share := range rapid.SliceOfN(rapid.SampledFrom([]float64{1e-3, 1e-4, 3e-5}), 0, 4).Draw(t, "shares") {
		x := make([]float64, len(model[0]))
		for k := range x {
			x[k] = share * typical * random.NormFloat64()
		}
		model = append(model, x)
	}
	return model
}

// drawModel draws one model's features: live ones, near duplicates (correlation
// 1 - 5e-7) and exact ones, dead and constant ones.
func drawModel(t *rapid.T) samples { return drawModelApart(t, 1e-3) }

// drawModelApart is drawModel with near duplicates of correlation 1 - apart²/2.
func drawModelApart(t *rapid.T, apart float64) samples {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "noise"), 0))
	const images = 50
	live := func(scale, mean float64) []float64 {
		x := make([]float64, images)
		for k := range x {
			x[k] = mean + scale*random.NormFloat64()
		}
		return x
	}
	model := samples{live(1, 0)}
	kinds := rapid.SliceOfN(rapid.SampledFrom([]string{"live", "shifted", "near", "duplicate", "dead", "constant"}), 1, 12)
	for _, kind := range kinds.Draw(t, "kinds") {
		other := model[random.IntN(len(model))]
		var x []float64
		switch kind {
		case "live":
			x = live(math.Exp(2*random.NormFloat64()), 0)
		case "shifted":
			x = live(1, 10)
		case "near":
			// Relative to what is copied: closer ones fall below Options.Tie.
			scale := stat.StdDev(other, nil)
			if scale < 1e-6 { // constant
				scale = 1e3
			}
			x = live(apart*scale, 0)
			floats.Add(x, other)
		case "duplicate":
			x = slices.Clone(other)
		case "dead":
			x = make([]float64, images)
		case "constant":
			x = slices.Repeat([]float64{[]float64{0.1, 3, -7}[random.IntN(3)]}, images)
		}
		model = append(model, x)
	}
	return model
}

// drawFeatures draws statistics of any kind: unequal widths, ties, dead
// features; not those of any real samples, for the methods must not care.
func drawFeatures(t *rapid.T, widths []int) Features {
	f := Features{Widths: widths}
	total := f.total()
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "values"), 0))
	levels := rapid.SampledFrom([]int{0, 1, 2, 8}).Draw(t, "levels")
	dead := rapid.SampledFrom([]float64{0, 0.2, 0.9, 1}).Draw(t, "dead")
	f.Mean = make([]float64, total)
	f.Cov = make([]float64, total*total)
	for i := range total {
		f.Mean[i] = float64(random.IntN(3))
		for j := i; j < total; j++ {
			v := 2*random.Float64() - 1
			if levels > 0 { // few different values: many ties
				v = math.Round(v*float64(levels)) / float64(levels)
			}
			f.Cov[i*total+j], f.Cov[j*total+i] = v, v
		}
		f.Cov[i*total+i] = 1
	}
	for i := range total {
		if random.Float64() < dead {
			for j := range total {
				f.Cov[i*total+j], f.Cov[j*total+i] = 0, 0
			}
		}
	}
	return f
}

// drawOptions draws options for features of which there are total.
func drawOptions(t *rapid.T, total int) Options {
	return Options{
		Alpha: rapid.SampledFrom([]float64{0, 1e-4, 0.3, 0.5, 1}).Draw(t, "alpha"),
		Beta:  rapid.SampledFrom([]float64{0, 0.125, 0.5, 1, 3}).Draw(t, "beta"),
		Width: rapid.IntRange(1, total).Draw(t, "width"),
	}
}

// drawWidths draws the widths of one to five models.
func drawWidths(t *rapid.T) []int {
	return rapid.SliceOfN(rapid.IntRange(1, 9), 1, 5).Draw(t, "widths")
}

// drawEqualWidths draws the one width of some models.
func drawEqualWidths(t *rapid.T) []int {
	n := rapid.IntRange(1, 9).Draw(t, "features")
	return slices.Repeat([]int{n}, rapid.IntRange(1, 4).Draw(t, "models"))
}

// symmetric fills the lower triangle of a matrix given by rows from the
// diagonal on.
func symmetric(rows ...[]float64) []float64 {
	n := len(rows)
	c := make([]float64, n*n)
	for i, row := range rows {
		for d, v := range row {
			c[i*n+i+d], c[(i+d)*n+i] = v, v
		}
	}
	return c
}

// diagonal is the covariance of independent features with the given variances.
func diagonal(variances ...float64) []float64 {
	n := len(variances)
	c := make([]float64, n*n)
	for k, v := range variances {
		c[k*n+k] = v
	}
	return c
}

// crossed: features 0 and 1 of the second model are 1 and 0 of the first.
var crossed = symmetric(
	[]float64{1, 0.2, 0.1, 0.9},
	[]float64{1, 0.8, 0.3},
	[]float64{1, 0.1},
	[]float64{1})
