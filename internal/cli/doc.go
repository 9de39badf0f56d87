// Package cli is the command line as one function of its arguments and streams.
//
// Run parses, does the work and returns the exit code; a file holds each command. Commands return errors of
// package fault and nothing else decides exit codes. Standard output carries the result only: text for
// people, or one JSON document under --json, on failure too. Everything else goes to standard error.
//
// The engines come in through Deps, so that this package builds without cgo; only cmd/onnx-zip names them.
package cli
