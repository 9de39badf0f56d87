package ort

import (
	"errors"
	"regexp"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/internal/ortlib"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// nodePatterns find the node's name in the library's messages, each quoted from one of them.
var nodePatterns = []*regexp.Regexp{
	regexp.MustCompile(`Name:'([^']+)'`),
	regexp.MustCompile(`node with name '([^']+)'`),
	regexp.MustCompile(`in node \(([^)]+)\)`),
	regexp.MustCompile(`In Node, \("([^"]+)"`),
	regexp.MustCompile(`of node \(([^)]+)\)`),
	regexp.MustCompile(`Node \(([^)]+)\)`),
}

// nodeIn returns the node that a message names, "" where it names none.
func nodeIn(message string) string {
	for _, p := range nodePatterns {
		if found := p.FindStringSubmatch(message); found != nil {
			return found[1]
		}
	}
	return ""
}

// unsupportedWords mark messages that say: valid perhaps, but not for this library.
var unsupportedWords = []string{
	"Could not find an implementation", "NOT_IMPLEMENTED", "is not a registered function/op", "under development",
	"Unsupported model IR version", "No Op registered", "No opset import", "not supported", "unsupported",
}

// invalidWords mark messages that say: this is no valid model.
var invalidWords = []string{
	"nvalid model", "INVALID_GRAPH", "INVALID_PROTOBUF", "Protobuf parsing failed", "Type Error", "ShapeInferenceError",
	"Out of bounds dimensions", "Duplicate definition",
}

// loadError is what the binding said when the library did not load. Status 2 of the binding means that the
// library does not have the version of the C API that it asks for.
func loadError(err error, lib ortlib.Library) error {
	if strings.Contains(err.Error(), "ORT API base: 2") {
		return fault.New(fault.Runtime, "runtime_too_old", "the library is too old: %s or newer is needed", ortlib.MinVersion).
			InFile(lib.Path).WithHint("install another one: `onnx-zip setup`")
	}
	return fault.Wrap(fault.Runtime, "runtime_unusable", err, "the library cannot be loaded").
		InFile(lib.Path).WithHint("install another one: `onnx-zip setup`")
}

// openError is what the library said when it refused a model.
func openError(err error, m *onnx.Model) error {
	message := cleaned(err).Error()
	kind, code, what := fault.Runtime, "open_failed", "ONNX Runtime cannot open the model"
	switch {
	case containsAny(message, unsupportedWords):
		kind, code, what = fault.Unsupported, "unsupported_by_runtime", "ONNX Runtime cannot run this model"
	case containsAny(message, invalidWords):
		kind, code, what = fault.Model, "invalid_model", "ONNX Runtime finds the model invalid"
	}
	e := fault.Wrap(kind, code, errors.New(message), "%s", what).AtNode(nodeIn(message)).InFile(m.File)
	return explainMemory(e, message)
}

// runError is what the library said when a run failed.
func runError(err error, file string) error {
	message := cleaned(err).Error()
	e := fault.Wrap(fault.Runtime, "run_failed", errors.New(message), "ONNX Runtime failed").
		AtNode(nodeIn(message)).InFile(file)
	return explainMemory(e, message)
}

func explainMemory(e *fault.Error, message string) error {
	if containsAny(message, []string{"Failed to allocate memory", "bad_alloc", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"}) {
		e.Code = "out_of_memory"
		return e.WithHint("use a smaller --batch")
	}
	return e
}

// noise is what the binding and the library put in front of a message: its own source file and function.
var noise = regexp.MustCompile(`(?s)^(Error [a-z A-Z]+: )*(\S+\.(cc|h):\d+ (.*\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |.*?\) ))?`)

// cleaned is err without the noise; an err of nothing else stays.
func cleaned(err error) error {
	message := err.Error()
	if rest := strings.TrimSpace(noise.ReplaceAllString(message, "")); rest != "" {
		message = rest
	}
	return errors.New(message)
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
