package refit_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/internal/data"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"github.com/onnx-zip/onnx-zip/transform/match"
	"github.com/onnx-zip/onnx-zip/transform/merge"
	"github.com/onnx-zip/onnx-zip/transform/refit"
)

// permutedCopy is a model with the features of every space in another order.
func permutedCopy(t *testing.T, m *onnx.Model) *onnx.Model {
	t.Helper()
	p, err := transform.Prepare([]*onnx.Model{m}, transform.PrepareOptions{Heads: []string{"a"}})
	check(t, err)
	trunk, err := merge.FindTrunk(p.Sources, merge.Cut{})
	check(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	as := merge.Assignments{}
	for _, s := range trunk.Analysis.Spaces {
		as[s] = merge.Average(match.Zip{Width: s.Dim, Of: rng.Perm(s.Dim)})
	}
	rename := map[string]string{}
	for _, v := range m.Graph().GetOutput() {
		rename["a:"+v.GetName()] = v.GetName()
	}
	out, err := merge.Build(p.Sources, trunk, as, merge.Options{Rename: rename})
	check(t, err)
	return out.Model
}

// TestPermutedCopyIsLeftAlone zips a model with its permuted copy: least squares finds nothing to do.
func TestPermutedCopyIsLeftAlone(t *testing.T) {
	for _, pair := range []string{"fmnist_mlp", "fmnist_vgg"} {
		a, err := onnx.Load(models + pair + "_a.onnx")
		check(t, err)
		f := loadModels(t, 64, a, permutedCopy(t, a))
		f.assign(t, "zip", "mean")
		plain := f.build(t)
		m, fits := f.fitted(t, refit.Options{Workers: 2})
		if len(fits) < 1 { // where the merged trunk is the first model's bit for bit, only the other head is looked at
			t.Errorf("%s: %d nodes were looked at", pair, len(fits))
		}
		for _, fit := range fits {
			if fit.Lambda != 0 {
				t.Errorf("%s %s was fitted: its error went from %.3g to %.3g", pair, fit.Node, fit.Before, fit.After)
			}
		}
		before, err := plain.Model.Marshal()
		check(t, err)
		after, err := m.Model.Marshal()
		check(t, err)
		if !bytes.Equal(before, after) {
			t.Errorf("%s: the model has changed", pair)
		}
	}
}

// merged runs a whole merge.
func (f *fixture) merged(t *testing.T, refitBy, until string, src calibrate.Source) *transform.Result {
	t.Helper()
	s, err := transform.Preset("zip")
	check(t, err)
	s.Refit = refitBy
	res, err := f.prepared.Merge(context.Background(), f.engine, src, transform.Options{Settings: s, Until: until})
	check(t, err)
	return res
}

// outputError is the relative error of the heads' outputs against their sources on images that no refit saw.
func (f *fixture) outputError(t *testing.T, m *merge.Merged) float64 {
	t.Helper()
	inputs, err := data.Inputs(f.prepared.Originals[0])
	check(t, err)
	file, err := data.Open(models+"fmnist_test.npz", data.Options{})
	check(t, err)
	bound, err := file.Bind(inputs)
	check(t, err)
	test, err := data.Sample(bound, 500, 3)
	check(t, err)
	side, err := f.prepared.SideBySide(nil)
	check(t, err)
	want, got := f.outputs(t, side.Model, test), f.outputs(t, m.Model, test)
	total := 0.0
	for name, w := range want {
		diff, norm := 0.0, 0.0
		for k := range w {
			d := float64(got[name][k]) - float64(w[k])
			diff += d * d
			norm += float64(w[k]) * float64(w[k])
		}
		total += math.Sqrt(diff/norm) / float64(len(want))
	}
	return total
}

func (f *fixture) outputs(t *testing.T, m *onnx.Model, src calibrate.Source) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	err := calibrate.Forward(context.Background(), f.engine, m, src, calibrate.ForwardOptions{}, func(b calibrate.ForwardBatch) error {
		for name, x := range b.Outputs {
			v, err := x.Float32s()
			check(t, err)
			out[name] = append(out[name], v...)
		}
		return nil
	})
	check(t, err)
	return out
}

