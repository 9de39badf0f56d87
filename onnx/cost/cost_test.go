package cost

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/shape"
)

// builder makes small models: weights are declared by their dims only, since no test here reads them.
type builder struct{ graph *onnx.Graph }

func newBuilder() *builder { return &builder{&onnx.Graph{}} }

func (b *builder) input(name string, dims ...onnx.Dim) *builder {
	b.graph.Input = append(b.graph.Input, onnx.NewValueInfo(name, onnx.Float, dims))
	return b
}

func (b *builder) weight(name string, dims ...int64) *builder {
	return b.constant(name, onnx.Float, dims...)
}

func (b *builder) constant(name string, dtype onnx.DType, dims ...int64) *builder {
	b.graph.Initializer = append(b.graph.Initializer, onnx.NewTensor(dtype, dims...).Proto(name))
	return b
}

func (b *builder) node(op, out string, inputs []string, attrs ...*onnx.Attribute) *builder {
	b.graph.Node = append(b.graph.Node, onnx.NewNode(op, out, inputs, []string{out}, attrs...))
	return b
}

func (b *builder) model() *onnx.Model {
	version := int64(18)
	return &onnx.Model{Proto: &onnx.ModelProto{Graph: b.graph, OpsetImport: []*onnx.OpsetID{{Version: &version}}}}
}

func in(names ...string) []string { return names }

