// Package onnx reads, indexes, checks and writes ONNX models. It does no mathematics.
//
// Start with Load, look around with NewIndex, and write with Stage:
//
//	m, err := onnx.Load("a.onnx")
//	ix, err := onnx.NewIndex(m.Graph())
//	for _, n := range ix.Order { … }
//
// The file's own messages (ModelProto, Graph, Node, …) are the truth. A model that is loaded and written
// unchanged comes out byte for byte, and fields that this package does not know of survive.
package onnx
