package onnx_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
	"google.golang.org/protobuf/proto"
)

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused wants an error of kind fault.Model with that code, which names the file.
func refused(t *testing.T, err error, code, file string) *fault.Error {
	t.Helper()
	f := fault.As(err)
	if f == nil {
		t.Fatalf("no error, want %s", code)
	}
	if f.Kind != fault.Model || f.Code != code || f.File != file {
		t.Errorf("kind %d, code %s, file %q: %v", f.Kind, f.Code, f.File, err)
	}
	return f
}

func TestLoad(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a.onnx"), smallBytes(t))
	m, err := onnx.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.File != path || m.External || m.Opset("") != 17 || m.Opset("com.microsoft") != 1 || m.Opset("none") != 0 {
		t.Errorf("file %q, external %v, opset %d", m.File, m.External, m.Opset(""))
	}
	a, err := m.Hash()
	if err != nil || len(a) != 64 {
		t.Fatalf("hash %q, %v", a, err)
	}
	m.SetMetadata("k", "1")
	m.SetMetadata("k", "2")
	if b, _ := m.Hash(); a == b || m.Metadata("k") != "2" || m.Metadata("none") != "" || len(m.Proto.MetadataProps) != 1 {
		t.Errorf("metadata %v", m.Proto.MetadataProps)
	}
	if c := m.Clone(); !onnx.Equal(c.Proto, m.Proto) || c.File != m.File {
		t.Error("a clone differs")
	}
}

func TestLoadRefusesWhatIsNoModel(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	noise[0] = 0xff
	for _, c := range []struct {
		name string
		data []byte
		code string
		hint string
	}{
		{"empty", nil, "not_onnx", ""},
		{"zip", []byte("PK\x03\x04rest of an archive"), "not_onnx", "torch.onnx.export"},
		{"pickle", []byte("\x80\x02}q\x00."), "not_onnx", "torch.onnx.export"},
		{"lfs", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"), "not_onnx", "git lfs pull"},
		{"hdf", []byte("\x89HDF\r\n\x1a\n"), "not_onnx", "Keras"},
		{"tflite", []byte("\x1c\x00\x00\x00TFL3\x00\x00"), "not_onnx", "TensorFlow Lite"},
		{"noise", noise, "not_onnx", "ONNX exporter"},
		{"text", []byte("hello, world"), "not_onnx", "ONNX exporter"},
		{"no graph", []byte{0x08, 0x08}, "damaged", "again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, filepath.Join(dir, c.name), c.data)
			_, err := onnx.Load(path)
			if f := refused(t, err, c.code, path); !strings.Contains(f.Hint, c.hint) {
				t.Errorf("hint %q", f.Hint)
			}
		})
	}
}

func TestLoadRefusesPaths(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.onnx")
	_, err := onnx.Load(missing)
	refused(t, err, "no_file", missing)
	_, err = onnx.Load(dir)
	refused(t, err, "not_readable", dir)
	if strings.Count(err.Error(), dir) != 1 {
		t.Errorf("the path is not named once: %v", err)
	}
}

// A file that is cut short is refused, whatever its length, unless the cut happens to leave a whole model.
func TestLoadRefusesCutFiles(t *testing.T) {
	data := smallBytes(t)
	lengths := make([]int, len(data))
	for i := range lengths {
		lengths[i] = i
	}
	cutAt(t, data, lengths)
	for _, path := range onnxtest.Models(t)[:1] {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lengths = lengths[:0]
		for n := 0; n < len(data); n += 1 + len(data)/200 {
			lengths = append(lengths, n)
		}
		for n := max(0, len(data)-100); n < len(data); n++ {
			lengths = append(lengths, n)
		}
		cutAt(t, data, lengths)
	}
}