func mustCost(t *testing.T, m *onnx.Model) Report {
	t.Helper()
	r, err := AtBatch(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNodes(t *testing.T) {
	image, tokens := onnx.Static(1, 6, 8, 8), onnx.Static(1, 5, 12)
	conv := func(attrs ...*onnx.Attribute) *builder {
		return newBuilder().input("x", image...).weight("w", 4, 3, 3, 3).weight("b", 4).
			node("Conv", "y", in("x", "w", "b"), append(attrs, onnx.Int("group", 2))...)
	}
	tests := []struct {
		name          string
		b             *builder
		flops, params int64
	}{
		{"grouped Conv, 6x6 positions", conv(), 2 * (4 * 6 * 6) * (3 * 9), 4*27 + 4},
		{"padded Conv, stride 2", conv(onnx.Ints("pads", 1, 1, 1, 1), onnx.Ints("strides", 2, 2)),
			2 * (4 * 4 * 4) * (3 * 9), 4*27 + 4},
		{"depthwise Conv", newBuilder().input("x", image...).weight("w", 6, 1, 3, 3).
			node("Conv", "y", in("x", "w"), onnx.Int("group", 6)), 2 * (6 * 6 * 6) * 9, 54},
		{"ConvTranspose doubles 8x8", newBuilder().input("x", image...).weight("w", 6, 4, 2, 2).
			node("ConvTranspose", "y", in("x", "w"), onnx.Ints("strides", 2, 2)), 2 * (6 * 8 * 8) * (4 * 4), 96},
		{"Gemm", newBuilder().input("x", onnx.Static(3, 7)...).weight("w", 5, 7).weight("b", 5).
			node("Gemm", "y", in("x", "w", "b"), onnx.Int("transB", 1)), 2 * 3 * 5 * 7, 40},
		{"Gemm with factors, transposed", newBuilder().input("x", onnx.Static(7, 3)...).weight("w", 7, 5).weight("b", 5).
			node("Gemm", "y", in("x", "w", "b"), onnx.Int("transA", 1), onnx.FloatAttr("alpha", .5), onnx.FloatAttr("beta", 2)),
			2*3*5*7 + 15 + 15, 40},
		{"MatMul of tokens", newBuilder().input("x", tokens...).weight("w", 12, 4).
			node("MatMul", "y", in("x", "w")), 2 * 5 * 4 * 12, 48},
		{"MatMul of two vectors", newBuilder().input("x", onnx.Static(9)...).weight("w", 9).
			node("MatMul", "y", in("x", "w")), 18, 9},
		{"Einsum of a batch", newBuilder().input("x", tokens...).weight("w", 12, 4).
			node("Einsum", "y", in("x", "w"), onnx.StringAttr("equation", "bij,jk->bik")), 2 * 5 * 4 * 12, 48},
		{"Einsum with an ellipsis", newBuilder().input("x", tokens...).weight("w", 12, 4).
			node("Einsum", "y", in("x", "w"), onnx.StringAttr("equation", "...j,jk->...k")), 2 * 5 * 4 * 12, 48},
		{"Einsum without a sum", newBuilder().input("x", onnx.Static(3)...).weight("w", 4).
			node("Einsum", "y", in("x", "w"), onnx.StringAttr("equation", "i,j->ij")), 12, 4},
		{"LSTM, 5 steps", newBuilder().input("x", onnx.Static(5, 1, 3)...).weight("w", 1, 8, 3).weight("r", 1, 8, 2).
			node("LSTM", "y", in("x", "w", "r"), onnx.Int("hidden_size", 2)), 2 * 5 * (8*3 + 8*2), 40},
		{"Relu", newBuilder().input("x", image...).node("Relu", "y", in("x")), 6 * 64, 0},
		{"Add", newBuilder().input("x", image...).weight("b", 6, 1, 1).node("Add", "y", in("x", "b")), 6 * 64, 6},
		{"Sum of three", newBuilder().input("x", image...).node("Sum", "y", in("x", "x", "x")), 2 * 6 * 64, 0},
		{"BatchNormalization", newBuilder().input("x", image...).weight("s", 6).weight("b", 6).weight("m", 6).weight("v", 6).
			node("BatchNormalization", "y", in("x", "s", "b", "m", "v")), 2 * 6 * 64, 24},
		{"MaxPool 3x3, stride 2", newBuilder().input("x", image...).
			node("MaxPool", "y", in("x"), onnx.Ints("kernel_shape", 3, 3), onnx.Ints("strides", 2, 2)), 6 * 9 * 9, 0},
		{"GlobalAveragePool", newBuilder().input("x", image...).node("GlobalAveragePool", "y", in("x")), 6 * 64, 0},
		{"Clip's bounds are no parameters", newBuilder().input("x", image...).weight("low").weight("high").
			node("Clip", "y", in("x", "low", "high")), 2 * 6 * 64, 0},
		{"Reshape's target is no parameter", newBuilder().input("x", image...).constant("to", onnx.Int64, 4).
			node("Reshape", "y", in("x", "to")), 0, 0},
		{"GridSample", newBuilder().input("x", image...).weight("grid", 1, 5, 5, 2).
			node("GridSample", "y", in("x", "grid")), 7 * 6 * 25, 50},
		{"a bicubic GridSample", newBuilder().input("x", image...).weight("grid", 1, 5, 5, 2).
			node("GridSample", "y", in("x", "grid"), onnx.StringAttr("mode", "bicubic")), 31 * 6 * 25, 50},
		{"GridSample of the nearest", newBuilder().input("x", image...).weight("grid", 1, 5, 5, 2).
			node("GridSample", "y", in("x", "grid"), onnx.StringAttr("mode", "nearest")), 0, 50},
		{"LRN over 5", newBuilder().input("x", image...).node("LRN", "y", in("x"), onnx.Int("size", 5)), 14 * 6 * 64, 0},
		{"what no input reaches is free", newBuilder().input("x", image...).weight("w", 6, 1, 1).weight("s", 6, 1, 1).
			node("Mul", "ws", in("w", "s")).node("Add", "y", in("x", "ws")), 6 * 64, 12},
		{"a shared weight counts once", newBuilder().input("x", onnx.Static(1, 4)...).weight("w", 4, 4).
			node("MatMul", "h", in("x", "w")).node("MatMul", "y", in("h", "w")), 64, 16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := mustCost(t, test.b.model())
			if r.FLOPs != test.flops || r.Params != test.params || len(r.Unknown) > 0 {
				t.Errorf("%d FLOPs, %d parameters, unknown %v; want %d, %d", r.FLOPs, r.Params, r.Unknown, test.flops, test.params)
			}
		})
	}
}

// TestResNet20 builds the network of He et al. (2016) for CIFAR-10 with folded BatchNorms: 40.55 million
// multiply-accumulates; 269,722 parameters with scale and shift of the BatchNorms, less the 688 scales.
func TestResNet20(t *testing.T) {
	b := newBuilder().input("x", onnx.Dim{Size: -1, Param: "batch"}, onnx.Dim{Size: 3}, onnx.Dim{Size: 32}, onnx.Dim{Size: 32})
	channels, value, number := int64(3), "x", 0
	conv := func(width, stride int64) {
		number++
		name := "conv" + string(rune('a'+number))
		b.weight(name+"_w", width, channels, 3, 3).weight(name+"_b", width)
		b.node("Conv", name, in(value, name+"_w", name+"_b"), onnx.Ints("pads", 1, 1, 1, 1), onnx.Ints("strides", stride, stride))
		channels, value = width, name
	}
	conv(16, 1)
	for stage, width := range []int64{16, 32, 64} {
		for k := range 6 {
			stride := int64(1)
			if stage > 0 && k == 0 {
				stride = 2
			}
			conv(width, stride)
		}
	}
	b.node("GlobalAveragePool", "pool", in(value)).node("Flatten", "flat", in("pool"))
	b.weight("fc_w", 10, 64).weight("fc_b", 10).node("Gemm", "y", in("flat", "fc_w", "fc_b"), onnx.Int("transB", 1))
	r := mustCost(t, b.model())
	if want := int64(2*40_551_040 + 64*8*8); r.FLOPs != want {
		t.Errorf("%d FLOPs, want %d", r.FLOPs, want)
	}
	if want := int64(269_722 - 688); r.Params != want {
		t.Errorf("%d parameters, want %d", r.Params, want)
	}
}

// TestRealModels compares with PyTorch's own count (manifest.json) and with a count by hand.
func TestRealModels(t *testing.T) {
	tests := []struct {
		file          string
		params, flops int64
	}{
		// three hidden nodes of 128 with a Relu each
		{"fmnist_mlp_a", 134_149, 2*(784*128+128*128*2+128*5) + 3*128},
		{"fmnist_resnet20_a", 1_081_797, resnet20(28, 1, 32, 5)},
		{"fmnist_vgg_a", 109_045, -1},
		{"fmnist_frozen_b", 77_093, -1},
	}
	for _, test := range tests {
		m, err := onnx.Load("../../testdata/models/" + test.file + ".onnx")
		if err != nil {
			t.Fatal(err)
		}
		r := mustCost(t, m)
		if r.Params != test.params || test.flops >= 0 && r.FLOPs != test.flops || len(r.Unknown) > 0 {
			t.Errorf("%s: %d parameters, %d FLOPs, unknown %v; want %d, %d", test.file, r.Params, r.FLOPs, r.Unknown, test.params, test.flops)
		}
		var flops, params int64
		for _, n := range m.Graph().GetNode() {
			c, ok := r.Node(n)
			if !ok {
				t.Fatalf("%s: no cost of %s", test.file, onnx.NodeName(n))
			}
			flops, params = flops+c.FLOPs, params+c.Params
		}
		if flops != r.FLOPs || params != r.Params {
			t.Errorf("%s: the nodes add up to %d FLOPs and %d parameters", test.file, flops, params)
		}
	}
}

// resnet20 counts the FLOPs of a ResNet-20 for square images, with 1x1 convolutions as shortcuts.
func resnet20(side, channels, width, classes int64) int64 {
	area := func(s int64) int64 { return s * s }
	flops := 2*area(side)*width*channels*9 + area(side)*width // the stem and its Relu
	in := width
	for stage := range 3 {
		if stage > 0 {
			side = (side + 1) / 2
			width *= 2
		}
		out := area(side) * width
		flops += 2 * out * 9 * (in + 5*width) // convolutions
		flops += out * 3 * (1 + 1 + 1)        // two Relus and an Add in each of three blocks
		if stage > 0 {
			flops += 2 * out * in
		}
		in = width
	}
	return flops + area(side)*width + 2*width*classes // pool and classifier
}

func TestUnknown(t *testing.T) {
	foreign := newBuilder().input("x", onnx.Static(2, 3)...).node("Frobnicate", "h", in("x")).node("Relu", "y", in("h")).
		node("Abs", "z", in("x"))
	foreign.graph.Node[0].Domain = &[]string{"org.example"}[0]
	m := foreign.model()
	r := mustCost(t, m)
	if r.FLOPs != 6 {
		t.Errorf("%d FLOPs, want those of Abs only", r.FLOPs)
	}
	want := []Uncounted{
		{"h", "org.example.Frobnicate", "there is no rule for this operator"},
		{"y", "Relu", `the shape of "y" is not known`},
	}
	if len(r.Unknown) != 2 || r.Unknown[0] != want[0] || r.Unknown[1] != want[1] {
		t.Errorf("unknown: %v", r.Unknown)
	}
	if _, ok := r.Node(&onnx.Node{}); ok {
		t.Error("a foreign node has a cost")
	}
}

// TestDamaged: nodes that contradict themselves are listed, and nothing panics.
func TestDamaged(t *testing.T) {
	vector := shape.Value{HasRank: true, Dims: []shape.Dim{{Size: 4}}}
	shapes := shape.Shapes{"x": vector, "w": vector, "y": vector}
	einsum := func(equation string) *onnx.Attribute { return onnx.StringAttr("equation", equation) }
	tests := []struct {
		node *onnx.Node
		why  string
	}{
		{onnx.NewNode("Conv", "n", in("x", "w"), in("y")), `the rank of "w" is below 3`},
		{onnx.NewNode("Conv", "n", in("x"), in("y")), "input 1 is missing"},
		{onnx.NewNode("LSTM", "n", in("x", "", "w"), in("y")), `the rank of "x" is below 3`},
		{onnx.NewNode("MatMul", "n", nil, nil), "input 0 is missing"},
		{onnx.NewNode("Relu", "n", in("x"), nil), "there is no output"},
		{onnx.NewNode("Einsum", "n", in("x", "w"), in("y"), einsum("i->i")), "the equation has 1 terms for 2 inputs"},
		{onnx.NewNode("Einsum", "n", in("x"), in("y"), einsum("ij->i")), `the term "ij" does not fit the rank 1`},
		{onnx.NewNode("Einsum", "n", in("z"), in("y"), einsum("->")), `the shape of "z" is not known`},
	}
	for _, test := range tests {
		if count, why := flops(test.node, shapes); count != 0 || why != test.why {
			t.Errorf("%s: %d, %q; want %q", test.node.GetOpType(), count, why, test.why)
		}
	}
}

func TestContrib(t *testing.T) {
	m := newBuilder().input("x", onnx.Static(1, 4)...).node("QuickGelu", "y", in("x")).model()
	m.Graph().Node[0].Domain = &[]string{"com.microsoft"}[0]
	if r := mustCost(t, m); r.FLOPs != 20 || r.Nodes[0].Op != "com.microsoft.QuickGelu" {
		t.Errorf("%+v", r)
	}
}

func TestTimes(t *testing.T) {
	if got := times(1<<40, 1<<40, 3); got != math.MaxInt64 {
		t.Errorf("overflow: %d", got)
	}
	if got := times(1<<40, 1<<40, 0); got != 0 {
		t.Errorf("nothing: %d", got)
	}
	if got := plus(math.MaxInt64, 1); got != math.MaxInt64 {
		t.Errorf("sum: %d", got)
	}
}

func TestBind(t *testing.T) {
	open := func(name string) onnx.Dim { return onnx.Dim{Size: -1, Param: name} }
	b := newBuilder().
		input("image", open("batch"), onnx.Dim{Size: 3}, open("height"), open("")).
		input("mask", open("batch"), open("height"), open("batch")).
		input("fixed", onnx.Dim{Size: 4}, open("tokens")).
		node("Relu", "y", in("image"))
	dims, err := Bind(b.model(), 2)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]int64{"image": {2, 3, DefaultPixels, DefaultPixels}, "mask": {2, DefaultPixels, 2}, "fixed": {4, DefaultTokens}}
	for name, w := range want {
		if got := dims[name]; !slices.Equal(got, w) {
			t.Errorf("%s: %v, want %v", name, got, w)
		}
	}
	if _, err := shape.Infer(b.model(), shape.Options{InputDims: dims}); err != nil {
		t.Errorf("the inference refuses it: %v", err)
	}
}
