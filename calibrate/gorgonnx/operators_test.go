package gorgonnx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// random is a float32 tensor of values in [-2, 2), the same for the same shape.
func random(dims ...int64) *onnx.Tensor {
	r := rand.New(rand.NewPCG(7, uint64(count(dims))))
	v := make([]float32, count(dims))
	for i := range v {
		v[i] = 4*r.Float32() - 2
	}
	return onnx.FromFloat32(v, dims...)
}

// positive is random in [0.1, 2.1).
func positive(dims ...int64) *onnx.Tensor {
	t := random(dims...)
	v, _ := t.Float32s()
	for i := range v {
		v[i] = max(v[i], -v[i]) + 0.1
	}
	return onnx.FromFloat32(v, dims...)
}

func integers(v ...int64) *onnx.Tensor { return onnx.FromInt64(v, int64(len(v))) }
func number(v float32) *onnx.Tensor    { return onnx.FromFloat32([]float32{v}) }

// network makes a model of float32 inputs with open shapes of the feeds' ranks, and initializers.
func network(opset int64, nodes []*onnx.Node, feeds, inits map[string]*onnx.Tensor, outputs ...string) *onnx.Model {
	g := &onnx.Graph{Name: proto.String("test"), Node: nodes}
	for name, t := range feeds {
		dims := make([]onnx.Dim, len(t.Dims))
		for i := range dims {
			dims[i].Size = -1
		}
		g.Input = append(g.Input, onnx.NewValueInfo(name, t.DType, dims))
	}
	for name, t := range inits {
		g.Initializer = append(g.Initializer, t.Proto(name))
	}
	for _, name := range outputs {
		g.Output = append(g.Output, onnx.NewValueInfo(name, onnx.Float, nil))
	}
	return &onnx.Model{File: "test.onnx", Proto: &onnx.ModelProto{
		IrVersion: proto.Int64(7), Graph: g,
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(opset)}},
	}}
}

// single is a model of one node whose first input is fed; the others are initializers, nil ones absent.
func single(opset int64, op string, attrs []*onnx.Attribute, in ...*onnx.Tensor) (*onnx.Model, map[string]*onnx.Tensor) {
	feeds, inits, names := map[string]*onnx.Tensor{}, map[string]*onnx.Tensor{}, []string{}
	for i, t := range in {
		name := fmt.Sprintf("x%d", i)
		switch {
		case t == nil:
			name = ""
		case i == 0:
			feeds[name] = t
		default:
			inits[name] = t
		}
		names = append(names, name)
	}
	node := onnx.NewNode(op, "the_node", names, []string{"y"}, attrs...)
	return network(opset, []*onnx.Node{node}, feeds, inits, "y"), feeds
}

func attrs(a ...*onnx.Attribute) []*onnx.Attribute { return a }

type operatorTest struct {
	opset int64
	op    string
	attrs []*onnx.Attribute
	in    []*onnx.Tensor
}

func tensors(t ...*onnx.Tensor) []*onnx.Tensor { return t }

var (
	kernel33 = onnx.Ints("kernel_shape", 3, 3)
	kernel23 = onnx.Ints("kernel_shape", 2, 3)
	strides2 = onnx.Ints("strides", 2, 2)
	pads1    = onnx.Ints("pads", 1, 1, 1, 1)
	image    = random(2, 3, 7, 6)
)

