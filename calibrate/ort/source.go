//go:build cgo

package ort

import (
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

// maxMessage is the size from which a model is too large for one protobuf message (2 GiB less some room
// for what is no tensor data). A variable, so that tests need no such model.
var maxMessage int64 = 2<<30 - 64<<20

// source is a model in a form that the library reads: bytes, or a file where they would be too many.
type source struct {
	data []byte
	dir  string // a temporary folder with the model in it; "" where data is used
}

const modelName = "model.onnx"

func newSource(m *onnx.Model) (*source, error) {
	if m.Bytes() <= maxMessage {
		data, err := m.Marshal()
		return &source{data: data}, err
	}
	dir, err := os.MkdirTemp("", "onnx-zip-")
	if err != nil {
		return nil, fault.Wrap(fault.Output, "output_failed", err, "a model over 2 GB needs a temporary file")
	}
	s := &source{dir: dir}
	if err := onnx.Save(m, s.path(), onnx.SaveOptions{External: true}); err != nil {
		s.remove()
		var e *fault.Error
		if errors.As(err, &e) && e.Hint != "" {
			e.Hint += "; TMPDIR says where temporary files go"
		}
		return nil, err
	}
	return s, nil
}

func (s *source) path() string { return filepath.Join(s.dir, modelName) }

// remove deletes the files. Where the system forbids it because the library has mapped them, call it
// again after the session is closed.
func (s *source) remove() {
	if s.dir != "" {
		os.RemoveAll(s.dir) // what stays lies in the system's temporary folder
	}
}

// largeSource is the size of serialised models that are not left to the garbage collector: it would let them lie until the heap has
// doubled, while the library unpacks its own copies.
const largeSource = 64 << 20

// forget frees the bytes, once a session has its own, and reports whether the model is large.
func (s *source) forget() (large bool) {
	large = len(s.data) > largeSource
	if s.data = nil; large {
		debug.FreeOSMemory()
	}
	return large || s.dir != ""
}

func (s *source) session(inputs, outputs []string, o *ort.SessionOptions) (*ort.DynamicAdvancedSession, error) {
	if s.dir != "" {
		return ort.NewDynamicAdvancedSession(s.path(), inputs, outputs, o)
	}
	return ort.NewDynamicAdvancedSessionWithONNXData(s.data, inputs, outputs, o)
}

// outputTypes asks the library for the element types of outputs that declare none.
func outputTypes(m *onnx.Model) (map[string]onnx.DType, error) {
	untyped := false
	for _, v := range m.Graph().GetOutput() {
		untyped = untyped || !declaresType(v)
	}
	if !untyped {
		return nil, nil
	}
	s, err := newSource(withoutUndefined(m))
	if err != nil {
		return nil, err
	}
	defer s.remove()
	var outputs []ort.InputOutputInfo
	if s.dir != "" {
		_, outputs, err = ort.GetInputOutputInfo(s.path())
	} else {
		_, outputs, err = ort.GetInputOutputInfoWithONNXData(s.data)
	}
	if err != nil {
		return nil, openError(err, m)
	}
	types := map[string]onnx.DType{}
	for _, out := range outputs {
		types[out.Name] = onnx.DType(out.DataType)
	}
	return types, nil
}

// withoutUndefined drops declarations of no type, which the library takes for a type that nothing has.
func withoutUndefined(m *onnx.Model) *onnx.Model {
	model := onnx.Shallow(m.Proto)
	model.Graph = onnx.Shallow(m.Graph())
	model.Graph.Output = nil
	for _, v := range m.Graph().GetOutput() {
		if !declaresType(v) {
			v = &onnx.ValueInfo{Name: v.Name}
		}
		model.Graph.Output = append(model.Graph.Output, v)
	}
	return &onnx.Model{Proto: model, File: m.File}
}
