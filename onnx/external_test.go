package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/internal/onnxpb"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/proto"
)

// outside makes a model whose tensor w, two floats, lies elsewhere; entries are key, value, key, value, …
func outside(t *testing.T, entries ...string) []byte {
	t.Helper()
	m := onnxtest.Build(t, "input x f32[2]\nw = init f32[2]{0,0}\ny = Add(x, w)\noutput y")
	refer(m.Graph().Initializer[0], entries...)
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func refer(w *onnx.TensorProto, entries ...string) {
	w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
	for i := 0; i < len(entries); i += 2 {
		w.ExternalData = append(w.ExternalData, &onnx.KeyValue{Key: &entries[i], Value: &entries[i+1]})
	}
}

var content = onnx.FromFloat32([]float32{7, 1, 2, 9}, 4).Raw

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub", "w.bin"), content)
	write(t, filepath.Join(dir, "two.bin"), content[4:12])
	if err := os.Symlink("two.bin", filepath.Join(dir, "link.bin")); err != nil {
		t.Fatal(err)
	}
	for _, entries := range [][]string{
		{"location", "sub/w.bin", "offset", "4", "length", "8", "checksum", "ignored"},
		{"location", "two.bin"},
		{"location", "link.bin"}, // within the folder
	} {
		m, err := onnx.Load(write(t, filepath.Join(dir, "m.onnx"), outside(t, entries...)))
		if err != nil {
			t.Fatalf("%v: %v", entries, err)
		}
		w := m.Graph().Initializer[0]
		if !m.External || !bytes.Equal(w.RawData, content[4:12]) || w.ExternalData != nil || w.DataLocation != nil {
			t.Errorf("%v: got %v", entries, w)
		}
	}
}

func TestExternalDataRefused(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "models")
	if err := os.MkdirAll(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "w.bin"), content)
	secret := write(t, filepath.Join(top, "secret.bin"), content)
	for name, target := range map[string]string{"escape": "../secret.bin", "absolute": secret, "loop": "loop", "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		entries []string
		want    string
	}{
		{"absent", []string{"location", "none.bin"}, "none.bin"},
		{"no location", nil, "leaves the model's folder"},
		{"above", []string{"location", "../secret.bin"}, "leaves the model's folder"},
		{"above by detour", []string{"location", "folder/../../secret.bin"}, "leaves the model's folder"},
		{"absolute", []string{"location", secret}, "leaves the model's folder"},
		{"symlink above", []string{"location", "escape"}, "escape"},
		{"symlink to an absolute path", []string{"location", "absolute"}, "absolute"},
		{"folder symlink", []string{"location", "up/secret.bin"}, "up/secret.bin"},
		{"symlink loop", []string{"location", "loop"}, "loop"},
		{"folder", []string{"location", "folder"}, "is no file"},
		{"pipe", []string{"location", "pipe"}, "is no file"},
		{"beyond the end", []string{"location", "w.bin", "offset", "12", "length", "8"}, "has 16 bytes"},
		{"offset beyond the end", []string{"location", "w.bin", "offset", "17"}, "has 16 bytes"},
		{"negative offset", []string{"location", "w.bin", "offset", "-1"}, "bad offset"},
		{"negative length", []string{"location", "w.bin", "length", "-1"}, "bad length"},
		{"no number", []string{"location", "w.bin", "length", "many"}, "bad length"},
		{"overflow", []string{"location", "w.bin", "offset", "1", "length", strconv.Itoa(1<<63 - 1)}, "has 16 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, "m.onnx"), outside(t, c.entries...))
			_, err := onnx.Load(path)
			f := refused(t, err, "external_data", path)
			if f.Value != "w" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("value %q: %v", f.Value, err)
			}
		})
	}
}

// Tensors of nodes, of subgraphs and of functions may lie elsewhere too.
func TestExternalDataOfAttributes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "w.bin"), content[:8])
	tensor := func() *onnx.TensorProto {
		p := onnx.FromFloat32([]float32{0, 0}, 2).Proto("")
		refer(p, "location", "w.bin")
		return p
	}
	constant := func() *onnx.Node {
		return onnx.NewNode("Constant", "k", nil, []string{"k"}, onnx.TensorAttr("value", tensor()))
	}
	m := onnxtest.Build(t, "input c bool[]\ny = If(c)\noutput y")
	m.Graph().Node[0].Attribute = []*onnx.Attribute{
		{Name: proto.String("then_branch"), G: &onnx.Graph{Node: []*onnx.Node{constant()}}},
		{Name: proto.String("list"), Tensors: []*onnx.TensorProto{tensor()}},
	}
	m.Proto.Functions = []*onnx.Function{{Name: proto.String("f"), Node: []*onnx.Node{constant()}}}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, err = onnx.Load(write(t, filepath.Join(dir, "m.onnx"), data))
	if err != nil {
		t.Fatal(err)
	}
	attrs := m.Graph().Node[0].Attribute
	for name, p := range map[string]*onnx.TensorProto{
		"subgraph": attrs[0].G.Node[0].Attribute[0].T, "list": attrs[1].Tensors[0],
		"function": m.Proto.Functions[0].Node[0].Attribute[0].T,
	} {
		if !bytes.Equal(p.RawData, content[:8]) {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// Parse alone reads no other files; the tensor is then refused, not taken for zeros.
func TestUnresolvedExternalData(t *testing.T) {
	m, err := onnx.Parse(outside(t, "location", "w.bin"), "m.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onnx.TensorOf(m.Graph().Initializer[0]); fault.As(err) == nil {
		t.Error("no error for data that was not read")
	}
}
