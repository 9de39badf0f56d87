package onnx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"google.golang.org/protobuf/proto"
)

// eachTensor calls f for every tensor of a graph: initializers and attributes, subgraphs included.
func eachTensor(g *Graph, f func(*TensorProto) error) error {
	for _, t := range g.GetInitializer() {
		if err := f(t); err != nil {
			return err
		}
	}
	return eachNodeTensor(g.GetNode(), f)
}

func eachNodeTensor(nodes []*Node, f func(*TensorProto) error) error {
	for _, n := range nodes {
		for _, a := range n.GetAttribute() {
			tensors := a.GetTensors()
			if a.T != nil {
				tensors = append(tensors[:len(tensors):len(tensors)], a.T)
			}
			for _, t := range tensors {
				if err := f(t); err != nil {
					return err
				}
			}
			graphs := a.GetGraphs()
			if a.G != nil {
				graphs = append(graphs[:len(graphs):len(graphs)], a.G)
			}
			for _, g := range graphs {
				if err := eachTensor(g, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// resolveExternal reads every tensor that lies in another file below dir into the model. known holds bytes by a tensor's
// name that are taken, instead of a second copy in memory, where the file has the same.
func (m *Model) resolveExternal(dir string, known map[string][]byte) error {
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	read := func(t *TensorProto) error {
		if t.GetDataLocation() != onnxpb.TensorProto_EXTERNAL {
			return nil
		}
		m.External = true
		return readExternal(t, dir, files, known[t.GetName()])
	}
	if err := eachTensor(m.Graph(), read); err != nil {
		return err
	}
	for _, fn := range m.Proto.GetFunctions() {
		if err := eachNodeTensor(fn.GetNode(), read); err != nil {
			return err
		}
	}
	return nil
}

// readExternal replaces t's reference by its bytes (ONNX: docs/ExternalData.md), by known where they are equal.
func readExternal(t *TensorProto, dir string, files map[string]*os.File, known []byte) error {
	location, offset, length, err := externalRange(t)
	if err != nil {
		return err
	}
	f, err := openExternal(location, dir, files)
	if err != nil {
		return fault.As(err).AtValue(t.GetName())
	}
	info, err := f.Stat()
	if err != nil {
		return badExternal(t, "%q: %v", location, err)
	}
	if length < 0 {
		length = info.Size() - offset
	}
	if offset > info.Size() || length > info.Size()-offset {
		return badExternal(t, "%q has %d bytes, the model wants %d from %d on", location, info.Size(), length, offset)
	}
	raw := known
	if int64(len(known)) != length || !holds(io.NewSectionReader(f, offset, length), known) {
		raw = make([]byte, length)
		if _, err := io.ReadFull(io.NewSectionReader(f, offset, length), raw); err != nil {
			return badExternal(t, "%q: %v", location, err)
		}
	}
	t.RawData, t.ExternalData, t.DataLocation = raw, nil, nil
	return nil
}

// holds reports whether r has exactly these bytes to read.
func holds(r io.Reader, want []byte) bool {
	part := make([]byte, min(len(want), 1<<20))
	for len(want) > 0 {
		n, err := io.ReadFull(r, part[:min(len(part), len(want))])
		if err != nil || !bytes.Equal(part[:n], want[:n]) {
			return false
		}
		want = want[n:]
	}
	return true
}

func badExternal(t *TensorProto, format string, args ...any) error {
	return fault.New(fault.Model, "external_data", "external data "+format, args...).AtValue(t.GetName())
}

// externalRange is where t's bytes lie; the length is -1 where they go to the end of the file.
func externalRange(t *TensorProto) (location string, offset, length int64, err error) {
	length = -1
	for _, kv := range t.GetExternalData() {
		switch key, value := kv.GetKey(), kv.GetValue(); key {
		case "location":
			location = value
		case "offset", "length":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return "", 0, 0, badExternal(t, "has a bad %s %q", key, value)
			}
			if key == "offset" {
				offset = n
			} else {
				length = n
			}
		}
	}
	return location, offset, length, nil
}

// openExternal opens a file that must lie below dir, symbolic links resolved: a model file must not be
// able to read other files of its user.
func openExternal(location, dir string, files map[string]*os.File) (*os.File, error) {
	if f, ok := files[location]; ok {
		return f, nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fault.Wrap(fault.Model, "external_data", err, "external data")
	}
	defer root.Close()
	if !filepath.IsLocal(location) {
		return nil, fault.New(fault.Model, "external_data", "external data path %q leaves the model's folder", location).
			WithHint("keep external data beside the model, under a relative path")
	}
	info, err := root.Stat(filepath.FromSlash(location))
	if err == nil && !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, fault.New(fault.Model, "external_data", "external data %q is no file", location)
	}
	f, err := root.Open(filepath.FromSlash(location))
	if err != nil {
		return nil, fault.Wrap(fault.Model, "external_data", err, "external data %q", location).
			WithHint("keep external data beside the model")
	}
	files[location] = f
	return f, nil
}

// externalMin is the size in bytes from which a tensor is worth moving out of the model file.
const externalMin = 1024

// externalAlign is the alignment of tensors in a data file, so that runtimes can map them into memory.
const externalAlign = 4096

// externalize writes the large tensors of m's graph into one new file in dir, named by its content
// (<stem>-<hash>.onnx.data), and returns a copy of m that refers to it, with the file's name.
func (m *Model) externalize(dir, stem string) (*Model, string, error) {
	tmp, err := os.CreateTemp(dir, ".onnx-zip-*.data")
	if err != nil {
		return nil, "", outputError(dir, err)
	}
	defer os.Remove(tmp.Name()) // gone after the rename below
	defer tmp.Close()
	out, hash := m.Clone(), sha256.New() // the copy shares the large bytes
	w := io.MultiWriter(tmp, hash)
	var offset int64
	var moved []*TensorProto
	for _, t := range out.Graph().GetInitializer() {
		if len(t.GetRawData()) < externalMin {
			continue
		}
		pad := (externalAlign - offset%externalAlign) % externalAlign
		if _, err := w.Write(make([]byte, pad)); err != nil {
			return nil, "", outputError(tmp.Name(), err)
		}
		if _, err := w.Write(t.RawData); err != nil {
			return nil, "", outputError(tmp.Name(), err)
		}
		offset += pad
		t.ExternalData = []*KeyValue{
			entry("location", ""), entry("offset", strconv.FormatInt(offset, 10)),
			entry("length", strconv.Itoa(len(t.RawData))),
		}
		offset += int64(len(t.RawData))
		t.RawData, t.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
		moved = append(moved, t)
	}
	name := stem + "-" + hex.EncodeToString(hash.Sum(nil))[:16] + ".onnx.data"
	for _, t := range moved {
		t.ExternalData[0].Value = proto.String(name)
	}
	if err := syncAndRename(tmp, filepath.Join(dir, name)); err != nil {
		return nil, "", err
	}
	return out, name, nil
}

func entry(key, value string) *KeyValue {
	return &KeyValue{Key: proto.String(key), Value: proto.String(value)}
}
