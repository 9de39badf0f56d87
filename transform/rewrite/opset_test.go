package rewrite

import (
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

const resizing = "input x f32[1,2,4,4]\ns = init f32[4] {1, 1, 2, 2}\n"

// raiseTests are models of one operator whose form changed; the raised one must compute the same.
var raiseTests = []struct {
	name, model string
	to          int64
	want        string // a part of the raised nodes
}{
	{"squeeze", "opset 11\ninput x f32[2,1,3,1]\ny = Squeeze(x) {axes=[1,-1]}\noutput y", 13, "y = Squeeze(x, y_axes)"},
	{"squeeze all", "opset 11\ninput x f32[2,1,3,1]\ny = Squeeze(x)\noutput y", 23, "y = Squeeze(x)"},
	{"unsqueeze", "opset 11\ninput x f32[2,3]\ny = Unsqueeze(x) {axes=[0,3]}\noutput y", 21, "y = Unsqueeze(x, y_axes)"},
	{"split", "opset 11\ninput x f32[2,5]\ny, z = Split(x) {axis=1, split=[2,3]}\noutput y\noutput z", 18, "y, z = Split(x, y_split) {axis=1}"},
	{"split evenly", "opset 13\ninput x f32[2,6]\ny, z = Split(x) {axis=1}\noutput y\noutput z", 18, "num_outputs=2"},
	{"sum", "opset 11\ninput x f32[2,5,3]\ny = ReduceSum(x) {axes=[1], keepdims=0}\noutput y", 13, "y = ReduceSum(x, y_axes) {keepdims=0}"},
	{"sum of all", "opset 11\ninput x f32[2,5]\ny = ReduceSum(x)\noutput y", 13, "y = ReduceSum(x)"},
	{"mean", "opset 13\ninput x f32[2,5,3]\ny = ReduceMean(x) {axes=[-1]}\noutput y", 18, "y = ReduceMean(x, y_axes)"},
	{"max", "opset 11\ninput x f32[2,5,3]\ny = ReduceMax(x) {axes=[0,2]}\noutput y", 20, "y = ReduceMax(x, y_axes)"},
	{"norm", "opset 11\ninput x f32[2,5,3]\ny = ReduceL2(x) {axes=[1]}\noutput y", 18, "y = ReduceL2(x, y_axes)"},
	{"clip", "opset 9\ninput x f32[2,5]\ny = Clip(x) {min=-0.1, max=0.2}\noutput y", 13, "y = Clip(x, y_min, y_max)"},
	{"clip above", "opset 9\ninput x f32[2,5]\ny = Clip(x) {max=0.2}\noutput y", 11, "y = Clip(x, _, y_max)"},
	{"clip nothing", "opset 9\ninput x f32[2,5]\ny = Clip(x)\noutput y", 11, "y = Clip(x)"},
	{"pad", "opset 10\ninput x f32[2,5]\ny = Pad(x) {pads=[0,1,0,2], value=0.5}\noutput y", 18, "y = Pad(x, y_pads, y_value)"},
	{"pad reflected", "opset 10\ninput x f32[2,5]\ny = Pad(x) {mode=\"reflect\", pads=[0,1,0,2]}\noutput y", 13, "y = Pad(x, y_pads) {mode=\"reflect\"}"},
	{"slice", "opset 9\ninput x f32[4,5]\ny = Slice(x) {axes=[1], starts=[1], ends=[-1]}\noutput y", 13, "y = Slice(x, y_starts, y_ends, y_axes)"},
	{"top", "opset 9\ninput x f32[4,5]\ny, i = TopK(x) {axis=1, k=3}\noutput y\noutput i", 11, "y, i = TopK(x, y_k) {axis=1}"},
	{"dropout", "opset 9\ninput x f32[4,5]\ny = Dropout(x) {ratio=0.3}\noutput y", 13, "y = Dropout(x)"},
	{"softmax of the last axis", "opset 11\ninput x f32[2,3,4]\ny = Softmax(x) {axis=2}\noutput y", 13, "y = Softmax(x) {axis=2}"},
	{"softmax counted from behind", "opset 11\ninput x f32[?,?,?]\ny = Softmax(x) {axis=-1}\noutput y", 13, "y = Softmax(x) {axis=-1}"},
	{"softmax before ones", "opset 11\ninput x f32[2,3,1,1]\ny = Softmax(x) {axis=1}\noutput y", 13, "y = Softmax(x) {axis=1}"},
	{"softmax by default", "opset 9\ninput x f32[2,3,4]\ny = Softmax(x)\noutput y", 13, "y_rows = Softmax(y_flat) {axis=1}"},
	{"log softmax flattened", "opset 12\ninput x f32[N,3,4,5]\ny = LogSoftmax(x) {axis=2}\noutput y", 17, "y = Reshape(y_rows, y_dims)"},
	{"hardmax flattened", "opset 11\ninput x f32[2,3,4]\ny = Hardmax(x) {axis=0}\noutput y", 13, "y_flat = Flatten(x) {axis=0}"},
	{"upsample nearest", "opset 9\n" + resizing + "y = Upsample(x, s) {mode=\"nearest\"}\noutput y", 13, "y = Resize(x, _, s)"},
	{"upsample linear", "opset 9\n" + resizing + "y = Upsample(x, s) {mode=\"linear\"}\noutput y", 18, "asymmetric"},
	{"resize", "opset 10\n" + resizing + "y = Resize(x, s) {mode=\"nearest\"}\noutput y", 11, "y = Resize(x, y_roi, s)"},
	{"resize to sizes", "opset 11\ninput x f32[1,2,4,4]\nr = init f32[0] {}\nc = init f32[0] {}\ns = init i64[4] {1, 2, 6, 6}\n" +
		"y = Resize(x, r, c, s) {coordinate_transformation_mode=\"align_corners\", mode=\"linear\"}\noutput y", 19, "y = Resize(x, _, _, s)"},
	{"batch normalization", "opset 9\ninput x f32[2,3,4]\ng = init f32[3] random(1)\nb = init f32[3] random(2)\nm = init f32[3] random(3)\n" +
		"v = init f32[3] random(4, 0.5, 2)\ny = BatchNormalization(x, g, b, m, v)\noutput y", 15, "BatchNormalization"},
	{"group normalization", "opset 18\ninput x f32[2,4,3]\ng = init f32[2] random(1)\nb = init f32[2] random(2)\n" +
		"y = GroupNormalization(x, g, b) {num_groups=2}\noutput y", 21, "y = GroupNormalization(x, g_channels, b_channels)"},
	{"grid sample", "opset 16\ninput x f32[1,2,4,4]\ninput g f32[1,3,3,2]\ny = GridSample(x, g) {mode=\"bilinear\"}\noutput y", 20, "mode=\"linear\""},
	{"average", "opset 11\ninput x f32[1,2,5,5]\ny = AveragePool(x) {ceil_mode=1, kernel_shape=[2,2], strides=[2,2]}\noutput y", 22, "AveragePool"},
	{"average with pads", "opset 11\ninput x f32[1,2,5,5]\ny = AveragePool(x) {count_include_pad=1, kernel_shape=[2,2], pads=[1,1,1,1], strides=[2,2]}\noutput y", 22, "AveragePool"},
	{"depth to space", "opset 9\ninput x f32[1,8,2,2]\ny = DepthToSpace(x) {blocksize=2}\noutput y", 13, "DepthToSpace"},
	{"shape", "opset 11\ninput x f32[2,3]\ns = Shape(x)\ny = Reshape(x, s)\noutput y", 21, "Reshape"},
}

func TestRaiseKeepsOutputs(t *testing.T) {
	for _, c := range raiseTests {
		t.Run(c.name, func(t *testing.T) {
			before := onnxtest.Build(t, c.model)
			after, err := Raise(before, c.to)
			if err != nil {
				t.Fatal(err)
			}
			if got := nodeLines(after); !strings.Contains(got, c.want) {
				t.Errorf("nodes:\n%s\nwant among them: %s", got, c.want)
			}
			if after.Opset("") != c.to {
				t.Errorf("opset %d", after.Opset(""))
			}
			feeds := onnxtest.Feeds(before, 7, map[string]int64{"N": 2})
			sameOutputs(t, before, after, feeds)
			canonical, _, err := Canonicalize(after)
			if err != nil {
				t.Fatal(err)
			}
			sameOutputs(t, before, canonical, feeds)
		})
	}
}

func TestRaiseRefuses(t *testing.T) {
	for _, c := range []struct {
		name, model string
		to          int64
		want        string
	}{
		{"shrinking nearest", "opset 10\ninput x f32[1,1,4,4]\ns = init f32[4] {1, 1, 0.5, 0.5}\ny = Resize(x, s) @up\noutput y", 13, `node "up": opset 10 cannot be raised to 13: Resize changed`},
		{"dropped mode", "opset 11\ninput x f32[1,1,4,4]\nr = init f32[0] {}\ns = init f32[4] {1, 1, 2, 2}\n" +
			"y = Resize(x, r, s) {coordinate_transformation_mode=\"tf_half_pixel_for_nn\"}\noutput y", 13, "tf_half_pixel_for_nn are gone"},
		{"averaged pads", "opset 13\ninput x f32[1,1,4,4]\ny = AveragePool(x) {ceil_mode=1, count_include_pad=1, kernel_shape=[3,3], pads=[1,1,1,1]}\noutput y", 19, "AveragePool changed with opset 19"},
		{"unknown operator", "opset 13\ninput x f32[1,1,4,4]\ny = Frobnicate(x) @f\noutput y", 18, `node "f"`},
		{"too old", "opset 8\ninput x f32[1]\ny = Relu(x)\noutput y", 13, "opset 8 cannot be raised to 13"},
		{"too new", "opset 13\ninput x f32[1]\ny = Relu(x)\noutput y", 24, "opset 13 cannot be raised to 24"},
		{"lower", "opset 13\ninput x f32[1]\ny = Relu(x)\noutput y", 11, "none is lowered"},
		{"group of unknown size", "opset 18\ninput x f32[2,C,3]\ng = init f32[2] random(1)\nb = init f32[2] random(2)\ny = GroupNormalization(x, g, b) {num_groups=2}\noutput y", 21, "number of channels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Raise(onnxtest.Build(t, c.model), c.to)
			if err == nil {
				t.Fatal("no error")
			}
			if e := fault.As(err); e.Kind != fault.Unsupported || e.Code != "mixed_opsets" || e.Hint == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %q in it", err, c.want)
			}
		})
	}
}

