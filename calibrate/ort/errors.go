package ort

import (
	"errors"
	"regexp"
	"strings"

	"github.com/onnx-zip/onnx-zip/internal/fault"
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
	regexp.MustCompile(`Node:\s?(\S+)`),
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
	"invalid model", "INVALID_GRAPH", "INVALID_PROTOBUF", "Protobuf parsing failed", "Type Error", "ShapeInferenceError",
	"is not output of any previous nodes", "Duplicate definition", "does not match expected type",
}

// openError is what the library said when it refused a model.
func openError(err error, m *onnx.Model) error {
	message := clean(err)
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
	message := clean(err)
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

// clean drops what the binding puts in front of the library's message.
func clean(err error) string {
	message := err.Error()
	for _, prefix := range []string{"Error creating C session from file: ", "Error creating C session: ", "Error running network: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return message
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
