package adopt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate"
	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// form runs Form on two graphs of one input x, [2, 6] in every probe.
func form(t *testing.T, like, own string) (*onnx.Model, int) {
	t.Helper()
	p := Pair{Like: onnxtest.Build(t, like), Model: onnxtest.Build(t, own), Inputs: map[string]string{"x": "x"}}
	var probes []Probe
	for seed := range int64(2) {
		feeds := map[string]*onnx.Tensor{"x": onnxtest.Random(seed+7, onnx.Float, 2, 6)}
		probes = append(probes, Probe{feeds, feeds})
	}
	m, nodes, err := p.Form(t.Context(), orttest.Engine(t), probes)
	if err != nil {
		t.Fatal(err)
	}
	if m != nil {
		if _, err := onnx.NewIndex(m.Graph()); err != nil {
			t.Fatalf("%v\n%s", err, onnxtest.Dump(m))
		}
	}
	return m, nodes
}

const head = "opset 18\ninput x f32[N,6]\n"

// The weights of the models differ: only their places in the networks say which belong together.
func TestForm(t *testing.T) {
	for _, c := range []struct {
		name, like, own string
		nodes           int
		want            string // the new nodes, in order
	}{
		{name: "another way to multiply", nodes: 3,
			like: "w = init f32[4,6] random(1)\nb = init f32[4] random(2)\nv = init f32[3,4] random(3)\n" +
				"h = Gemm(x, w, b) {transB=1}\nr = Relu(h)\ny = Gemm(r, v) {transB=1}\noutput y",
			own: "w = init f32[6,4] random(11)\nb = init f32[1,4] random(12)\nv = init f32[4,3] random(13)\n" +
				"m = MatMul(x, w)\nh = Add(b, m)\nr = Relu(h)\ny = MatMul(r, v)\noutput y",
			want: "Gemm Relu Gemm"},
		{name: "sums the other way round, and two steps for one", nodes: 4,
			like: "w = init f32[6,6] random(1)\nv = init f32[6,6] random(2)\n" +
				"p = MatMul(x, w)\nq = MatMul(x, v)\nk = Transpose(q) {perm=[1,0]}\ny = MatMul(p, k)\noutput y",
			own: "w = init f32[6,6] random(11)\nv = init f32[6,6] random(12)\none = init i64[1] {0}\n" +
				"p = MatMul(x, w)\nq = MatMul(x, v)\nu = Unsqueeze(q, one)\nk = Transpose(u) {perm=[0,2,1]}\n" +
				"pu = Unsqueeze(p, one)\nyu = MatMul(pu, k)\ny = Squeeze(yu, one)\noutput y",
			want: "MatMul MatMul Transpose MatMul"},
		{name: "another head", nodes: 2,
			like: "w = init f32[4,6] random(1)\nv = init f32[3,4] random(3)\nh = Gemm(x, w) {transB=1}\nr = Relu(h)\ny = Gemm(r, v) {transB=1}\noutput y",
			own:  "w = init f32[6,4] random(11)\nv = init f32[4,5] random(13)\nm = MatMul(x, w)\nr = Relu(m)\ny = MatMul(r, v)\ns = Softmax(y)\noutput s",
			want: "Gemm Relu MatMul Softmax"},
		{name: "one of two outputs", nodes: 2,
			like: "w = init f32[4,6] random(1)\nh = Gemm(x, w) {transB=1}\ny, z = Split(h) {axis=1, num_outputs=2}\noutput y",
			own:  "w = init f32[6,4] random(11)\nm = MatMul(x, w)\ny, z = Split(m) {axis=1, num_outputs=2}\ns = Sigmoid(z)\noutput y\noutput s",
			want: "Gemm Split Sigmoid"},
		{name: "a bound that no probe reaches", nodes: 1,
			like: "w = init f32[4,6] random(1)\nv = init f32[3,4] random(3)\nlow = init f32[] {0}\nhigh = init f32[] {1000}\n" +
				"h = Gemm(x, w) {transB=1}\nr = Clip(h, low, high)\ny = Gemm(r, v) {transB=1}\noutput y",
			own:  "w = init f32[6,4] random(11)\nv = init f32[4,3] random(13)\nm = MatMul(x, w)\nr = Relu(m)\ny = MatMul(r, v)\noutput y",
			want: "Gemm Relu MatMul"},
		{name: "another function", nodes: 0,
			like: "w = init f32[4,6] random(1)\nh = Gemm(x, w) {transB=1}\ny = Relu(h)\noutput y",
			own:  "two = init f32[] {2}\nw = init f32[6,4] random(11)\nd = Mul(x, two)\nm = MatMul(d, w)\ny = Relu(m)\noutput y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, nodes := form(t, head+c.like, head+c.own)
			if nodes != c.nodes || (m != nil) != (c.nodes > 0) {
				t.Fatalf("%d nodes adopted, want %d", nodes, c.nodes)
			}
			if m == nil {
				return
			}
			var ops []string
			for _, n := range m.Graph().GetNode() {
				ops = append(ops, n.GetOpType())
			}
			if got := strings.Join(ops, " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			checkSame(t, onnxtest.Build(t, head+c.own), m)
		})
	}
}