var operatorTests = []operatorTest{
	{13, "Conv", attrs(pads1), tensors(image, random(4, 3, 3, 3), random(4))},
	{13, "Conv", attrs(kernel33, strides2, onnx.Ints("pads", 1, 0, 1, 0)), tensors(image, random(4, 3, 3, 3))},
	{13, "Conv", attrs(onnx.Ints("pads", 1, 1, 0, 0)), tensors(image, random(4, 3, 2, 2), random(4))},
	{13, "Conv", attrs(onnx.Ints("pads", 0, 1, 2, 0), onnx.Ints("strides", 1, 3)), tensors(image, random(1, 3, 2, 3), random(1))},
	{13, "Conv", attrs(onnx.Ints("dilations", 2, 1)), tensors(image, random(5, 3, 3, 2), random(5))},
	{13, "Conv", attrs(onnx.Int("group", 3), pads1), tensors(image, random(6, 1, 3, 3), random(6))},
	{13, "Conv", attrs(onnx.StringAttr("auto_pad", "SAME_UPPER"), strides2), tensors(image, random(2, 3, 3, 2))},
	{13, "Conv", attrs(onnx.StringAttr("auto_pad", "SAME_LOWER")), tensors(image, random(2, 3, 2, 4))},
	{13, "Conv", attrs(onnx.StringAttr("auto_pad", "VALID")), tensors(random(1, 1, 3, 3), random(1, 1, 3, 3))},
	{13, "Conv", nil, tensors(random(3, 8, 1, 1), random(2, 8, 1, 1), random(2))},
	{13, "MaxPool", attrs(kernel33, strides2, pads1), tensors(image)},
	{13, "MaxPool", attrs(kernel23, onnx.Ints("dilations", 1, 1), onnx.Int("ceil_mode", 0)), tensors(image)},
	{13, "MaxPool", attrs(kernel23, onnx.Ints("pads", 1, 2, 0, 0)), tensors(random(1, 1, 4, 5))},
	{13, "MaxPool", attrs(onnx.Ints("kernel_shape", 2, 2), strides2), tensors(random(2, 3, 9, 8))},
	{13, "AveragePool", attrs(kernel23, strides2), tensors(image)},
	{13, "AveragePool", attrs(kernel33, pads1, onnx.Int("count_include_pad", 1)), tensors(image)},
	{13, "GlobalAveragePool", nil, tensors(image)},
	{13, "GlobalAveragePool", nil, tensors(random(1, 1, 1, 5))},

	{13, "Gemm", attrs(onnx.Int("transB", 1)), tensors(random(3, 4), random(5, 4), random(5))},
	{13, "Gemm", attrs(onnx.Int("transA", 1), onnx.FloatAttr("alpha", 0.5), onnx.FloatAttr("beta", 2)), tensors(random(4, 3), random(4, 5), random(3, 1))},
	{13, "Gemm", nil, tensors(random(1, 4), random(4, 5), random(5))},
	{13, "Gemm", nil, tensors(random(3, 4), random(4, 3), random(1))},
	{13, "Gemm", nil, tensors(random(3, 4), random(4, 3))},
	{13, "MatMul", nil, tensors(random(3, 4), random(4, 2))},
	{13, "MatMul", nil, tensors(random(2, 3, 4), random(4, 2))},
	{13, "BatchNormalization", attrs(onnx.FloatAttr("epsilon", 0.1)), tensors(image, random(3), random(3), random(3), positive(3))},
	{9, "BatchNormalization", nil, tensors(random(1, 3, 2, 2), random(3), random(3), random(3), positive(3))},
	{13, "BatchNormalization", nil, tensors(random(2, 3), random(3), random(3), random(3), positive(3))},
	{13, "BatchNormalization", nil, tensors(random(1, 3, 5), random(3), random(3), random(3), positive(3))},
	{13, "Softmax", nil, tensors(random(3, 5))},
	{13, "Softmax", nil, tensors(random(2, 3, 5))},
	{13, "Softmax", attrs(onnx.Int("axis", 2)), tensors(random(1, 3, 5))},
	{11, "Softmax", nil, tensors(random(2, 3, 5))},
	{11, "Softmax", attrs(onnx.Int("axis", -1)), tensors(random(2, 3, 5))},

	{13, "Add", nil, tensors(random(2, 3, 4), random(3, 1))},
	{13, "Sub", nil, tensors(random(3, 3), random(3))}, // the length fits both axes
	{13, "Mul", nil, tensors(random(1), random(1))},
	{13, "Mul", nil, tensors(random(2, 1, 3), random(1, 4, 1))},
	{13, "Div", nil, tensors(random(2, 3), number(3))},
	{13, "Max", nil, tensors(random(2, 3), random(3), number(0.5))},
	{13, "Min", nil, tensors(random(2, 3), positive(2, 1))},
	{13, "Sum", nil, tensors(random(2, 3), random(3), random(2, 1))},
	{13, "Clip", nil, tensors(random(2, 3), number(-0.5), number(0.5))},
	{13, "Clip", nil, tensors(random(2, 3), nil, number(0.5))},
	{9, "Clip", attrs(onnx.FloatAttr("min", 0), onnx.FloatAttr("max", 1)), tensors(random(2, 3))},

	{13, "Relu", nil, tensors(random(2, 3, 4))},
	{13, "Relu", nil, tensors(random(1, 1))},
	{13, "LeakyRelu", attrs(onnx.FloatAttr("alpha", 0.2)), tensors(random(2, 3))},
	{13, "LeakyRelu", nil, tensors(random(1))},
	{13, "Sigmoid", nil, tensors(random(2, 3))},
	{13, "Tanh", nil, tensors(random(2, 3))},
	{13, "Softplus", nil, tensors(random(2, 3))},
	{13, "Exp", nil, tensors(random(2, 3))},
	{13, "Log", nil, tensors(positive(2, 3))},
	{13, "Sqrt", nil, tensors(positive(2, 3))},
	{13, "Abs", nil, tensors(random(2, 3))},
	{13, "Neg", nil, tensors(random(2, 3))},

	{13, "Identity", nil, tensors(random(2, 3))},
	{9, "Dropout", attrs(onnx.FloatAttr("ratio", 0.5)), tensors(random(2, 3))},
	{13, "Dropout", nil, tensors(random(2, 3), number(0.5))},
	{13, "Reshape", nil, tensors(random(4, 3, 2), integers(0, -1))},
	{13, "Reshape", nil, tensors(random(4, 3, 2), integers(2, 2, 0, 3))},
	{13, "Flatten", nil, tensors(image)},
	{13, "Flatten", attrs(onnx.Int("axis", -1)), tensors(image)},
	{13, "Flatten", attrs(onnx.Int("axis", 0)), tensors(image)},
	{13, "Squeeze", nil, tensors(random(1, 3, 1, 2), integers(0, -2))},
	{11, "Squeeze", nil, tensors(random(1, 3, 1, 2))},
	{13, "Unsqueeze", nil, tensors(random(3, 2), integers(0, 2, -1))},
	{11, "Unsqueeze", attrs(onnx.Ints("axes", 1)), tensors(random(3, 2))},
	{13, "Transpose", nil, tensors(random(2, 3, 4))},
	{13, "Transpose", attrs(onnx.Ints("perm", 0, 3, 1, 2)), tensors(image)},
	{13, "Concat", attrs(onnx.Int("axis", -2)), tensors(random(2, 3, 4), random(2, 1, 4), random(2, 3, 4))},
	{13, "Gather", attrs(onnx.Int("axis", 1)), tensors(image, integers(2, 0, -1, 0))},
	{13, "Gather", attrs(onnx.Int("axis", -1)), tensors(image, onnx.FromInt64([]int64{3}))},
	{13, "Slice", nil, tensors(image, integers(1, -1), integers(1<<40, -1<<63), integers(1, -1), integers(1, -2))},
	{13, "Slice", nil, tensors(image, integers(0, 5), integers(1, 2))},
	{9, "Slice", attrs(onnx.Ints("starts", -2), onnx.Ints("ends", 9), onnx.Ints("axes", 3)), tensors(image)},
	{13, "Shape", nil, tensors(image)},
	{13, "Constant", attrs(onnx.TensorAttr("value", random(2, 3).Proto("v"))), nil},
}