// TestRefitsInOrder: on real pairs least squares beats repair, which beats none, on images that none saw; and no
// node's held-out error rises.
func TestRefitsInOrder(t *testing.T) {
	for _, pair := range []string{"fmnist_mlp", "fmnist_vgg"} {
		f := load(t, pair, 320)
		var errors []float64
		for _, by := range []string{"none", "repair", "ls"} {
			res := f.merged(t, by, "", f.src)
			errors = append(errors, f.outputError(t, res.Merged))
			if by == "none" {
				continue
			}
			if res.Report.Refit.Chosen != by {
				t.Errorf("%s: asked for %s, %s was chosen: %v", pair, by, res.Report.Refit.Chosen, res.Report.Refit.Errors)
			}
			for _, fit := range res.Report.Refit.Fits {
				if !(fit.After <= fit.Before) {
					t.Errorf("%s %s: the held-out error rose from %.4g to %.4g", pair, fit.Node, fit.Before, fit.After)
				}
			}
		}
		if !(errors[2] < 0.8*errors[1] && errors[1] < errors[0]) {
			t.Errorf("%s: relative errors none %.3f, repair %.3f, least squares %.3f: want them to fall", pair, errors[0], errors[1], errors[2])
		}
	}
}

// TestFewSamples: with any number of samples, least squares is not worse than repair beyond noise, and says what
// it fell back to.
func TestFewSamples(t *testing.T) {
	for _, pair := range []string{"fmnist_mlp", "fmnist_vgg"} {
		for _, n := range []int{1, 8, 19, 20, 32, 100} {
			f := load(t, pair, n)
			ls, repair := f.merged(t, "ls", "", f.src), f.merged(t, "repair", "", f.src)
			a, b := f.outputError(t, ls.Merged), f.outputError(t, repair.Merged)
			if !(a <= 1.05*b) {
				t.Errorf("%s, %d samples: relative error %.3f by %s, %.3f by %s", pair, n, a, ls.Report.Refit.Chosen, b, repair.Report.Refit.Chosen)
			}
			r := ls.Report.Refit
			if n < 20 && (r.Chosen != "repair" || r.Enough != 20) || n == 100 && r.Chosen != "ls" {
				t.Errorf("%s, %d samples: chosen %s, %d would do", pair, n, r.Chosen, r.Enough)
			}
			if _, compared := r.Errors["repair"]; n >= 20 && compared != (n < 100) {
				t.Errorf("%s, %d samples: errors of %v", pair, n, r.Errors)
			}
			if n >= 20 && pair == "fmnist_mlp" && r.Enough <= 1000 { // 784 inputs
				t.Errorf("%d samples: %d would do", n, r.Enough)
			}
		}
	}
}

// TestLeastSquaresSameBytes: neither the number of workers nor spilling to disk changes a byte.
func TestLeastSquaresSameBytes(t *testing.T) {
	f := load(t, "fmnist_vgg", 100)
	var first []byte
	for _, o := range []refit.Options{{Workers: 1}, {Workers: 2}, {Workers: 4}, {Workers: 2, Memory: 1, Scratch: t.TempDir()}} {
		m, _ := f.fitted(t, o)
		b, err := m.Model.Marshal()
		check(t, err)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("%+v: the bytes differ", o)
		}
	}
}

// TestHeadsAreRefitted cuts in the middle: every linear node behind the cut is fitted for each head, in order.
func TestHeadsAreRefitted(t *testing.T) {
	f := load(t, "fmnist_vgg", 100)
	cuts, err := f.prepared.Cuts()
	check(t, err)
	until := cuts[len(cuts)/2].Value
	res := f.merged(t, "ls", until, f.src)
	linear := 0
	for _, n := range f.prepared.Sources.Models[0].Index.Order {
		if n.GetOpType() == "Conv" || n.GetOpType() == "Gemm" {
			linear++
		}
	}
	trunk, behind := 0, map[string]int{}
	for _, fit := range res.Report.Refit.Fits {
		if fit.Head == "" {
			trunk++
			if len(behind) > 0 {
				t.Errorf("%s of the trunk comes behind nodes of heads", fit.Node)
			}
			continue
		}
		behind[fit.Head]++
	}
	if trunk == 0 || trunk == linear || len(behind) != 2 {
		t.Fatalf("cut %s: %d nodes in the trunk, %v in the heads", until, trunk, behind)
	}
	for head, n := range behind {
		if trunk+n != linear {
			t.Errorf("head %s: %d nodes in the trunk and %d in the head of %d", head, trunk, n, linear)
		}
	}
	if plain := f.merged(t, "none", until, f.src); f.outputError(t, res.Merged) > 0.7*f.outputError(t, plain.Merged) {
		t.Error("the refit does not pay")
	}
}