func TestRaiseLooksIntoSubgraphs(t *testing.T) {
	m := onnxtest.Build(t, "opset 11\ninput x f32[2,1]\ninput c bool[]\ny = If(c)\noutput y")
	n := m.Graph().Node[0]
	for _, name := range []string{"then_branch", "else_branch"} {
		inner := onnxtest.Build(t, "opset 11\nz = Squeeze(x) {axes=[1]}\noutput z").Graph()
		inner.Node[0].Output[0], inner.Output[0] = "z_"+name, onnx.NewValueInfo("z_"+name, onnx.Float, nil)
		branch := onnx.Int(name, 0)
		*branch.Type, branch.I, branch.G = 5, nil, inner // GRAPH
		onnx.SetAttr(n, branch)
	}
	after, err := Raise(m, 13)
	if err != nil {
		t.Fatal(err)
	}
	feeds := onnxtest.Feeds(m, 7, nil)
	sameOutputs(t, m, after, feeds)
}

func TestOpsetTablesDoNotContradict(t *testing.T) {
	for op, list := range changes {
		if sameMeaning[op] {
			t.Errorf("%s changed and did not", op)
		}
		for i, c := range list {
			if c.since <= oldestOpset || c.since > newestOpset || i > 0 && c.since <= list[i-1].since {
				t.Errorf("%s: version %d is out of place", op, c.since)
			}
		}
	}
}