func cutAt(t *testing.T, data []byte, lengths []int) {
	t.Helper()
	for _, n := range lengths {
		m, err := onnx.Parse(data[:n], "cut.onnx")
		if err == nil {
			if out, _ := m.Marshal(); !bytes.Equal(out, data[:n]) {
				t.Fatalf("cut at %d of %d: a model that is not the file", n, len(data))
			}
			continue
		}
		f := fault.As(err)
		if f.Kind != fault.Model || f.File != "cut.onnx" || n > 1 && f.Code != "damaged" {
			t.Fatalf("cut at %d of %d: %s, %v", n, len(data), f.Code, err)
		}
	}
}

func TestAttributes(t *testing.T) {
	n := onnx.NewNode("Op", "n", nil, []string{"y"}, onnx.Int("i", 3), onnx.FloatAttr("f", 0.5), onnx.StringAttr("s", "x"),
		onnx.Ints("l", 1, 2), onnx.TensorAttr("t", onnx.FromInt64([]int64{1}, 1).Proto("v")))
	if onnx.AttrInt(n, "i", 0) != 3 || onnx.AttrFloat(n, "f", 0) != 0.5 || onnx.AttrString(n, "s", "") != "x" ||
		len(onnx.AttrInts(n, "l")) != 2 || onnx.AttrTensor(n, "t").GetName() != "v" {
		t.Errorf("got %v", n)
	}
	if onnx.AttrInt(n, "none", 7) != 7 || onnx.AttrFloat(n, "none", 7) != 7 || onnx.AttrString(n, "none", "d") != "d" ||
		onnx.AttrInts(n, "none") != nil || onnx.AttrTensor(n, "none") != nil || onnx.AttrInt(n, "f", 9) != 9 {
		t.Error("defaults")
	}
	onnx.SetAttr(n, onnx.Int("i", 4))
	onnx.SetAttr(n, onnx.Int("j", 5))
	onnx.DeleteAttr(n, "f")
	onnx.DeleteAttr(n, "none")
	if onnx.AttrInt(n, "i", 0) != 4 || onnx.AttrInt(n, "j", 0) != 5 || onnx.Attr(n, "f") != nil || len(n.Attribute) != 5 {
		t.Errorf("got %v", n)
	}
}

// Writers that take the format for proto3 leave out a value that is zero; the type says that it is there.
func TestZeroAttributeWithoutValue(t *testing.T) {
	n := onnx.NewNode("Op", "n", nil, nil, onnx.Int("i", 0), onnx.FloatAttr("f", 0), onnx.StringAttr("s", ""))
	for _, a := range n.Attribute {
		a.I, a.F, a.S = nil, nil, nil
	}
	if onnx.AttrInt(n, "i", 1) != 0 || onnx.AttrFloat(n, "f", 1) != 0 || onnx.AttrString(n, "s", "d") != "" {
		t.Error("a zero that is not written was taken for absent")
	}
	n.Attribute[0].RefAttrName = proto.String("outer")
	if onnx.AttrInt(n, "i", 1) != 1 {
		t.Error("a reference to a function's attribute has no value of its own")
	}
}

func TestTensorType(t *testing.T) {
	v := onnx.NewValueInfo("x", onnx.Float16, []onnx.Dim{{Size: 2}, {Size: -1, Param: "N"}, {Size: -1}})
	dtype, dims, ok := onnx.TensorType(v)
	if !ok || dtype != onnx.Float16 || len(dims) != 3 || dims[0].Size != 2 || dims[1] != (onnx.Dim{Size: -1, Param: "N"}) ||
		dims[2] != (onnx.Dim{Size: -1}) {
		t.Errorf("%v %v %v", dtype, dims, ok)
	}
	if _, dims, ok := onnx.TensorType(onnx.NewValueInfo("x", onnx.Float, nil)); !ok || dims != nil {
		t.Error("no shape is not a scalar")
	}
	if _, dims, ok := onnx.TensorType(onnx.NewValueInfo("x", onnx.Float, onnx.Static())); !ok || dims == nil {
		t.Error("a scalar has a shape")
	}
	if _, _, ok := onnx.TensorType(&onnx.ValueInfo{}); ok {
		t.Error("a value without a type is no tensor")
	}
}
