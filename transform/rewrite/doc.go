// Package rewrite brings a model to a common form, so that what follows sees the network and not the
// habits of the exporter that wrote it down.
//
//	m, log, err := rewrite.Canonicalize(m)
//
// The form: constants are initializers, each read in one place; nothing is there that does nothing; local
// functions are inlined; BatchNormalization is folded away or is a Mul and an Add; a linear map of a matrix
// is Gemm(transB=1) with weights [out, in]; attributes that have a default are written out; weights come
// second where operands commute. The model computes what it did, up to rounding.
//
// Passes is the table of the passes. Every pass looks at the main graph only, keeps the names of inputs
// and outputs, never changes what a name that survives stands for, and leaves alone what it cannot decide.
// Call Refuse first to turn away models that no rewriting makes mergeable, and ShareAgain before saving.
package rewrite
