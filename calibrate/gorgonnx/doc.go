// Package gorgonnx is a second engine, in pure Go: an oracle that shares no code with ONNX Runtime.
// Arithmetic is done by github.com/owulveryck/onnx-go on gorgonia.org/gorgonia, in float32, on the CPU.
//
// # How it runs a model
//
// Node by node: each one becomes an onnx-go model of its own whose inputs have the shapes at hand. So a free
// batch axis needs no rewriting, and what onnx-go gets wrong about graphs cannot happen: an output that
// another node reads too comes back as zeros, a value that a node reads twice counts once, and LeakyRelu,
// BatchNormalization and Gemm write into values that others read.
//
// What merely moves elements is done here, not by onnx-go: reshaping, gathering, padding, broadcasting,
// cutting into groups. Its own way with these is wrong without a word in several cases: asymmetric pads, the
// attribute group, a shape with -1 after fewer axes, an Unsqueeze of separate axes.
//
// # What runs
//
//	operators                                    through   but for
//	Conv                                         onnx-go   rank other than 4
//	MaxPool, AveragePool                         onnx-go   rank other than 4, ceil_mode, dilations;
//	                                                       AveragePool with pads that do not count
//	GlobalAveragePool                            onnx-go   rank other than 4
//	Gemm                                         onnx-go
//	MatMul                                       onnx-go   a second factor of rank other than 2
//	BatchNormalization                           onnx-go   training_mode, spatial = 0
//	Softmax                                      onnx-go   opset ≥ 13 over an axis that is not the last
//	Add, Sub, Mul, Div, Max, Min, Sum            onnx-go
//	Clip                                         onnx-go   infinite bounds
//	Relu, LeakyRelu, Sigmoid, Tanh, Softplus,
//	Exp, Log, Sqrt, Abs, Neg                     onnx-go
//	Identity, Dropout, Constant, Shape           here      Dropout in training; Constant without value
//	Reshape, Flatten, Squeeze, Unsqueeze         here
//	Transpose, Concat, Gather, Slice             here
//
// Everything else is refused: other operators, attributes that are not known here, second outputs (masks,
// indices), opsets below 7, and arithmetic on other types than float32. All of it that shows without shapes
// is refused by Open, the rest before the node runs; the error is of kind fault.Unsupported and names the
// node.
package gorgonnx
