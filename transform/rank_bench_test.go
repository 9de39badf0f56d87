package transform_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"gonum.org/v1/gonum/mat"
)

// BenchmarkSubset keeps half of the hidden units of two transformers' MLPs, which one matrix reads in each, by gonum's
// products and by the engine's.
func BenchmarkSubset(b *testing.B) {
	for _, size := range [][2]int{{256, 64}, {1536, 384}, {3072, 768}} {
		units, rows := size[0], size[1]
		var f match.Features
		for _, by := range []string{"gonum", "engine"} {
			b.Run(fmt.Sprintf("features=%d/rows=%d/kept=%d/by=%s", 2*units, 2*rows, units, by), func(b *testing.B) {
				if f.Widths == nil {
					f = hiddenUnits(units, rows)
				}
				if f.Products = nil; by == "engine" {
					p := calibrate.NewProducts(b.Context(), orttest.Engine(b))
					defer p.Close()
					f.Products = p
				}
				for b.Loop() {
					if _, _, err := match.Subset(f, match.Options{Width: units}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// hiddenUnits draws covariances as ReLU-like units of two models have them, and the rows that read each model's.
func hiddenUnits(units, rows int) match.Features {
	random := rand.New(rand.NewPCG(2, 0))
	n := 2 * units
	x := mat.NewDense(n, units/2, nil)
	for i := range x.RawMatrix().Data {
		x.RawMatrix().Data[i] = random.NormFloat64()
	}
	var cov mat.Dense
	cov.Mul(x, x.T())
	for k := range n {
		cov.Set(k, k, cov.At(k, k)+float64(units)/4*random.ExpFloat64())
	}
	read := match.Reader{Cov: cov.RawMatrix().Data, Rows: make([]float64, 2*rows*n)}
	for i := range 2 * rows {
		for j := range units { // each model's own
			read.Rows[i*n+i/rows*units+j] = random.NormFloat64()
		}
	}
	return match.Features{Widths: []int{units, units}, Cov: read.Cov, Readers: []match.Reader{read}}
}
