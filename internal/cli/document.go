package cli

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/onnx-zip/onnx-zip/internal/fault"
)

// schema is the version of the JSON documents. Within it fields are only ever added.
const schema = 1

// document is what --json writes: one for each run, on failure too.
type document struct {
	Schema   int          `json:"schema"`
	Command  string       `json:"command"`
	Version  string       `json:"version"`
	OK       bool         `json:"ok"`
	ExitCode int          `json:"exit_code"`
	Error    *errorObject `json:"error"`
	Warnings []warning    `json:"warnings"`
	Settings any          `json:"settings,omitempty"`
	Result   any          `json:"result,omitempty"`
	Verdict  string       `json:"verdict,omitempty"`
	Reason   string       `json:"verdict_reason,omitempty"`
	Gate     *gate        `json:"gate,omitempty"`  // the first that failed, else the first
	Gates    []gate       `json:"gates,omitempty"` // all
}

type errorObject struct {
	Kind    string `json:"kind"` // the exit code's name
	Code    string `json:"code"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Node    string `json:"node,omitempty"`
	Value   string `json:"value,omitempty"`
	Axis    string `json:"axis,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

func errorObjectOf(e *fault.Error) *errorObject {
	o := &errorObject{Kind: fault.NameOf(e.Kind), Code: e.Code, Message: e.Message, File: e.File, Node: e.Node, Value: e.Value, Axis: e.Axis, Hint: e.Hint}
	if e.Err != nil {
		o.Message += ": " + e.Err.Error()
	}
	return o
}

// warning is something that a user should know and that does not stop the work, but for --strict.
type warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Head    string `json:"head,omitempty"`
	File    string `json:"file,omitempty"`
}

func (d *document) write(w io.Writer) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil { // a figure is infinite or NaN, which JSON does not have
		b.Reset()
		short := *d
		short.Result = nil
		short.Warnings = append(short.Warnings, warning{Code: "result_not_finite", Message: err.Error()})
		if err := enc.Encode(&short); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
