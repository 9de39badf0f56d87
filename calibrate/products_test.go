package calibrate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"gonum.org/v1/gonum/mat"
)

func drawDense(random *rand.Rand, rows, columns int) *mat.Dense {
	m := mat.NewDense(rows, columns, nil)
	for i := range m.RawMatrix().Data {
		m.RawMatrix().Data[i] = random.NormFloat64()
	}
	return m
}

// TestProducts compares the engine's products with gonum's.
func TestProducts(t *testing.T) {
	p := calibrate.NewProducts(t.Context(), orttest.Engine(t))
	defer p.Close()
	random := rand.New(rand.NewPCG(1, 0))
	a, b, bt, c := drawDense(random, 70, 33), drawDense(random, 33, 129), drawDense(random, 129, 33), drawDense(random, 70, 129)
	for _, transposed := range []bool{false, true} {
		for _, from := range []*mat.Dense{nil, c} {
			var want mat.Dense
			var right mat.Matrix = b
			given := b
			if transposed {
				right, given = bt.T(), bt
			}
			want.Mul(a, right)
			if from != nil {
				want.Sub(from, &want)
			}
			got, err := p.Multiply(from, a, given, transposed)
			if err != nil {
				t.Fatal(err)
			}
			if !mat.EqualApprox(got, &want, 1e-12) {
				t.Errorf("transposed %t, subtracted %t: another product", transposed, from != nil)
			}
		}
	}
}

// BenchmarkProducts measures c − a·b in the engine and in gonum, each in one call: one thread there, all cores here.
func BenchmarkProducts(b *testing.B) {
	p := calibrate.NewProducts(b.Context(), orttest.Engine(b))
	defer p.Close()
	random := rand.New(rand.NewPCG(1, 0))
	for _, size := range [][3]int{{256, 32, 6144}, {256, 128, 6144}, {1536, 128, 6144}, {64, 1536, 6144}, {128, 128, 128}} {
		x, y, c := drawDense(random, size[0], size[1]), drawDense(random, size[1], size[2]), drawDense(random, size[0], size[2])
		name := fmt.Sprintf("rows=%d/inner=%d/columns=%d/by=", size[0], size[1], size[2])
		b.Run(name+"engine", func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Multiply(c, x, y, false); err != nil {
					b.Fatal(err)
				}
			}
			report(b, size)
		})
		b.Run(name+"gonum", func(b *testing.B) {
			for b.Loop() {
				var out mat.Dense
				out.Mul(x, y)
				out.Sub(c, &out)
			}
			report(b, size)
		})
	}
}

func report(b *testing.B, size [3]int) {
	flops := 2 * float64(size[0]) * float64(size[1]) * float64(size[2])
	b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
