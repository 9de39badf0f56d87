// Package shape infers the element type, the dimensions and, for the small integer tensors of
// Shape→Gather→Concat→Reshape chains, the contents of every value of a model's main graph.
//
//	shapes, err := shape.Infer(m, shape.Options{})
//	x := shapes["conv1_out"] // x.DType, x.Dims, x.Ints
//
// Unknown sizes are symbols: two dimensions with equal symbols have equal sizes, and arithmetic carries
// symbols through ("batch", "4·batch", "(height - 1)/2 + 1").
//
// One table (rules.go) maps an operator to a function; the functions lie in one file per family. An
// operator that has no row is no error: its outputs stay unknown unless the file declares them, and Unknown
// lists them, so that a caller can run the model to learn the rest.
package shape
