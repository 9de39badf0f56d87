package refit

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// blind is a node that sees 5 mixtures of 8 inputs, and an activation.
const blind = `
input x f32[N,8]
m = init f32[8,%[1]d] random(3, -1, 1)
w = init f32[6,%[1]d] random(%[2]d, -1, 1)
b = init f32[6] random(%[3]d, -1, 1)
low = init f32[] {-0.5}
high = init f32[] {0.5}
u = MatMul(x, m)
z = Gemm(u, w, b) {transB=1}
y = %[4]s
output y f32
`

// TestFitsBehindActivations goes on with the steps and looks whether they come to the minimum: there the gradient of the error
// behind the activation, and of the ridge, is zero, and the error is smaller than that of least squares.
func TestFitsBehindActivations(t *testing.T) {
	for k, activation := range []string{"Relu(z)", "Clip(z, low, high)", "Tanh(z)", "Mul(z, s)\ns = Sigmoid(z)"} {
		side := onnxtest.Build(t, fmt.Sprintf(blind, 8, 1, 2, activation))
		merged := onnxtest.Build(t, fmt.Sprintf(blind, 5, 4, 5, activation))
		src := tensors{"x", onnxtest.RandomBetween(7, -1, 1, onnx.Float, 300, 8)}
		l := fitterOf(t, merged, side, linearAt("z", "u", "w", "b", "z", 1, 6), src, Options{})
		p := l.problems[0]
		if p.activation == nil {
			t.Fatalf("%s is no activation", activation)
		}
		for _, pair := range []pairWalk{l.fit, l.held} {
			if err := pair.walk.advance(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		systems, err := l.fit.normals(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		const lambda = 1e-2
		tries, kept, err := l.tries(p, systems, 1, []float64{lambda})
		if err != nil {
			t.Fatal(err)
		}
		if kept == nil {
			t.Fatal("the decompositions are not kept")
		}
		if k%2 == 1 { // decomposed again, as of wide nodes
			kept = nil
		}
		solvers, err := l.solversOf(systems, kept, []float64{lambda}, lambda)
		if err != nil {
			t.Fatal(err)
		}
		at := tries[1]
		slope := func() float64 {
			sums, err := l.fit.activatedSums(t.Context(), p, corrected(mustWeights(t, p, merged), at, p), systems)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := sums[0].centred()
			ridge, largest := lambda*s.trace()/float64(p.d), 0.0
			for i := range p.o {
				for j := range p.d + 1 {
					g := sums[0].rx[i*(p.d+1)+j] / sums[0].n
					if j < p.d {
						g -= ridge * at[0].w.row(i)[j]
					}
					largest = max(largest, math.Abs(g))
				}
			}
			return largest
		}
		first, start := slope(), at
		for range 30 {
			steps, err := l.activatedFit(t.Context(), p, systems, solvers, at)
			if err != nil {
				t.Fatal(err)
			}
			at = steps[len(steps)-1]
		}
		errors, err := l.held.judge(t.Context(), p, [][]*correction{start, at}) // on the samples that were fitted
		if err != nil {
			t.Fatal(err)
		}
		if errors[1][0] > 0.99*errors[0][0] {
			t.Errorf("%s: the error behind it is %.4g, by least squares %.4g", activation, errors[1][0], errors[0][0])
		}
		if last := slope(); first < 1e-3 || last > 3e-2*first {
			t.Errorf("%s: the slope is %.2g after least squares and %.2g after 60 steps", activation, first, last)
		}
	}
}

func mustWeights(t *testing.T, p *problem, m *onnx.Model) []float32 {
	t.Helper()
	w, err := p.weights(m)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestActivatedFitsDoBetter: what comes out behind a ReLU is nearer to the source for fitting it within bounds.
func TestActivatedFitsDoBetter(t *testing.T) {
	errorOf := func(activation string) (float64, Fit) {
		side := onnxtest.Build(t, fmt.Sprintf(blind, 8, 1, 2, "Relu(z)"))
		merged := onnxtest.Build(t, fmt.Sprintf(blind, 5, 4, 5, activation))
		nodes := []Linear{linearAt("z", "u", "w", "b", "z", 1, 6)}
		fits := fitAll(t, merged, side, nodes, tensors{"x", onnxtest.RandomBetween(7, -1, 1, onnx.Float, 300, 8)},
			tensors{"x", onnxtest.RandomBetween(8, -1, 1, onnx.Float, 100, 8)}, Options{})
		return outputError(t, merged, side, tensors{"x", onnxtest.RandomBetween(9, -1, 1, onnx.Float, 500, 8)}), fits[0]
	}
	within, f := errorOf("Relu(z)")
	plain, g := errorOf("PRelu(z, zero)\nzero = init f32[] {0}") // the same function, in a form that is not looked through
	if !f.Activated || g.Activated || within > 0.99*plain {
		t.Errorf("errors behind the ReLU: %.4g behind it (%v), %.4g without (%v)", within, f.Activated, plain, g.Activated)
	}
}

func TestActivationOf(t *testing.T) {
	for _, c := range []struct{ readers, out, ops string }{
		{"y = Relu(z)\noutput y", "y", "Relu"},
		{"y = Clip(z, low, high)\noutput y", "y", "Clip"},
		{"y = Clip(z, _, high)\noutput y", "y", "Clip"},
		{"s = Sigmoid(z)\ny = Mul(z, s)\nv = Neg(y)\noutput v", "y", "Sigmoid Mul"},
		{"d = Div(z, high)\ne = Erf(d)\na = Add(e, low)\nm = Mul(z, a)\ny = Mul(m, high)\noutput y", "m", "Div Erf Add Mul"},
		{"a = Relu(z)\nb = Tanh(z)\ny = Mul(a, b)\noutput y", "y", "Relu Tanh Mul"},
		{"a = Mul(z, high)\ny = Relu(a)\noutput y", "y", "Mul Relu"},
		{"y = Relu(z)\nv = Neg(z)\noutput y\noutput v", "", ""},     // two ways out
		{"y = Relu(z)\noutput y\noutput z", "", ""},                 // read as it is
		{"y = Mul(z, high)\noutput y", "", ""},                      // linear
		{"y = Mul(z, x)\noutput y", "", ""},                         // by something else
		{"y = PRelu(z, slopes)\noutput y", "", ""},                  // by channel
		{"y = Softmax(z)\noutput y", "", ""},                        // not by element
		{"s = Sigmoid(z)\ny = Mul(x, s)\noutput y", "s", "Sigmoid"}, // a gate for something else
	} {
		m := onnxtest.Build(t, "opset 17\ninput x f32[N,4]\nlow = init f32[] {-0.5}\nhigh = init f32[] {6}\nslopes = init f32[4] random(1)\nz = Neg(x)\n"+c.readers)
		ix, err := onnx.NewIndex(m.Graph())
		if err != nil {
			t.Fatal(err)
		}
		got := activationOf(ix, "z")
		if got == nil {
			got = &activation{}
		}
		var ops []string
		for _, n := range got.nodes {
			ops = append(ops, n.GetOpType())
		}
		if got.out != c.out || strings.Join(ops, " ") != c.ops {
			t.Errorf("%q: %v to %q, want %s to %q", c.readers, ops, got.out, c.ops, c.out)
		}
	}
}
