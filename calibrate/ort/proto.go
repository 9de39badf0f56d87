package ort

import (
	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

func graphOf(name string, inputs, outputs []*onnx.ValueInfo, nodes ...*onnx.Node) *onnx.Graph {
	return &onnx.Graph{Name: proto.String(name), Input: inputs, Output: outputs, Node: nodes}
}

func modelOf(g *onnx.Graph, ir, opset int64) *onnx.Model {
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion: proto.Int64(ir), Graph: g, OpsetImport: []*onnx.OpsetID{{Version: proto.Int64(opset)}},
	}}
}

// declaresType reports whether a value says what its elements are.
func declaresType(v *onnx.ValueInfo) bool {
	dtype, _, isTensor := onnx.TensorType(v)
	return v.GetType().GetValue() != nil && (!isTensor || dtype != onnx.Undefined)
}
