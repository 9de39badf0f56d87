package shape_test

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// contradictions are graphs that cannot run, each with words that its error must have.
var contradictions = []struct{ name, text, want string }{
	{"Conv channels", "input x f32[N,3,8,8]\nw = init f32[4,2,3,3] fill(1)\ny = Conv(x, w)", "x [N,3,8,8] and w [4,2,3,3]"},
	{"Conv groups", "input x f32[N,4,8]\nw = init f32[4,4,3] fill(1)\ny = Conv(x, w) {group=2}", "channels: 4 and 8"},
	{"Conv rank", "input x f32[N,3,8]\nw = init f32[4,3,3,3] fill(1)\ny = Conv(x, w)", "x [N,3,8] and w [4,3,3,3]"},
	{"Conv bias", "input x f32[N,3,8]\nw = init f32[4,3,3] fill(1)\nb = init f32[5] fill(1)\ny = Conv(x, w, b)", "b [5] and w [4,3,3]"},
	{"Conv kernel", "input x f32[N,3,8]\nw = init f32[4,3,3] fill(1)\ny = Conv(x, w) {kernel_shape=[5]}", "kernel_shape [5]"},
	{"Conv stride", "input x f32[N,3,8]\nw = init f32[4,3,3] fill(1)\ny = Conv(x, w) {strides=[0]}", "strides [0]"},
	{"Conv pads", "input x f32[N,3,8]\nw = init f32[4,3,3] fill(1)\ny = Conv(x, w) {pads=[1]}", "1 pads for 2"},
	{"Conv larger than its input", "input x f32[N,3,2]\nw = init f32[4,3,5] fill(1)\ny = Conv(x, w)", "[N,4,-1]"},
	{"ConvTranspose channels", "input x f32[N,3,8]\nw = init f32[4,3,3] fill(1)\ny = ConvTranspose(x, w)", "x [N,3,8] and w [4,3,3]"},
	{"Gemm", "input x f32[N,3]\nw = init f32[4,5] fill(1)\ny = Gemm(x, w)", "x [N,3] and w [4,5]"},
	{"Gemm rank", "input x f32[N,3,1]\nw = init f32[3,5] fill(1)\ny = Gemm(x, w)", "rank 2 wanted, got x [N,3,1]"},
	{"Gemm bias", "input x f32[N,3]\nw = init f32[3,5] fill(1)\nb = init f32[3] fill(1)\ny = Gemm(x, w, b)", "b [3] cannot be broadcast to [N,5]"},
	{"MatMul", "input x f32[N,3]\nw = init f32[4,5] fill(1)\ny = MatMul(x, w)", "x [N,3] and w [4,5]"},
	{"MatMul scalar", "input x f32[]\ny = MatMul(x, x)", "scalars"},
	{"Einsum", "input x f32[N,3]\ny = Einsum(x, x) {equation=\"ij,ji->j\"}\ninput z f32[4,3]\nq = Einsum(z, z) {equation=\"ij,ji->j\"}", "'j' is 3 and 4"},
	{"Add", "input x f32[N,3]\nw = init f32[4] fill(1)\ny = Add(x, w)", "[N,3] and [4]"},
	{"PRelu", "input x f32[N,3]\nw = init f32[4] fill(1)\ny = PRelu(x, w)", "w [4] cannot be broadcast to [N,3]"},
	{"BatchNormalization", "input x f32[N,3,4]\nw = init f32[4] fill(1)\ny = BatchNormalization(x, w, w, w, w)", "x [N,3,4] and w [4]"},
	{"LayerNormalization", "input x f32[N,3,4]\nw = init f32[3] fill(1)\ny = LayerNormalization(x, w)", "w [3]"},
	{"MaxPool", "input x f32[N,3,4]\ny = MaxPool(x) {kernel_shape=[2,2]}", "rank 4 wanted"},
	{"MaxPool kernel", "input x f32[N,3,4]\ny = MaxPool(x)", "kernel_shape is missing"},
	{"axis", "input x f32[N,3]\ny = ArgMax(x) {axis=2}", "axis 2 of a tensor of rank 2"},
	{"axis twice", "input x f32[N,3]\ny = ReduceMean(x) {axes=[1,-1]}", "twice"},
	{"TopK", "input x f32[N,3]\nk = init i64[1]{4}\ny, i = TopK(x, k)", "k is 4"},
	{"Reshape", "input x f32[2,3]\ns = init i64[2]{4,2}\ny = Reshape(x, s)", "6 elements"},
	{"Reshape rest", "input x f32[2,3]\ns = init i64[2]{4,-1}\ny = Reshape(x, s)", "does not divide"},
	{"Reshape copies", "input x f32[2,3]\ns = init i64[3]{1,1,0}\ny = Reshape(x, s)", "lacks"},
	{"Reshape twice -1", "input x f32[2,3]\ns = init i64[2]{-1,-1}\ny = Reshape(x, s)", "more than one -1"},
	{"Reshape -2", "input x f32[2,3]\ns = init i64[2]{-2,3}\ny = Reshape(x, s)", "bad target"},
	{"Flatten", "input x f32[2,3]\ny = Flatten(x) {axis=3}", "axis 3"},
	{"Squeeze", "input x f32[2,3]\na = init i64[1]{1}\ny = Squeeze(x, a)", "is not 1"},
	{"Transpose", "input x f32[2,3]\ny = Transpose(x) {perm=[0]}", "perm [0]"},
	{"Tile", "input x f32[2,3]\nr = init i64[1]{2}\ny = Tile(x, r)", "1 repeats"},
	{"DepthToSpace", "input x f32[N,6,2,2]\ny = DepthToSpace(x) {blocksize=2}", "does not divide"},
	{"SpaceToDepth", "input x f32[N,6,2,2]\ny = SpaceToDepth(x)", "blocksize 0"},
	{"Resize", "input x f32[N,6,2,2]\ns = init f32[2]{1,1}\ny = Resize(x, _, s)", "2 entries for 4 axes"},
	{"Resize scale", "input x f32[2,2]\ns = init f32[2]{1,-1}\ny = Resize(x, _, s)", "scales [1 -1]"},
	{"Pad", "input x f32[N,6]\np = init i64[2]{1,1}\ny = Pad(x, p)", "2 pads for 2 axes"},
	{"Pad below zero", "input x f32[N,6]\np = init i64[4]{0,-4,0,-4}\ny = Pad(x, p)", "[N,-2]"},
	{"Concat", "input x f32[N,6]\ninput z f32[N,5]\ny = Concat(x, z) {axis=0}", "6 and 5"},
	{"Concat rank", "input x f32[N,6]\ninput z f32[N]\ny = Concat(x, z) {axis=0}", "z [N]"},
	{"Split", "input x f32[N,6]\ny, z = Split(x) {axis=1}\na, b, c, d = Split(x) {axis=1}", "into 4 parts"},
	{"Split sum", "input x f32[N,6]\ns = init i64[2]{1,2}\ny, z = Split(x, s) {axis=1}", "parts [1 2]"},
	{"Split outputs", "input x f32[N,6]\ns = init i64[1]{6}\ny, z = Split(x, s) {axis=1}", "1 parts for 2"},
	{"Slice", "input x f32[N,6]\ns = init i64[1]{0}\ne = init i64[2]{1,2}\ny = Slice(x, s, e)", "1 starts, 2 ends"},
	{"Slice step", "input x f32[N,6]\ns = init i64[1]{0}\ny = Slice(x, s, s, s, s)", "step 0"},
	{"Gather", "input x f32[N,6]\ni = init i64[1]{6}\ny = Gather(x, i) {axis=1}", "index 6"},
	{"GatherND", "input x f32[N,6]\ni = init i64[1,3] fill(0)\ny = GatherND(x, i)", "x [N,6] at i [1,3]"},
	{"Range", "a = init i64[] fill(0)\ny = Range(a, a, a)", "delta 0"},
	{"LSTM", "input x f32[S,N]\ny = LSTM(x, x, x)", "rank 3 wanted"},
	{"LSTM hidden", "input x f32[S,N,3]\nr = init f32[1,16,4] fill(0)\ny = LSTM(x, r, r) {hidden_size=5}", "hidden_size 5"},
	{"Attention", "opset 23\ninput x f32[S,N]\ny = Attention(x, x, x)", "rank 3 or 4"},
	{"Constant", "y = Constant()", "no value"},
}

func TestContradictions(t *testing.T) {
	for _, c := range contradictions {
		t.Run(c.name, func(t *testing.T) {
			shapes, err := shape.Infer(onnxtest.Build(t, c.text), shape.Options{})
			if err == nil {
				t.Fatalf("no error, but %v", shapes)
			}
			f := fault.As(err)
			if f.Kind != fault.Model || f.Node == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("kind %d, node %q: %v", f.Kind, f.Node, err)
			}
		})
	}
}

func TestNegativeInitializer(t *testing.T) {
	m := onnxtest.Build(t, "w = init f32[2] fill(1)")
	m.Graph().Initializer[0].Dims = []int64{-2}
	if _, err := shape.Infer(m, shape.Options{}); fault.As(err) == nil || fault.As(err).Value != "w" {
		t.Errorf("got %v", err)
	}
}
