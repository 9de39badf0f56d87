package onnx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Model is an ONNX model in memory, all tensor data included.
type Model struct {
	Proto *ModelProto
	// File is where the model came from, for messages; "" for one that was made in memory.
	File string
	// External says that the file kept tensors in other files. They were read on Load.
	External bool
}

// Graph returns the model's main graph.
func (m *Model) Graph() *Graph { return m.Proto.GetGraph() }

// Clone returns a deep copy that shares the raw data of the initializers, as Clone of a tensor does.
func (m *Model) Clone() *Model {
	out := &Model{File: m.File, External: m.External}
	if m.Graph() == nil {
		out.Proto = Clone(m.Proto)
		return out
	}
	rest := Shallow(m.Proto)
	rest.Graph = Shallow(m.Graph())
	rest.Graph.Initializer = nil
	out.Proto = Clone(rest)
	for _, t := range m.Graph().GetInitializer() {
		out.Proto.Graph.Initializer = append(out.Proto.Graph.Initializer, cloneTensor(t))
	}
	return out
}

// Opset returns the version of the operator set of a domain ("" is the default one), 0 where not imported.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Proto.GetOpsetImport() {
		if o.GetDomain() == domain || domain == "" && o.GetDomain() == "ai.onnx" {
			return o.GetVersion()
		}
	}
	return 0
}

// Metadata returns the value of a metadata property, "" where it is absent.
func (m *Model) Metadata(key string) string {
	for _, p := range m.Proto.GetMetadataProps() {
		if p.GetKey() == key {
			return p.GetValue()
		}
	}
	return ""
}

// SetMetadata sets a metadata property.
func (m *Model) SetMetadata(key, value string) {
	for _, p := range m.Proto.MetadataProps {
		if p.GetKey() == key {
			p.Value = proto.String(value)
			return
		}
	}
	m.Proto.MetadataProps = append(m.Proto.MetadataProps, &KeyValue{Key: proto.String(key), Value: proto.String(value)})
}

// Load reads a model and the external data that it names. Errors are of kind fault.Model and name the file.
func Load(path string) (*Model, error) { return load(path, nil) }

func load(path string, known map[string][]byte) (*Model, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, loadError(path, err)
	}
	m, err := Parse(data, path)
	if err != nil {
		return nil, err
	}
	if err := m.resolveExternal(filepath.Dir(path), known); err != nil {
		return nil, fault.As(err).InFile(path)
	}
	return m, nil
}

func loadError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Model, "no_file", "no such file").InFile(path).WithHint("check the path")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Model, "not_readable", "permission denied").InFile(path)
	}
	var e *fs.PathError
	if errors.As(err, &e) {
		err = e.Err // the path is named once
	}
	return fault.Wrap(fault.Model, "not_readable", err, "cannot be read").InFile(path)
}

// Parse reads a model from the bytes of a file; file is its name for messages. External data is not read.
func Parse(data []byte, file string) (*Model, error) {
	m := &Model{Proto: &ModelProto{}, File: file}
	if len(data) == 0 {
		return nil, fault.New(fault.Model, "not_onnx", "the file is empty").InFile(file)
	}
	if err := proto.Unmarshal(data, m.Proto); err != nil {
		return nil, notONNX(data, file)
	}
	if m.Proto.GetGraph() == nil || len(m.Proto.GetOpsetImport()) == 0 {
		return nil, notONNX(data, file)
	}
	return m, nil
}

// notONNX says what the file is instead, where its first bytes tell.
func notONNX(data []byte, file string) error {
	e := fault.New(fault.Model, "not_onnx", "this is not an ONNX model").InFile(file)
	switch {
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return e.WithHint("it is a zip archive, perhaps a PyTorch checkpoint: export it with torch.onnx.export")
	case bytes.HasPrefix(data, []byte("\x80")):
		return e.WithHint("it is a Python pickle, perhaps a PyTorch checkpoint: export it with torch.onnx.export")
	case bytes.HasPrefix(data, []byte("version https://git-lfs")):
		return e.WithHint("it is a Git LFS pointer: run `git lfs pull`")
	case bytes.HasPrefix(data, []byte("\x89HDF")):
		return e.WithHint("it is an HDF5 file, perhaps of Keras: convert it with tf2onnx")
	case len(data) > 8 && string(data[4:8]) == "TFL3":
		return e.WithHint("it is a TensorFlow Lite model: convert it with tf2onnx")
	case startsLikeModel(data):
		e.Code, e.Message = "damaged", "the model is damaged or cut short"
		return e.WithHint("copy or export the file again")
	}
	return e.WithHint("give a file written by an ONNX exporter")
}

// startsLikeModel reports whether the first field is one with which ONNX files begin: ir_version or producer_name.
func startsLikeModel(data []byte) bool {
	num, typ, n := protowire.ConsumeTag(data)
	return n > 0 && (num == 1 && typ == protowire.VarintType || num == 2 && typ == protowire.BytesType)
}

// Marshal returns the model's bytes: the same bytes for the same model, always.
func (m *Model) Marshal() ([]byte, error) { return marshal(m.Proto, m.File) }

func marshal(m proto.Message, file string) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "marshal", err, "the model cannot be written").InFile(file)
	}
	return data, nil
}

// Hash is the SHA-256 of the model's bytes, in hexadecimal.
func (m *Model) Hash() (string, error) {
	sum := sha256.New()
	if err := m.encode(sum); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
