package onnx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// sharedWith counts the weights of m whose bytes are those of other in memory, and all weights that have bytes.
func sharedWith(m, other *onnx.Model) (shared, all int) {
	for k, t := range m.Graph().GetInitializer() {
		raw, was := t.GetRawData(), other.Graph().GetInitializer()[k].GetRawData()
		if len(raw) == 0 {
			continue
		}
		if all++; len(raw) == len(was) && &raw[0] == &was[0] {
			shared++
		}
	}
	return shared, all
}

// TestHashIsOfTheBytes: what is written in parts, to a hash or a file, is what Marshal gives.
func TestHashIsOfTheBytes(t *testing.T) {
	same := func(m *onnx.Model) {
		t.Helper()
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if hash, err := m.Hash(); err != nil || hash != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: hash %s, %v, want that of the bytes", m.File, hash, err)
		}
		path := filepath.Join(t.TempDir(), "m.onnx")
		save(t, m, path, onnx.SaveOptions{})
		if written, err := os.ReadFile(path); err != nil || !bytes.Equal(written, data) {
			t.Errorf("%s: %d bytes written, %v, want the model's %d", m.File, len(written), err, len(data))
		}
	}
	for _, path := range onnxtest.Models(t) {
		m, err := onnx.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		same(m)
	}
	// Fields around the weights, empty ones, and such as nobody knows, at every level.
	m := sample(t, "1")
	g := m.Graph()
	unknown := []byte{0xa0, 0x38, 0x07} // field 900, a varint
	w := g.Initializer[0]
	doc := "after the weights"
	w.DocString, g.DocString, m.Proto.DocString = &doc, &doc, &doc
	w.ProtoReflect().SetUnknown(unknown)
	g.ProtoReflect().SetUnknown(unknown)
	m.Proto.ProtoReflect().SetUnknown(unknown)
	m.SetMetadata("k", "v")
	g.Initializer = append(g.Initializer, &onnx.TensorProto{Name: &doc, RawData: []byte{}}, &onnx.TensorProto{FloatData: []float32{1}})
	same(m)
}

// TestCloneSharesWeights: a copy of a model does not take its weights' memory again, and is a copy all the same.
func TestCloneSharesWeights(t *testing.T) {
	m := sample(t, "1")
	before, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	c := m.Clone()
	if shared, all := sharedWith(c, m); shared != all || all == 0 {
		t.Errorf("%d of %d weights are shared", shared, all)
	}
	other := "other"
	for _, w := range c.Graph().GetInitializer() {
		w.Name, w.Dims[0], w.RawData = &other, 77, nil
	}
	c.Graph().Node[0].Input[0] = other
	c.Graph().Initializer = append(c.Graph().Initializer, &onnx.TensorProto{})
	if after, err := m.Marshal(); err != nil || !bytes.Equal(after, before) {
		t.Errorf("changing the copy changed the model, %v", err)
	}
}

// TestStagedModelSharesWeights: reading a file back for verification takes the memory of what differs only.
func TestStagedModelSharesWeights(t *testing.T) {
	for _, external := range []bool{false, true} {
		m := onnxtest.Build(t, "input x f32[N,32]\nw = init f32[32,32] random(1)\nv = init f32[32,32] random(2)\na = MatMul(x, w)\ny = MatMul(a, v)\noutput y f32[N,32]")
		dir := t.TempDir()
		staged, err := onnx.Stage(m, filepath.Join(dir, "m.onnx"), onnx.SaveOptions{External: external})
		if err != nil {
			t.Fatal(err)
		}
		file, err := staged.Load()
		if err != nil {
			t.Fatal(err)
		}
		if shared, all := sharedWith(file, m); shared != 2 || all != 2 || !onnx.Equal(file.Proto, m.Proto) {
			t.Errorf("external %v: %d of %d weights are shared", external, shared, all)
		}
		path := staged.Path()
		if external {
			found, err := filepath.Glob(filepath.Join(dir, "*.onnx.data"))
			if err != nil || len(found) != 1 {
				t.Fatalf("data files %v, %v", found, err)
			}
			path = found[0]
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(data, m.Graph().Initializer[1].RawData)
		data[at+4095] ^= 1 // the last byte of v
		write(t, path, data)
		if file, err = staged.Load(); err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(m.Graph().Initializer[1].RawData)
		want[4095] ^= 1
		if shared, all := sharedWith(file, m); shared != 1 || all != 2 || !bytes.Equal(file.Graph().Initializer[1].RawData, want) {
			t.Errorf("external %v: a damaged file is read as what was meant: %d of %d shared", external, shared, all)
		}
		staged.Discard()
	}
}