func checkSame(t *testing.T, a, b *onnx.Model) {
	t.Helper()
	e := orttest.Engine(t)
	feeds := map[string]*onnx.Tensor{"x": onnxtest.Random(99, onnx.Float, 5, 6)}
	run := func(m *onnx.Model) map[string]*onnx.Tensor {
		s, err := e.Open(t.Context(), m, calibrate.SessionOptions{})
		if err != nil {
			t.Fatalf("%v\n%s", err, onnxtest.Dump(m))
		}
		defer s.Close()
		out, err := s.Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want, got := run(a), run(b)
	if len(want) != len(got) {
		t.Fatalf("%d outputs, want %d", len(got), len(want))
	}
	for name := range want {
		if d := apart(got[name], want[name]); !(d < 1e-6) {
			t.Errorf("output %q deviates by %.2g", name, d)
		}
	}
}

// The order of weights depends neither on the file's order nor on the order of operands.
func TestWeightsInOrder(t *testing.T) {
	text := head + "w = init f32[6,6] random(1)\nv = init f32[6,6] random(2)\nb = init f32[6] random(3)\nu = init f32[6,5] random(4)\n%s\noutput y"
	orders := []string{
		"p = MatMul(x, w)\nq = Relu(p)\nr = MatMul(q, v)\ns = Add(r, b)\nt = Add(s, p)\ny = MatMul(t, u)",
		"p = MatMul(x, w)\nq = Relu(p)\nr = MatMul(q, v)\ns = Add(b, r)\nt = Add(p, s)\ny = MatMul(t, u)",
	}
	for _, nodes := range orders {
		m := onnxtest.Build(t, fmt.Sprintf(text, nodes))
		slices.Reverse(m.Graph().Node)
		slices.Reverse(m.Graph().Initializer)
		ix, err := onnx.NewIndex(m.Graph())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range weightsOf(ix) {
			got = append(got, w.name+" "+w.key)
		}
		if want := "w matrix[6 6], v matrix[6 6], b vector[6], u matrix[5 6]"; strings.Join(got, ", ") != want {
			t.Errorf("%s, want %s", strings.Join(got, ", "), want)
		}
	}
}

// What one side has more is left out, wherever it stands.
func TestAlign(t *testing.T) {
	side := func(keys string) (all []weight) {
		for i, k := range strings.Fields(keys) {
			all = append(all, weight{name: fmt.Sprint(k, i), key: k})
		}
		return all
	}
	for _, c := range []struct{ a, b, want string }{
		{"m v m v", "m v m v", "m0m0 v1v1 m2m2 v3v3"},
		{"t m v", "m v", "m1m0 v2v1"},
		{"m v m", "m v t m", "m0m0 v1v1 m2m3"},
		{"m", "v", ""},
		{"", "v", ""},
	} {
		var got []string
		for _, p := range align(side(c.a), side(c.b)) {
			got = append(got, p[0].name+p[1].name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q with %q: %v, want %s", c.a, c.b, got, c.want)
		}
	}
}
