package cli_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/transform"
	"google.golang.org/protobuf/proto"
)

// makeFile writes a file that scripts need and no exporter gives:
//
//	quantised    a model with QuantizeLinear and DequantizeLinear
//	pinned       a model of an operator that nobody knows
//	behind       the VGG b behind a normalisation of (x + 0.5) / 0.5
//	wide         a model whose input has another shape than the test models'
//	oldlib       ONNX Runtime, as release 1.17.0
//	empty nan few nhwc bytes other    data for the test models: (0,1,28,28), a NaN, 8 samples, channels
//	             last, uint8, two arrays of other names
//	local        labelled data: 80 samples of the classes 0 to 4
func makeFile(kind, path string) error {
	switch kind {
	case "quantised":
		return saveModel(path, 4, onnx.NewNode("QuantizeLinear", "quant", []string{"x", "s"}, []string{"q"}),
			onnx.NewNode("DequantizeLinear", "dequant", []string{"q", "s"}, []string{"y"}))
	case "pinned":
		return saveModel(path, 4, onnx.NewNode("MatMul", "weights", []string{"x", "w"}, []string{"features"}),
			onnx.NewNode("Det", "strange", []string{"features"}, []string{"y"}))
	case "behind":
		m, err := onnx.Load(os.Getenv("MODELS") + "/fmnist_vgg_b.onnx")
		if err != nil {
			return err
		}
		if m, err = transform.Normalize(m, transform.Normalization{Mean: []float64{-0.5}, Std: []float64{0.5}}); err != nil {
			return err
		}
		return onnx.Save(m, path, onnx.SaveOptions{})
	case "wide":
		return saveModel(path, 8, onnx.NewNode("Relu", "relu", []string{"x"}, []string{"y"}))
	case "oldlib":
		lib, err := ortlib.Locate("")
		if err != nil {
			return err
		}
		data, err := os.ReadFile(lib.Path)
		if err != nil {
			return err
		}
		old := regexp.MustCompile(`VERS_1\.\d\d\.\d`).ReplaceAll(data, []byte("VERS_1.17.0"))
		return os.WriteFile(path, old, 0o755)
	case "empty":
		return saveData(path, "input", []int{0, 1, 28, 28}, 0)
	case "nan":
		return saveData(path, "input", []int{80, 1, 28, 28}, float32(math.NaN()))
	case "few":
		return saveData(path, "input", []int{8, 1, 28, 28}, 0.5)
	case "nhwc":
		return saveData(path, "input", []int{80, 28, 28, 1}, 0)
	case "other":
		return saveData(path, "pixels,more", []int{80, 1, 28, 28}, 0)
	case "local":
		var labels bytes.Buffer
		values := make([]float32, 80*28*28)
		for i := range 80 {
			binary.Write(&labels, binary.LittleEndian, int64(i%5))
			values[i*784] = float32(i)
		}
		var raw bytes.Buffer
		binary.Write(&raw, binary.LittleEndian, values)
		return saveArrays(path, map[string][]byte{"input": npy("<f4", []int{80, 1, 28, 28}, raw.Bytes()), "label": npy("<i8", []int{80}, labels.Bytes())})
	case "bytes":
		return saveArrays(path, map[string][]byte{"input": npy("|u1", []int{80, 1, 28, 28}, make([]byte, 80*28*28))})
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func saveModel(path string, width int64, nodes ...*onnx.Node) error {
	shape := []onnx.Dim{{Size: -1, Param: "batch"}, {Size: width}}
	g := &onnx.Graph{
		Name: proto.String("g"), Node: nodes,
		Input:       []*onnx.ValueInfo{onnx.NewValueInfo("x", onnx.Float, shape)},
		Output:      []*onnx.ValueInfo{onnx.NewValueInfo("y", onnx.Float, shape)},
		Initializer: []*onnx.TensorProto{onnx.FromFloat32([]float32{0.1}).Proto("s")},
	}
	if nodes[0].GetOpType() == "MatMul" {
		g.Initializer = append(g.Initializer, onnx.NewTensor(onnx.Float, width, width).Proto("w"))
	}
	p := &onnx.ModelProto{IrVersion: proto.Int64(8), Graph: g, OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(13)}}}
	return onnx.Save(&onnx.Model{Proto: p}, path, onnx.SaveOptions{})
}

// saveData writes float32 arrays under the names given, all values equal but the last sample's first.
func saveData(path, names string, shape []int, odd float32) error {
	n := 1
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i%7) / 7
	}
	if n > 0 {
		values[n-n/shape[0]] = odd
	}
	var raw bytes.Buffer
	binary.Write(&raw, binary.LittleEndian, values)
	arrays := map[string][]byte{}
	for _, name := range strings.Split(names, ",") {
		arrays[name] = npy("<f4", shape, raw.Bytes())
	}
	return saveArrays(path, arrays)
}

func npy(descr string, shape []int, raw []byte) []byte {
	dims := strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }", descr, dims)
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	header += "\n"
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	b.Write(raw)
	return b.Bytes()
}

func saveArrays(path string, arrays map[string][]byte) error {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range arrays {
		w, err := z.Create(name + ".npy")
		if err != nil {
			return err
		}
		w.Write(content)
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
