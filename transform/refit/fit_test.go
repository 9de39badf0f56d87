package refit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// linearAt describes a node whose target is the source's value of the same name.
func linearAt(node, input, weight, bias, at string, axis, channels int) Linear {
	return Linear{
		Name: node, Node: node, Input: input, Weight: weight, Bias: bias, At: at, Axis: axis,
		Target: identityMember(at, channels),
	}
}

func fitAll(t *testing.T, merged, side *onnx.Model, nodes []Linear, fit, held tensors, o Options) []Fit {
	t.Helper()
	sources := NewSources(orttest.Engine(t), side, fit, held, o)
	defer sources.Close()
	fits, err := LeastSquares(t.Context(), merged, nodes, sources)
	if err != nil {
		t.Fatal(err)
	}
	return fits
}

// residual is a network with a shortcut that is projected, and one that is not; a leaves room for other weights.
const residual = `
input x f32[N,3,8,8]
w1 = init f32[6,3,3,3] random(%[1]d1)
b1 = init f32[6] random(%[1]d2, -1, 1)
w2 = init f32[6,6,3,3] random(%[1]d3)
ws = init f32[6,3,1,1] random(%[1]d4)
w3 = init f32[6,6,3,3] random(%[1]d5)
b3 = init f32[6] random(%[1]d6, -1, 1)
z1 = Conv(x, w1, b1) {pads=[1,1,1,1]}
r1 = Relu(z1)
z2 = Conv(r1, w2) {pads=[1,1,1,1]}
zs = Conv(x, ws)
s1 = Add(z2, zs)
r2 = Relu(s1)
z3 = Conv(r2, w3, b3) {pads=[1,1,1,1]}
y = Add(z3, r2)
output y f32
`

func residualNodes() []Linear {
	return []Linear{
		linearAt("z1", "x", "w1", "b1", "z1", 1, 6), linearAt("z2", "r1", "w2", "", "z2", 1, 6),
		linearAt("zs", "x", "ws", "", "s1", 1, 6), linearAt("z3", "r2", "w3", "b3", "y", 1, 6),
	}
}

func images(seed int64, n int64) tensors {
	return tensors{"x", onnxtest.RandomBetween(seed, -1, 2, onnx.Float, n, 3, 8, 8)}
}

// TestRecoversTheSource starts from other weights: given what each node sees, least squares finds the source's
// own weights one after the other, biases that the merged network lacks too.
func TestRecoversTheSource(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(residual, 1))
	merged := onnxtest.Build(t, fmt.Sprintf(residual, 2))
	undo := SetRidges(1e-9)
	defer undo()
	fits := fitAll(t, merged, side, residualNodes(), images(5, 60), images(6, 20), Options{Workers: 2})
	if len(fits) != 4 {
		t.Fatalf("%d fits", len(fits))
	}
	for _, f := range fits {
		if f.After > 1e-9 || f.Before < 1e-3 {
			t.Errorf("%s: the relative error went from %.3g to %.3g", f.Node, f.Before, f.After)
		}
	}
	for _, name := range []string{"w1", "b1", "w2", "ws", "w3", "b3"} {
		got, want := weightsOf(t, merged, name), weightsOf(t, side, name)
		for k := range want {
			if math.Abs(got[k]-want[k]) > 1e-4 {
				t.Fatalf("%s[%d] is %.6g, the source has %.6g", name, k, got[k], want[k])
			}
		}
	}
}

// TestResidualSum: the node that is compared at the sum makes up for what the merged skip has lost, which its
// own output cannot tell.
func TestResidualSum(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(residual, 1))
	errorOf := func(nodes []Linear) float64 {
		merged := onnxtest.Build(t, fmt.Sprintf(residual, 2))
		fitAll(t, merged, side, nodes, images(5, 60), images(6, 20), Options{})
		return outputError(t, merged, side, images(7, 20))
	}
	at := residualNodes()[2:]
	own := []Linear{linearAt("zs", "x", "ws", "", "zs", 1, 6), linearAt("z3", "r2", "w3", "b3", "z3", 1, 6)}
	if sum, z := errorOf(at), errorOf(own); sum > 0.8*z {
		t.Errorf("compared at the sums the output is off by %.3g, at the nodes themselves by %.3g", sum, z)
	}
}

