package rewrite

import (
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

const shared = `
	input x f32[N,2]
	w = init f32[2,2] random(1)
	c = init f32[2] random(2)
	a = Gemm(x, w, c)
	b = Gemm(a, w, c)
	y = Add(b, c)
	output y f32[N,2]`

func TestUnshare(t *testing.T) {
	checkPass(t, "unshare", []passTest{
		{
			name: "a copy for each reader", model: shared,
			want:  "a = Gemm(x, w, c)\nb = Gemm(a, w_2, c_2)\ny = Add(b, c_3)",
			kinds: map[string]int{"copies made": 3},
		},
		{
			name: "one node that reads twice, and an output",
			model: `
				input x f32[2]
				w = init f32[2] random(1)
				a = Clip(x, w2, w2)
				w2 = init f32[] {0.5}
				y = Mul(a, w)
				output y f32[2]
				output w f32[2]`,
			want:  "a = Clip(x, w2, w2_2)\ny = Mul(a, w_2)",
			kinds: map[string]int{"copies made": 2},
		},
	})
}

func TestTiedMatrixIsNoted(t *testing.T) {
	m := onnxtest.Build(t, `
		input ids i64[N]
		table = init f32[20,4] random(1)
		x = Gather(table, ids) {axis=0}
		t = Transpose(table) {perm=[1,0]}
		y = MatMul(x, t)
		output y f32[N,20]`)
	after, log, err := Canonicalize(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Graph().Initializer) != 1 || log.Changes("unshare") != 0 {
		t.Errorf("%s", onnxtest.Dump(after))
	}
	if want := "unshare: 0; \"table\" stays shared: it is both a table of embeddings and a matrix\n"; log.String() != want {
		t.Errorf("log %q, want %q", log.String(), want)
	}
}

func TestShareAgain(t *testing.T) {
	m := onnxtest.Build(t, shared)
	apart, _ := runPass(t, "unshare", m)
	n, err := ShareAgain(apart)
	if err != nil || n != 3 {
		t.Fatalf("%d shared again, want 3 (%v)", n, err)
	}
	if nodeLines(apart) != nodeLines(m) || len(apart.Graph().Initializer) != 2 {
		t.Errorf("not the model it was:\n%s", onnxtest.Dump(apart))
	}
}

func TestShareAgainKeepsWhatHasANameOrAnotherType(t *testing.T) {
	m := onnxtest.Build(t, `
		input x f32[2]
		a = init f32[2] {1, 2}
		b = init f32[2] {1, 2}
		c = init f32[2,1] {1, 2}
		d = init i32[2] {1065353216, 1073741824}
		unread = init f32[2] {1, 2}
		p = Add(x, a)
		q = Add(p, b)
		r = Add(q, c)
		s = Cast(d) {to=1}
		y = Add(r, s)
		output y f32[2,2]
		output b f32[2]`)
	if n, err := ShareAgain(m); n != 0 || err != nil {
		t.Errorf("%d shared (%v):\n%s", n, err, onnxtest.Dump(m))
	}
}

// TestShareAgainReadsTypedFields: the same numbers in raw_data and float_data are the same bytes.
func TestShareAgainReadsTypedFields(t *testing.T) {
	m := onnxtest.Build(t, shared)
	apart, _ := runPass(t, "unshare", m)
	for _, p := range apart.Graph().Initializer {
		if p.GetName() == "w" {
			tensor, err := onnx.TensorOf(p)
			if err != nil {
				t.Fatal(err)
			}
			p.FloatData, err = tensor.Float32s()
			if p.RawData = nil; err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := ShareAgain(apart); n != 3 || err != nil {
		t.Errorf("%d shared again, want 3 (%v)", n, err)
	}
}