// TestResidualNet: in a real residual network the last convolution of every block is compared at the sum, the projected
// shortcuts together with it.
func TestResidualNet(t *testing.T) {
	f := load(t, "fmnist_resnet20", 40)
	_, fits := f.fitted(t, refit.Options{Workers: 2})
	sums, convs, joint := 0, 0, 0
	for _, fit := range fits {
		convs++
		if fit.At != fit.Node && f.opOf(fit.At) == "Add" {
			sums++
		}
		if len(fit.With) > 0 {
			joint++
		}
		if !(fit.After <= fit.Before) {
			t.Errorf("%s: the held-out error rose from %.4g to %.4g", fit.Node, fit.Before, fit.After)
		}
	}
	if sums != 11 || joint != 4 || convs != 23 {
		t.Errorf("%d of %d nodes are compared at a sum, %d of them in pairs; want 11 (one for each of 9 blocks, 2 projections) of 23, and 4",
			sums, convs, joint)
	}
}

func (f *fixture) opOf(value string) string {
	return f.prepared.Sources.Models[0].Index.Producer(value).GetOpType()
}

// halfSource converts samples to float16.
type halfSource struct{ data.Source }

func (s halfSource) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	feeds, err := s.Source.Batch(from, to)
	if err != nil {
		return nil, err
	}
	for name, x := range feeds {
		v, err := x.Float64s()
		if err != nil {
			return nil, err
		}
		feeds[name] = onnx.FromFloat64(onnx.Float16, v, x.Dims...)
	}
	return feeds, nil
}

// half is a float32 model as float16.
func half(t *testing.T, m *onnx.Model) *onnx.Model {
	t.Helper()
	m = m.Clone()
	g := m.Graph()
	for k, p := range g.Initializer {
		if onnx.DType(p.GetDataType()) == onnx.Float {
			x, err := onnx.TensorOf(p)
			check(t, err)
			v, err := x.Float64s()
			check(t, err)
			g.Initializer[k] = onnx.FromFloat64(onnx.Float16, v, x.Dims...).Proto(p.GetName())
		}
	}
	g.ValueInfo = nil
	for _, list := range []([]*onnx.ValueInfo){g.Input, g.Output} {
		for k, v := range list {
			_, dims, _ := onnx.TensorType(v)
			list[k] = onnx.NewValueInfo(v.GetName(), onnx.Float16, dims)
		}
	}
	return m
}

// TestHalfPrecision refits float16 models, whose images are float16 too.
func TestHalfPrecision(t *testing.T) {
	var loaded []*onnx.Model
	for _, name := range []string{"a", "b"} {
		m, err := onnx.Load(fmt.Sprintf("%sfmnist_vgg_%s.onnx", models, name))
		check(t, err)
		loaded = append(loaded, half(t, m))
	}
	f := loadModels(t, 100, loaded...)
	f.assign(t, "zip", "mean")
	_, fits := f.fitted(t, refit.Options{Workers: 2})
	before, after := 0.0, 0.0
	for _, fit := range fits {
		before, after = before+fit.Before, after+fit.After
	}
	if len(fits) < 7 || !(after < before/2) {
		t.Errorf("%d fits, their errors add up to %.3g before and %.3g after", len(fits), before, after)
	}
	if _, outcomes := f.repaired(t, refit.Options{}); len(outcomes) == 0 {
		t.Error("nothing was repaired")
	}
}