// twoBranches adds what two nodes make of different inputs.
const twoBranches = `
input x f32[N,4]
m1 = init f32[4,2] {1, 0, 0, 1, %[1]g, 0, 0, %[1]g}
m2 = init f32[4,2] {0, 0, 0, 0, 1, 0, 0, 1}
w1 = init f32[2,2] {1, 0, 0, 1}
w2 = init f32[2,2] {1, 0, 0, 1}
u = MatMul(x, m1)
v = MatMul(x, m2)
z1 = MatMul(u, w1)
z2 = MatMul(v, w2)
y = Add(z1, z2)
output y f32
`

// TestBranchesAreFittedTogether: what two nodes make together is fitted in one system. In the merged network the first one's
// input has what the second one's should be mixed in; only both together can take it out again.
func TestBranchesAreFittedTogether(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(twoBranches, 0.0))
	nodes := []Linear{linearAt("z1", "u", "w1", "", "z1", 1, 2), linearAt("z2", "v", "w2", "", "y", 1, 2)}
	fit, held := tensors{"x", onnxtest.RandomBetween(5, -1, 1, onnx.Float, 200, 4)}, tensors{"x", onnxtest.RandomBetween(6, -1, 1, onnx.Float, 50, 4)}
	undo := SetRidges(1e-9)
	defer undo()
	for _, c := range []struct {
		steps [][]Linear
		with  [][]string
		after func(float64) bool
	}{
		{[][]Linear{nodes}, [][]string{{"z2"}, {"z1"}}, func(e float64) bool { return e < 1e-8 }},
		{[][]Linear{nodes[:1], nodes[1:]}, [][]string{nil, nil}, func(e float64) bool { return e > 0.3 }},
	} {
		merged := onnxtest.Build(t, fmt.Sprintf(twoBranches, 3.0))
		var fits []Fit
		for _, step := range c.steps {
			fits = append(fits, fitAll(t, merged, side, step, fit, held, Options{Batch: 16})...)
		}
		if len(fits) != 2 || !slices.EqualFunc(fits, c.with, func(f Fit, with []string) bool { return slices.Equal(f.With, with) }) || fits[0].Node != "z1" || !c.after(fits[1].After) {
			t.Errorf("%d systems: %+v", len(c.steps), fits)
		}
		if e := outputError(t, merged, side, held); !c.after(e * e) {
			t.Errorf("%d systems: the output is off by %.3g", len(c.steps), e)
		}
	}
}

// TestThreeBranches: of a sum of sums that nobody else reads, all three are fitted in one system.
func TestThreeBranches(t *testing.T) {
	sum := func(mixed float64, seed int) *onnx.Model {
		more := fmt.Sprintf("w3 = init f32[4,2] random(%d)\nr = Relu(x)\nz3 = MatMul(r, w3)\nall = Add(z3, y)\noutput all f32\n", seed)
		return onnxtest.Build(t, strings.Replace(fmt.Sprintf(twoBranches, mixed), "output y f32\n", more, 1))
	}
	undo := SetRidges(1e-9)
	defer undo()
	nodes := []Linear{
		linearAt("z1", "u", "w1", "", "z1", 1, 2), linearAt("z2", "v", "w2", "", "y", 1, 2), linearAt("z3", "r", "w3", "", "all", 1, 2),
	}
	images := func(seed int64) tensors { return tensors{"x", onnxtest.RandomBetween(seed, -1, 1, onnx.Float, 200, 4)} }
	fits := fitAll(t, sum(3, 2), sum(0, 1), nodes, images(5), images(6), Options{})
	if len(fits) != 3 {
		t.Fatalf("%d fits", len(fits))
	}
	for _, f := range fits {
		if len(f.With) != 2 || f.At != "all" || !(f.After < 1e-8) || f.Before < 0.1 {
			t.Errorf("%+v", f)
		}
	}
}

// TestReadElsewhere: a shortcut that something else reads too has an output of its own to make, and is fitted to that.
func TestReadElsewhere(t *testing.T) {
	read := func(seed int) *onnx.Model {
		return onnxtest.Build(t, fmt.Sprintf(residual, seed)+"u = Relu(z2)\noutput u f32\n")
	}
	for _, f := range fitAll(t, read(2), read(1), residualNodes(), images(5, 60), images(6, 20), Options{}) {
		if f.With != nil {
			t.Errorf("%s was fitted with %v", f.Node, f.With)
		}
	}
}

