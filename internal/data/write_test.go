package data

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// npy writes the .npy format, version 1. values is anything that binary.Write takes.
func npy(descr string, fortran bool, shape []int64, values any) []byte {
	order := map[bool]string{true: "True", false: "False"}[fortran]
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, tuple(shape))
	var endian binary.ByteOrder = binary.LittleEndian
	if descr[0] == '>' {
		endian = binary.BigEndian
	}
	var body bytes.Buffer
	if err := binary.Write(&body, endian, values); err != nil {
		panic(err)
	}
	return npyRaw(dict, body.Bytes())
}

func npyRaw(dict string, body []byte) []byte {
	dict += strings.Repeat(" ", 63-(10+len(dict))%64) + "\n"
	out := append([]byte(npyMagic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(dict)))
	return append(append(out, dict...), body...)
}

type entry struct {
	name string
	npy  []byte
}

// npz writes an archive into a temporary file and returns its path.
func npz(t testing.TB, method uint16, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name + ".npy", Method: method})
		if err == nil {
			_, err = w.Write(e.npy)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return write(t, "data.npz", b.Bytes())
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o Options) *Dataset {
	t.Helper()
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func bind(t testing.TB, d *Dataset, inputs ...InputSpec) *Bound {
	t.Helper()
	b, err := d.Bind(inputs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spec declares an input; a negative size is open and counts as the symbol N on axis 0.
func spec(name string, t onnx.DType, sizes ...int64) InputSpec {
	return InputSpec{name, t, onnx.Static(sizes...)}
}

// ramp is 0, 1, 2, … as float32.
func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return v
}

// ramps is a bound source of n samples of one value each, start, start+1, …, with labels ten times that.
func ramps(t testing.TB, batch int64, start, n int) *Bound {
	x, labels := make([]float32, n), make([]int32, n)
	for i := range x {
		x[i], labels[i] = float32(start+i), int32(10*(start+i))
	}
	path := npz(t, zip.Store,
		entry{"x", npy("<f4", false, []int64{int64(n), 1}, x)},
		entry{"label", npy("<i4", false, []int64{int64(n)}, labels)})
	return bind(t, open(t, path, Options{}), spec("x", onnx.Float, batch, 1))
}

// all reads the only input of a source as numbers, three samples at a time.
func all(t testing.TB, src interface {
	Samples() int
	Batch(from, to int) (map[string]*onnx.Tensor, error)
}) []float64 {
	t.Helper()
	var out []float64
	for from := 0; from < src.Samples(); from += 3 {
		feeds, err := src.Batch(from, min(from+3, src.Samples()))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range feeds {
			v, err := x.Float64s()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v...)
		}
	}
	return out
}

// refused checks that err is a fault of that kind whose text and hint contain all the words.
func refused(t testing.TB, err error, kind fault.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	e := fault.As(err)
	if e.Kind != kind {
		t.Errorf("kind %v of %v, want %v", e.Kind, err, kind)
	}
	text := err.Error() + "; hint: " + e.Hint
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not say %q", text, w)
		}
	}
}

func nan() float32 { return float32(math.NaN()) }

var _ io.Closer = (*Dataset)(nil)
