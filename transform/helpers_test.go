package transform_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/space"
)

// TestMain runs fewer random checks than rapid's default, since each opens several sessions. Ask for more
// with -rapid.checks.
func TestMain(m *testing.M) {
	testing.Init()
	for name, value := range map[string]string{"rapid.checks": "40", "rapid.nofailfile": "true", "rapid.shrinktime": "5s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// real loads one of the trained models.
func real(t testing.TB, name string) *onnx.Model {
	t.Helper()
	m, err := onnx.Load(onnxtest.Root(t) + "/testdata/models/fmnist_" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// prepare brings models to their common form; heads are called a, b, c.
func prepare(t fataler, models ...*onnx.Model) *transform.Prepared {
	t.Helper()
	p, err := transform.Prepare(models, transform.PrepareOptions{Heads: []string{"a", "b", "c"}[:len(models)]})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func findTrunk(t fataler, p *transform.Prepared, cut merge.Cut) *merge.Trunk {
	t.Helper()
	trunk, err := merge.FindTrunk(p.Sources, cut)
	if err != nil {
		t.Fatal(err)
	}
	return trunk
}

func build(t fataler, p *transform.Prepared, trunk *merge.Trunk, as merge.Assignments) *merge.Merged {
	t.Helper()
	m, err := merge.Build(p.Sources, trunk, as, merge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// full is the assignment that merges nothing; spaces that may not be widened keep their order.
func full(t fataler, p *transform.Prepared, trunk *merge.Trunk) merge.Assignments {
	t.Helper()
	as, err := p.Assign(trunk, nil, transform.Settings{Match: "full", Represent: "mean", Refit: "none"})
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// run computes a model's outputs.
func run(t fataler, e calibrate.Engine, m *onnx.Model, feeds map[string]*onnx.Tensor) map[string][]float64 {
	t.Helper()
	ctx := context.Background()
	s, err := e.Open(ctx, m, calibrate.SessionOptions{Threads: 1})
	if err != nil {
		t.Fatalf("%v\n%s", err, onnxtest.Dump(m))
	}
	defer s.Close()
	own := map[string]*onnx.Tensor{}
	for _, in := range m.Graph().GetInput() {
		own[in.GetName()] = feeds[in.GetName()]
	}
	out, err := s.Run(ctx, own)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float64{}
	for name, tensor := range out {
		v, err := tensor.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		values[name] = v
	}
	return values
}

// deviation is the largest difference, relative to the largest value of want.
func deviation(got, want []float64) float64 { return deviationOf(got, want, 1e-30) }

// deviationOf is deviation for values that are all of rounding's size below floor, such as the mean of what is free of it.
func deviationOf(got, want []float64, floor float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	largest, d := floor, 0.0
	for k := range want {
		largest = max(largest, math.Abs(want[k]))
		if diff := math.Abs(got[k] - want[k]); diff > d || math.IsNaN(diff) {
			d = diff
		}
	}
	return d / largest
}

// largestOf is the largest value of any output.
func largestOf(outputs map[string][]float64) (largest float64) {
	for _, values := range outputs {
		for _, v := range values {
			largest = max(largest, math.Abs(v))
		}
	}
	return largest
}

// checker compares merged models with their sources, whose outputs it computes once.
type checker struct {
	e       calibrate.Engine
	feeds   map[string]*onnx.Tensor // by model 0's names
	sources []map[string][]float64
}

func newChecker(t fataler, e calibrate.Engine, p *transform.Prepared, feeds map[string]*onnx.Tensor) *checker {
	t.Helper()
	c := &checker{e: e, feeds: feeds}
	for i, m := range p.Originals {
		own := map[string]*onnx.Tensor{}
		for _, row := range p.Sources.Pairing.Inputs {
			own[row[i]] = feeds[row[0]]
		}
		c.sources = append(c.sources, run(t, e, m, own))
	}
	return c
}

// check fails unless every head of m computes what its source does, up to tolerance.
func (c *checker) check(t fataler, p *transform.Prepared, m *merge.Merged, tolerance float64) {
	t.Helper()
	got := run(t, c.e, m.Model, c.feeds)
	for i, src := range p.Originals {
		floor := max(1e-2*largestOf(c.sources[i]), 1e-30)
		for k, out := range src.Graph().GetOutput() {
			d := deviationOf(got[m.Outputs[i][k]], c.sources[i][out.GetName()], floor)
			if !(d <= tolerance) {
				t.Fatalf("head %d differs from its source by %.3g at output %q\n%s", i, d, out.GetName(), onnxtest.Dump(m.Model))
			}
		}
	}
}

// samples is calibration data that was never anything but random.
type samples struct {
	n     int
	batch func(from, to int) map[string]*onnx.Tensor
}

func (s samples) Samples() int { return s.n }

func (s samples) Batch(from, to int) (map[string]*onnx.Tensor, error) { return s.batch(from, to), nil }

// randomSamples feeds one input of images or vectors.
func randomSamples(n int, input string, dims ...int64) samples {
	size := 1
	for _, d := range dims {
		size *= int(d)
	}
	all, _ := onnxtest.RandomBetween(11, -1.7, 1.7, onnx.Float, int64(n*size)).Float32s()
	return samples{n, func(from, to int) map[string]*onnx.Tensor {
		d := append([]int64{int64(to - from)}, dims...)
		return map[string]*onnx.Tensor{input: onnx.FromFloat32(all[from*size:to*size], d...)}
	}}
}

// permutations draws an order of the features of each space of a trunk. Heads move as a whole, those of one
// group together.
func permutations(trunk *merge.Trunk, seed uint64) map[*space.Space][]int {
	return somePermutations(trunk, seed, 0)
}

// somePermutations is permutations that leave a share of the orders as they are: some spaces, then, are identical.
func somePermutations(trunk *merge.Trunk, seed uint64, kept float64) map[*space.Space][]int {
	r := rand.New(rand.NewPCG(seed, 1))
	perm := func(n int) []int {
		order := r.Perm(n)
		if kept > 0 && r.Float64() < kept {
			slices.Sort(order)
		}
		return order
	}
	out, heads := map[*space.Space][]int{}, map[int][]int{}
	for _, s := range trunk.Analysis.Spaces {
		if s.Heads == 0 {
			out[s] = perm(s.Dim)
			continue
		}
		if heads[s.Group] == nil {
			heads[s.Group] = perm(s.Heads)
			for h := range s.Heads {
				if s.HeadsFixed {
					heads[s.Group][h] = h
				}
			}
		}
		inside := s.Dim / s.Heads
		for h := range s.Heads {
			order := perm(inside)
			for f := range inside {
				if s.InsideFixed {
					order[f] = f
				}
				out[s] = append(out[s], heads[s.Group][h]*inside+order[f])
			}
		}
	}
	return out
}

// permuted is the model of a one-model trunk with the features of every space in another order. Its input
// and output names are the source's.
func permuted(t fataler, p *transform.Prepared, trunk *merge.Trunk, orders map[*space.Space][]int) *onnx.Model {
	t.Helper()
	as := merge.Assignments{}
	for s, order := range orders {
		as[s] = merge.Average(match.Zip{Width: s.Dim, Of: order})
	}
	rename := map[string]string{}
	for _, v := range p.Originals[0].Graph().GetOutput() {
		rename["a:"+v.GetName()] = v.GetName()
	}
	m, err := merge.Build(p.Sources, trunk, as, merge.Options{Rename: rename})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Precision.Restore(m.Model); err != nil {
		t.Fatal(err)
	}
	m.Model.File = "permuted.onnx"
	return m.Model
}

func engine(t testing.TB) calibrate.Engine { return orttest.Engine(t) }

func imageFeeds(n int64) map[string]*onnx.Tensor {
	return map[string]*onnx.Tensor{"input": onnxtest.RandomBetween(5, -0.8, 2, onnx.Float, n, 1, 28, 28)}
}

func netFeeds(dtype onnx.DType) map[string]*onnx.Tensor {
	return map[string]*onnx.Tensor{"x": onnxtest.RandomBetween(5, -1.7, 1.7, dtype, 4, 3, 8, 8)}
}

var realPairs = []string{"mlp", "vgg", "resnet20", "frozen", "tuned"}

func describe(p plan) string {
	var names []string
	for k, s := range p.steps {
		names = append(names, fmt.Sprint(s.name, p.rand[k]))
	}
	return fmt.Sprint(names, " tail ", p.tail)
}

func captureOptions(workers int) calibrate.CaptureOptions {
	return calibrate.CaptureOptions{Workers: workers}
}
