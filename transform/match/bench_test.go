package match

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// benchFeatures returns the features of models that share half of their latent
// factors, with correlations as wide-spread as those of a trained network.
func benchFeatures(models, n int) Features {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	const factors = 24
	f := Features{Widths: slices.Repeat([]int{n}, models)}
	total := models * n
	loadings := make([]float64, total*factors)
	for k := range loadings {
		if random.IntN(4) == 0 {
			loadings[k] = random.NormFloat64()
		}
	}
	f.Mean = make([]float64, total)
	f.Cov = make([]float64, total*total)
	for i := range total {
		for j := range total {
			for s := range factors {
				f.Cov[i*total+j] += loadings[i*factors+s] * loadings[j*factors+s]
			}
		}
		f.Cov[i*total+i] += 0.3
	}
	return f
}

// benchSizes are {models, features of each}.
var benchSizes = [][2]int{{2, 64}, {2, 512}, {2, 2048}, {4, 512}}

func benchmarkZip(b *testing.B, match func(Features, Options) (Zip, error), o Options) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("models=%d/features=%d", size[0], size[1]), func(b *testing.B) {
			f := benchFeatures(size[0], size[1])
			b.ReportAllocs()
			for b.Loop() {
				if _, err := match(f, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGreedy(b *testing.B) { benchmarkZip(b, Greedy, DefaultOptions()) }

func BenchmarkReference(b *testing.B) {
	benchmarkZip(b, Reference, Options{Alpha: 0.3, Beta: 0.125})
}

func BenchmarkPermute(b *testing.B) { benchmarkZip(b, Permute, Options{}) }

// BenchmarkSubset reads the features at three places, as a stage of a ResNet does.
func BenchmarkSubset(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("models=%d/features=%d/places=3", size[0], size[1]), func(b *testing.B) {
			f := benchFeatures(size[0], size[1])
			for range 3 {
				f.Readers = append(f.Readers, Reader{Cov: f.Cov, Weight: f.Cov})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Subset(f, Options{Width: size[1]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRank ranks the hidden units of two transformers' MLPs, which one matrix reads in each: as its rows, or as their Gram.
func BenchmarkRank(b *testing.B) {
	for _, size := range [][3]int{{512, 128, 256}, {1536, 384, 768}} {
		n, rows, most := size[0], size[1], size[2]
		f := benchFeatures(2, n)
		random := rand.New(rand.NewPCG(2, 0))
		read := Reader{Cov: f.Cov, Rows: make([]float64, 2*rows*2*n)}
		for i := range 2 * rows {
			for j := range n { // each model's own features
				read.Rows[i*2*n+i/rows*n+j] = random.NormFloat64()
			}
		}
		for _, form := range []string{"gram", "rows"} {
			if form == "gram" {
				f.Readers = []Reader{{Cov: f.Cov, Weight: gramOf(b, read, 2*n)}}
			} else {
				f.Readers = []Reader{read}
			}
			b.Run(fmt.Sprintf("features=%d/rows=%d/ranked=%d/form=%s", 2*n, 2*rows, most, form), func(b *testing.B) {
				for b.Loop() {
					if _, err := f.rank(most); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkAssign measures profits without structure, and those of features
// that share a single strong factor, which are much harder.
func BenchmarkAssign(b *testing.B) {
	for _, noise := range []float64{1, 0.05, 0} {
		for _, n := range []int{512, 2048, 4096} {
			b.Run(fmt.Sprintf("n=%d/noise=%v", n, noise), func(b *testing.B) {
				profit := factorProfit(n, noise)
				for b.Loop() {
					if _, err := Assign(n, profit); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// factorProfit mixes the product of one factor's loadings, in [0.3, 1], with
// normal noise in the given proportion.
func factorProfit(n int, noise float64) []float64 {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	loadings := make([]float64, 2*n)
	for k := range loadings {
		loadings[k] = 0.3 + 0.7*random.Float64()
	}
	profit := make([]float64, n*n)
	for i := range n {
		for j := range n {
			profit[i*n+j] = (1-noise)*loadings[i]*loadings[n+j] + noise*random.NormFloat64()
		}
	}
	return profit
}