// outputError is √(Σ|a − b|² / Σ|b|²) of the outputs y.
func outputError(t *testing.T, a, b *onnx.Model, src tensors) float64 {
	t.Helper()
	x, y := outputOf(t, a, src), outputOf(t, b, src)
	diff, norm := 0.0, 0.0
	for k := range y {
		diff += (x[k] - y[k]) * (x[k] - y[k])
		norm += y[k] * y[k]
	}
	return math.Sqrt(diff / norm)
}

func outputOf(t *testing.T, m *onnx.Model, src tensors) []float64 {
	t.Helper()
	w, err := newWalk(orttest.Engine(t), m, src, [][]string{{"y"}}, newStore(1<<30, ""), Options{Batch: src.Samples()}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	y, err := w.value("y", 0)
	if err != nil {
		t.Fatal(err)
	}
	return values(t, y)
}

// TestExactStaysExact: where the merged network does what the source does, not a byte changes.
func TestExactStaysExact(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(residual, 1))
	merged := side.Clone()
	for _, f := range fitAll(t, merged, side, residualNodes(), images(5, 60), images(6, 20), Options{}) {
		if f.Lambda != 0 || f.After != f.Before {
			t.Errorf("%s was fitted, from %.3g to %.3g", f.Node, f.Before, f.After)
		}
	}
	if !onnx.Equal(merged.Proto, side.Proto) {
		t.Error("the model has changed")
	}
}

// TestHeldOutDecides: where held-out samples contradict those that were fitted, the node is left alone.
func TestHeldOutDecides(t *testing.T) {
	merged := onnxtest.Build(t, "input x f32[N,2]\nw = init f32[2,1] fill(0)\ny = MatMul(x, w)\noutput y f32\n")
	side := onnxtest.Build(t, "input x f32[N,2]\nw = init f32[2,1] {1, 1}\ns = Mul(x, x)\ny = MatMul(s, w)\noutput y f32\n")
	// x² is proportional to x where x > 0, and to −x where x < 0.
	fit := tensors{"x", onnxtest.RandomBetween(1, 0.5, 1, onnx.Float, 64, 2)}
	held := tensors{"x", onnxtest.RandomBetween(2, -1, -0.5, onnx.Float, 64, 2)}
	before := merged.Clone()
	fits := fitAll(t, merged, side, []Linear{linearAt("y", "x", "w", "", "y", 1, 1)}, fit, held, Options{})
	if fits[0].Lambda != 0 || fits[0].After != fits[0].Before || !onnx.Equal(before.Proto, merged.Proto) {
		t.Errorf("the node was changed: %+v", fits[0])
	}
	fits = fitAll(t, merged, side, []Linear{linearAt("y", "x", "w", "", "y", 1, 1)}, fit, fit, Options{})
	if fits[0].Lambda == 0 || fits[0].After > 0.5*fits[0].Before {
		t.Errorf("the node was not changed: %+v", fits[0])
	}
}

// TestMemoryIsBounded: whatever the number of samples, no more than the budget is held.
func TestMemoryIsBounded(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(residual, 1))
	const budget = 300 << 10
	for _, n := range []int64{64, 512} {
		o := Options{Batch: 16, Workers: 2, Memory: budget, Scratch: t.TempDir()}
		l := &fitter{merged: onnxtest.Build(t, fmt.Sprintf(residual, 2)), workers: 2}
		l.sources = NewSources(orttest.Engine(t), side, images(5, n), images(6, 32), o)
		if err := l.open(t.Context(), residualNodes()); err != nil {
			t.Fatal(err)
		}
		for k := range l.problems {
			if err := l.node(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		if l.sources.store.peak > budget {
			t.Errorf("%d samples: %d bytes held, the budget is %d", n, l.sources.store.peak, budget)
		}
		if n == 512 && l.sources.store.end == 0 {
			t.Error("nothing was spilled: the test shows nothing")
		}
		l.close()
		if len(l.sources.store.tensors) > 0 {
			t.Errorf("%d samples: %d tensors are left behind", n, len(l.sources.store.tensors))
		}
		l.sources.Close()
	}
}

// TestSourcesAreShared: a second merge of the same sources computes nothing of them again, and comes out as if it
// were alone.
func TestSourcesAreShared(t *testing.T) {
	side := onnxtest.Build(t, fmt.Sprintf(residual, 1))
	alone := onnxtest.Build(t, fmt.Sprintf(residual, 3))
	fitAll(t, alone, side, residualNodes(), images(5, 60), images(6, 20), Options{})

	e := &countingEngine{Engine: orttest.Engine(t)}
	s := NewSources(e, side, images(5, 60), images(6, 20), Options{})
	defer s.Close()
	s.Keep = true
	var sessions []int
	for _, seed := range []int{2, 3} {
		e.sources = 0
		merged := onnxtest.Build(t, fmt.Sprintf(residual, seed))
		if _, err := LeastSquares(t.Context(), merged, residualNodes(), s); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, e.sources)
		if seed == 3 && !onnx.Equal(merged.Proto, alone.Proto) {
			t.Error("the second merge is not what it is alone")
		}
	}
	if sessions[0] != 4 || sessions[1] != 0 { // a look and a pass, over the samples that fit and those that judge
		t.Errorf("%d and %d sessions of the sources were opened, want 4 and 0", sessions[0], sessions[1])
	}
}

