package gorgonnx

import (
	"fmt"
	"slices"
	"sync"

	"github.com/onnx-zip/onnx-zip/onnx"
	onnxgo "github.com/owulveryck/onnx-go"
	backend "github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"google.golang.org/protobuf/proto"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// libraryLock lets one computation run at a time: onnx-go numbers its nodes with a global variable.
var libraryLock sync.Mutex

// compute runs one operator on float32 tensors through onnx-go, as a model of one node. The tensors are
// copied, since some of its operators write into their inputs. Panics become errors.
func compute(operator string, attrs []*onnx.Attribute, in ...*onnx.Tensor) (out *onnx.Tensor, err error) {
	if err := allFloat(in...); err != nil {
		return nil, err
	}
	libraryLock.Lock()
	defer libraryLock.Unlock()
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("onnx-go panicked: %v", r)
		}
	}()
	graph := backend.NewGraph()
	model := onnxgo.NewModel(graph)
	file, names, err := oneNode(operator, attrs, in)
	if err != nil {
		return nil, err
	}
	if err := model.UnmarshalBinary(file); err != nil {
		return nil, err
	}
	for i, t := range in {
		if err := setTensor(model, names[i], t); err != nil {
			return nil, err
		}
	}
	expr, err := graph.GetExprGraph()
	if err != nil {
		return nil, err
	}
	vm := gorgonia.NewTapeMachine(expr)
	defer vm.Close()
	graph.SetVM(vm)
	if err := graph.Run(); err != nil {
		return nil, err
	}
	return getTensor(model, "y")
}

// oneNode is the file of a model y = operator(x0, x1, …) and the names of its inputs.
func oneNode(operator string, attrs []*onnx.Attribute, in []*onnx.Tensor) (file []byte, names []string, err error) {
	g := &onnx.Graph{Name: proto.String(operator)}
	for i, t := range in {
		name := fmt.Sprintf("x%d", i)
		names = append(names, name)
		g.Input = append(g.Input, onnx.NewValueInfo(name, onnx.Float, onnx.Static(t.Dims...)))
	}
	g.Node = []*onnx.Node{onnx.NewNode(operator, operator, names, []string{"y"}, attrs...)}
	g.Output = []*onnx.ValueInfo{{Name: proto.String("y")}}
	m := &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion: proto.Int64(6), Graph: g,
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(9)}},
	}}
	file, err = m.Marshal()
	return file, names, err
}

func setTensor(m *onnxgo.Model, name string, t *onnx.Tensor) error {
	values, err := t.Float32s()
	if err != nil {
		return err
	}
	shape := make([]int, len(t.Dims))
	for i, d := range t.Dims {
		shape[i] = int(d)
	}
	n, ok := m.GetNodeByName(name)
	if !ok {
		return fmt.Errorf("onnx-go lost the input %s", name)
	}
	return n.(onnxgo.DataCarrier).SetTensor(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values)))
}

func getTensor(m *onnxgo.Model, name string) (*onnx.Tensor, error) {
	n, ok := m.GetNodeByName(name)
	if !ok {
		return nil, fmt.Errorf("onnx-go lost the output %s", name)
	}
	t, ok := n.(onnxgo.DataCarrier).GetTensor().(*tensor.Dense)
	if !ok || t.Dtype() != tensor.Float32 {
		return nil, fmt.Errorf("onnx-go made no float32 tensor")
	}
	dims := make([]int64, t.Dims())
	for i, d := range t.Shape() {
		dims[i] = int64(d)
	}
	if len(dims) > 0 && !slices.Equal(t.Strides(), t.Shape().CalcStrides()) {
		t = t.Materialize().(*tensor.Dense)
	}
	values, ok := t.Data().([]float32)
	if !ok || int64(len(values)) != count(dims) {
		return nil, fmt.Errorf("onnx-go made %d values for the shape %v", len(values), dims)
	}
	return onnx.FromFloat32(values, dims...), nil
}

// count is the number of elements of a shape.
func count(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}
