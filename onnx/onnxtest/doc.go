// Package onnxtest helps tests with models: a terse notation to build them from (Parse, Build), a dump in the
// same notation to compare them by (Dump), random tensors, and the real models of the repository.
//
// A model is a list of lines; a # begins a comment:
//
//	opset 17                              the default; opset com.microsoft 1 adds a domain
//	ir 8                                  the default
//	input x f32[N,3,8,8]                  sizes, symbols, or ? for an unknown size; f32 alone leaves the rank open
//	w = init f32[4,3,3,3] random(1)       distinct values, of about unit gain (the seed is 1)
//	v = init f32[4] random(2, 0.5, 1.5)   distinct values between two bounds
//	o = init f32[4] fill(1)               one value
//	s = init i64[2] {0, -1}               the values
//	y = Conv(x, w) {pads=[1,1,1,1]}       a node; an absent optional input is _
//	a, b = Split(y) {axis=1} @cut         several outputs; @ names the node, which else has its first output's name
//	g = com.microsoft::FastGelu(a)        an operator of another domain
//	value g f32[N,2,8,8]                  a declaration of an intermediate value
//	output g                              with or without a type, as input
//
// Attributes are integers (1), floats (1.0, 1e-5), strings ("SAME_UPPER"), lists of these ([1,2]), or tensors
// (f32[2]{1, 2}). Element types: f32 f64 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64 bool. Names of other characters
// than letters, digits and _ . / : - are quoted ("a b"). Graph attributes have no notation.
package onnxtest