// countingEngine counts the sessions of graphs that hold all of the source.
type countingEngine struct {
	calibrate.Engine
	sources int
}

func (e *countingEngine) Open(ctx context.Context, m *onnx.Model, o calibrate.SessionOptions) (calibrate.Session, error) {
	convs := 0
	for _, n := range m.Graph().GetNode() {
		if n.GetOpType() == "Conv" {
			convs++
		}
	}
	if convs == 4 {
		e.sources++
	}
	return e.Engine.Open(ctx, m, o)
}

// TestFixedBatch runs models that take four samples at a time, and refuses what does not fill one batch.
func TestFixedBatch(t *testing.T) {
	fixed := func(seed int) *onnx.Model {
		return onnxtest.Build(t, strings.Replace(fmt.Sprintf(residual, seed), "f32[N,", "f32[4,", 1))
	}
	side, merged := fixed(1), fixed(2)
	before := outputError(t, merged, side, images(7, 4))
	for _, f := range fitAll(t, merged, side, residualNodes(), images(5, 61), images(6, 22), Options{}) {
		if f.Samples != 60*64 {
			t.Errorf("%s was fitted on %v positions, want all of 60 samples", f.Node, f.Samples)
		}
	}
	if after := outputError(t, merged, side, images(7, 4)); after > before/2 {
		t.Errorf("the error went from %.3g to %.3g", before, after)
	}
	sources := NewSources(orttest.Engine(t), side, images(5, 60), images(6, 3), Options{})
	defer sources.Close()
	_, err := LeastSquares(t.Context(), merged, residualNodes(), sources)
	if fault.As(err).Kind != fault.Data {
		t.Errorf("three held-out samples: %v", err)
	}
}

// TestDeadInputs: features that never vary, exact copies, and outputs that are constant.
func TestDeadInputs(t *testing.T) {
	text := `
input x f32[N,3,8,8]
w1 = init f32[6,3,3,3] random(%d)
b1 = init f32[6] {-1000, 0, 0.1, 0.2, 1000, 0}
w2 = init f32[4,6,3,3] random(%[1]d1)
z1 = Conv(x, w1, b1) {pads=[1,1,1,1]}
r1 = Relu(z1)
k = init f32[1,6,1,1] {1, 1, 1, 0, 1, 1}
m = Mul(r1, k)
y = Conv(m, w2) {pads=[1,1,1,1]}
output y f32
`
	side, merged := onnxtest.Build(t, fmt.Sprintf(text, 1)), onnxtest.Build(t, fmt.Sprintf(text, 2))
	nodes := []Linear{linearAt("z1", "x", "w1", "b1", "z1", 1, 6), linearAt("y", "m", "w2", "", "y", 1, 4)}
	before := outputError(t, merged, side, images(7, 8))
	for _, f := range fitAll(t, merged, side, nodes, images(5, 40), images(6, 20), Options{}) {
		if math.IsNaN(f.Before) || math.IsNaN(f.After) || f.After > f.Before {
			t.Errorf("%+v", f)
		}
	}
	for _, name := range []string{"w1", "b1", "w2"} {
		for _, v := range weightsOf(t, merged, name) {
			if v-v != 0 {
				t.Fatalf("%s has %v", name, v)
			}
		}
	}
	if after := outputError(t, merged, side, images(7, 8)); !(after <= before) {
		t.Errorf("the error went from %.3g to %.3g", before, after)
	}
}
