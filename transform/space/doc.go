// Package space finds the feature spaces of models from their graphs alone: the sets of tensor axes
// that must be transformed together.
//
// Every axis of every value gets a layout: a sequence of runs of features (blocks), each perhaps
// repeated along inner positions (a Flatten of C·H·W counts each of C features H·W times). One table of
// rules (rules.go) says, for each operator, which axes hold the same features; uniting blocks over the
// whole graph leaves the spaces. A run is cut in two wherever an operator cuts it, and both halves then
// are spaces of their own everywhere.
//
// Corresponding values of several models (transform/pair) are united too, so that a space is common to
// all models and carries the strictest mode that any of them asks for.
//
// An axis that is no feature axis (batch, height, kernel taps, and all axes of the graph's inputs) is
// aligned: position k means the same in every model. An operator that is not in the table pins every
// axis that goes in or out of it.
package space
