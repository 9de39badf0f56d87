// Package rewrite brings a model to a common form, so that what follows sees the network and not the
// habits of the exporter that wrote it down.
//
//	m, log, err := rewrite.Canonicalize(m)
//
// The form: constants are initializers, each read in one place; nothing is there that does nothing; local
// functions are inlined; BatchNormalization is folded away or is a Mul and an Add; a linear map of a matrix
// is Gemm(transB=1) with weights [out, in]; a map flattened to rows is Flatten(axis=1); attributes that have
// a default are written out; weights come second where operands commute; Gelu, HardSwish and
// LayerNormalization are operators where the opset has them; features are cut by Slice, and shuffled only where
// what follows needs that; open sizes are taken from the inputs; an output that is read on is handed out by an Identity.
// Nodes are sorted. The model computes what it did, up to rounding.
//
// Before it come Expand, which writes out what ONNX Runtime's optimiser fused, and ToFloat32, for models of
// half precision, which Precision.Restore undoes; after it Raise, which brings a model to a later opset.
//
// Passes is the table of the passes. Every pass looks at the main graph only (functions are inlined in
// subgraphs too), keeps the names of inputs and outputs, never changes what a computed value that keeps its
// name stands for, and leaves alone what it cannot decide. Canonicalize refuses nothing but invalid graphs
// and BatchNormalization in training mode: call Expand and Refuse first to turn away models that no rewriting makes
// mergeable, and ShareAgain before saving.
package rewrite
