package onnx

import (
	"bufio"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Numbers of the fields in which a model's bytes lie.
const (
	graphField       = 7 // of ModelProto
	initializerField = 5 // of GraphProto
	rawDataField     = 9 // of TensorProto
)

// encode writes the bytes of Marshal, weights straight from where they lie: they are most of a model, and Marshal needs as
// much memory again. Fields are written by their numbers, and unknown ones last, so a message is what comes before a
// field, the field, and what comes after it. Errors are w's, or those of Marshal.
func (m *Model) encode(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	e := encoder{w: buffered, file: m.File}
	e.around(m.Proto, graphField, m.Graph() != nil, func() {
		g := m.Graph()
		e.tag(graphField, proto.Size(g))
		e.around(g, initializerField, true, func() {
			for _, t := range g.GetInitializer() {
				e.tag(initializerField, proto.Size(t))
				e.around(t, rawDataField, t.RawData != nil, func() {
					e.tag(rawDataField, len(t.RawData))
					e.write(t.RawData)
				})
			}
		})
	})
	if e.err != nil {
		return e.err
	}
	return buffered.Flush()
}

// encoder writes until something fails.
type encoder struct {
	w    io.Writer
	file string
	err  error
}

func (e *encoder) write(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

// tag begins a field of n bytes.
func (e *encoder) tag(field protowire.Number, n int) {
	e.write(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), uint64(n)))
}

// around writes a message; one of its fields, where the message has it, is written by f.
func (e *encoder) around(m proto.Message, field protoreflect.FieldNumber, has bool, f func()) {
	before, after := m.ProtoReflect().New(), m.ProtoReflect().New()
	m.ProtoReflect().Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case d.Number() < field:
			before.Set(d, v)
		case d.Number() > field:
			after.Set(d, v)
		}
		return true
	})
	after.SetUnknown(m.ProtoReflect().GetUnknown())
	e.message(before.Interface())
	if has {
		f()
	}
	e.message(after.Interface())
}

func (e *encoder) message(m proto.Message) {
	if e.err != nil {
		return
	}
	data, err := marshal(m, e.file)
	if e.err = err; err == nil {
		e.write(data)
	}
}
