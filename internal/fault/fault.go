// Package fault holds the one error type that reaches a user: what went wrong, where, and what to do.
//
// Every package returns *Error (wrapped or not) for problems that the user can act on. The command line
// derives its exit code from Kind and its JSON error object from the other fields; nothing else decides
// exit codes. An error that carries no *Error is an internal one.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says which stage refused. Its number is the process's exit code.
type Kind int

// The exit codes of the command line. The table in Kinds describes them.
const (
	OK             Kind = 0
	Internal       Kind = 1
	Usage          Kind = 2
	Model          Kind = 3
	Correspondence Kind = 4
	Unsupported    Kind = 5
	Runtime        Kind = 6
	Data           Kind = 7
	Verification   Kind = 8
	Gate           Kind = 9
	Output         Kind = 10
	Interrupted    Kind = 130
	Terminated     Kind = 143
)

// Kinds lists every exit code with its meaning, in the order of the codes. The documentation and
// `help exit-codes` are made from this table.
var Kinds = []struct {
	Kind    Kind
	Name    string
	Meaning string
}{
	{OK, "ok", "success"},
	{Internal, "internal", "a bug in onnx-zip; please report it"},
	{Usage, "usage", "wrong command line or configuration"},
	{Model, "model", "a model file is missing, damaged, hostile or not ONNX"},
	{Correspondence, "correspondence", "the models do not correspond"},
	{Unsupported, "unsupported", "a model uses something that cannot be merged"},
	{Runtime, "runtime", "ONNX Runtime or the device is missing or failed, or the program of --score"},
	{Data, "data", "calibration or test data is missing or does not fit the model"},
	{Verification, "verification", "the merged model failed its verification"},
	{Gate, "gate", "a quality gate failed"},
	{Output, "output", "the output exists, cannot be written, or the disk is full"},
	{Interrupted, "interrupted", "interrupted (SIGINT)"},
	{Terminated, "terminated", "terminated (SIGTERM)"},
}

// Error is a refusal that a user can act on.
type Error struct {
	Kind    Kind
	Code    string // stable snake_case name, part of the JSON contract
	Message string // what is wrong, without the place
	File    string // the file concerned
	Node    string // the graph node concerned
	Value   string // the value (edge) or tensor concerned
	Axis    string // the axis concerned
	Hint    string // what to do about it
	Err     error  // the cause, if there is one
}

// NameOf is the name of a kind, as in Kinds.
func NameOf(k Kind) string {
	for _, one := range Kinds {
		if one.Kind == k {
			return one.Name
		}
	}
	return ""
}

// KindNamed is the kind of a name; Internal for names that there are not.
func KindNamed(name string) Kind {
	for _, one := range Kinds {
		if one.Name == name {
			return one.Kind
		}
	}
	return Internal
}

// New returns an Error of the given kind. code is a stable snake_case name.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which is appended to the message.
func Wrap(kind Kind, code string, err error, format string, args ...any) *Error {
	e := New(kind, code, format, args...)
	e.Err = err
	return e
}

// InFile, AtNode, AtValue, AtAxis and WithHint fill in the place and the way out; each returns e.
func (e *Error) InFile(file string) *Error   { e.File = file; return e }
func (e *Error) AtNode(node string) *Error   { e.Node = node; return e }
func (e *Error) AtValue(value string) *Error { e.Value = value; return e }
func (e *Error) AtAxis(axis string) *Error   { e.Axis = axis; return e }

// WithHint says what the user can do.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Error is "file: node "n": value "v": message: cause"; the hint is left to the caller to print.
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File + ": ")
	}
	if e.Node != "" {
		fmt.Fprintf(&b, "node %q: ", e.Node)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "value %q: ", e.Value)
	}
	if e.Axis != "" {
		fmt.Fprintf(&b, "axis %s: ", e.Axis)
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As returns the *Error in err's chain, or one of kind Internal around it; nil for nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "internal", Message: err.Error()}
}