// Each operator alone, against ONNX Runtime.
func TestOperators(t *testing.T) {
	covered := map[string]bool{}
	for i, test := range operatorTests {
		covered[test.op] = true
		t.Run(fmt.Sprintf("%02d_%s", i, test.op), func(t *testing.T) {
			m, feeds := single(test.opset, test.op, test.attrs, test.in...)
			if test.op == "Shape" {
				m.Graph().Output[0] = onnx.NewValueInfo("y", onnx.Int64, nil)
			}
			want, err := run(t, orttest.Engine(t), m, feeds)
			if err != nil {
				t.Fatal(err)
			}
			got, err := run(t, Engine{}, m, feeds)
			if err != nil {
				t.Fatal(err)
			}
			near(t, got["y"], want["y"])
		})
	}
	for op := range operators {
		if !covered[op] {
			t.Errorf("%s has no test", op)
		}
	}
}

// What onnx-go gets wrong, or what it does not have, is refused with the node's name and not computed.
func TestRefusals(t *testing.T) {
	half := onnx.NewTensor(onnx.Float16, 2, 3)
	tests := []struct {
		operatorTest
		says string
	}{
		{operatorTest{13, "Softmax", attrs(onnx.Int("axis", 1)), tensors(random(2, 3, 5))}, "axis 1 of the shape [2 3 5]"},
		{operatorTest{17, "LayerNormalization", nil, tensors(random(2, 3), random(3))}, "operators LayerNormalization"},
		{operatorTest{6, "Relu", nil, tensors(random(2, 3))}, "opset 6"},
		{operatorTest{13, "Relu", nil, tensors(half)}, "float16"},
		{operatorTest{13, "Relu", attrs(onnx.Int("surprise", 1)), tensors(random(2))}, `"surprise"`},
		{operatorTest{13, "Conv", nil, tensors(random(2, 3, 5), random(4, 3, 3))}, "images only"},
		{operatorTest{13, "Conv", nil, tensors(random(2, 3, 5, 5, 5), random(4, 3, 1, 1))}, "images"},
		{operatorTest{13, "Conv", nil, tensors(image, random(4, 2, 3, 3))}, "for 3 channels"},
		{operatorTest{13, "Conv", nil, tensors(image, random(4, 3, 3, 3), random(1))}, "bias"},
		{operatorTest{13, "Conv", nil, tensors(image, random(4, 3, 8, 8))}, "window"},
		{operatorTest{13, "Conv", attrs(kernel23), tensors(image, random(4, 3, 3, 3))}, "kernel_shape"},
		{operatorTest{13, "Conv", attrs(onnx.Ints("pads", -1, 0, 0, 0)), tensors(image, random(4, 3, 3, 3))}, "pads"},
		{operatorTest{13, "MaxPool", attrs(kernel33, onnx.Int("ceil_mode", 1)), tensors(image)}, "ceil_mode"},
		{operatorTest{13, "MaxPool", attrs(kernel33, onnx.Ints("dilations", 2, 2)), tensors(image)}, "dilations"},
		{operatorTest{13, "AveragePool", attrs(kernel33, pads1), tensors(image)}, "pads"},
		{operatorTest{14, "BatchNormalization", attrs(onnx.Int("training_mode", 1)), tensors(image, random(3), random(3), random(3), positive(3))}, "training_mode"},
		{operatorTest{13, "MatMul", nil, tensors(random(2, 3, 4), random(2, 4, 3))}, "multiply"},
		{operatorTest{13, "Gemm", nil, tensors(random(3, 4), random(5, 3))}, "[3 4]"},
		{operatorTest{13, "Add", nil, tensors(random(2, 3), random(4))}, "do not go together"},
		{operatorTest{13, "Mul", nil, tensors(random(3), integers(1, 2, 3))}, "int64"},
		{operatorTest{13, "Reshape", nil, tensors(random(2, 3), integers(4, -1))}, "[2 3] to [4 -1]"},
		{operatorTest{13, "Gather", nil, tensors(random(2, 3), integers(2))}, "index 2 of 2"},
		{operatorTest{13, "Dropout", nil, tensors(random(2, 3), number(0.5), &onnx.Tensor{DType: onnx.Bool, Raw: []byte{1}})}, "training"},
	}
	for _, test := range tests {
		t.Run(test.op+" "+test.says, func(t *testing.T) {
			m, feeds := single(test.opset, test.op, test.attrs, test.in...)
			_, err := run(t, Engine{}, m, feeds)
			if err == nil {
				t.Fatal("it ran")
			}
			e := fault.As(err)
			if e.Kind != fault.Unsupported || e.File != "test.onnx" || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v error %v, want one that says %q", e.Kind, err, test.says)
			}
			if place := e.Node + e.Value; place != "the_node" && place != "x0" && test.says != "opset 6" {
				t.Errorf("%v does not name the node", err)
			}
		})
	}
}

// The package comment names every operator that runs.
func TestDocumentation(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune(" ,\n\t", r) })
	for op := range operators {
		if !slices.Contains(words, op) {
			t.Errorf("doc.go does not name %s", op)
		}
	}
}
