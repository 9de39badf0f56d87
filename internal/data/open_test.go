package data

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

func TestReadsEveryType(t *testing.T) {
	tests := []struct {
		descr  string
		dtype  onnx.DType
		values any
		want   []float64
	}{
		{"<f2", onnx.Float16, []uint16{0x3c00, 0xc000}, []float64{1, -2}},
		{"<f4", onnx.Float, []float32{1.5, -2}, []float64{1.5, -2}},
		{">f4", onnx.Float, []float32{1.5, -2}, []float64{1.5, -2}},
		{"<f8", onnx.Double, []float64{1.5, -2}, []float64{1.5, -2}},
		{"|i1", onnx.Int8, []int8{-3, 4}, []float64{-3, 4}},
		{">i2", onnx.Int16, []int16{-300, 4}, []float64{-300, 4}},
		{"<i4", onnx.Int32, []int32{-70000, 4}, []float64{-70000, 4}},
		{">i8", onnx.Int64, []int64{-1 << 40, 4}, []float64{-1 << 40, 4}},
		{"|u1", onnx.Uint8, []uint8{200, 4}, []float64{200, 4}},
		{"<u2", onnx.Uint16, []uint16{60000, 4}, []float64{60000, 4}},
		{"<u4", onnx.Uint32, []uint32{1 << 31, 4}, []float64{1 << 31, 4}},
		{">u8", onnx.Uint64, []uint64{1 << 50, 4}, []float64{1 << 50, 4}},
		{"|b1", onnx.Bool, []uint8{0, 7}, []float64{0, 1}},
	}
	for _, test := range tests {
		file := npy(test.descr, false, []int64{2, 1}, test.values)
		d := open(t, write(t, "x.npy", file), Options{})
		feeds, err := d.Batch(0, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got := feeds[""]; got.DType != test.dtype || !slices.Equal(all(t, d), test.want) {
			t.Errorf("%s: %v %v, want %v", test.descr, got.DType, all(t, d), test.want)
		}
	}
}

// The same (2,2,3) array in both orders, stored and deflated, read in all ways of batching.
func TestReadsBothOrders(t *testing.T) {
	c, f := ramp(12), make([]float32, 12)
	for i := range 2 {
		for j := range 2 {
			for k := range 3 {
				f[i+2*(j+2*k)] = c[(i*2+j)*3+k]
			}
		}
	}
	shape := []int64{2, 2, 3}
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		path := npz(t, method, entry{"c", npy("<f4", false, shape, c)}, entry{"f", npy("<f4", true, shape, f)})
		d := open(t, path, Options{})
		for _, r := range [][2]int{{0, 2}, {0, 1}, {1, 2}} {
			feeds, err := d.Batch(r[0], r[1])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(feeds["c"].Raw, feeds["f"].Raw) || len(feeds["c"].Raw) != 24*(r[1]-r[0]) {
				t.Errorf("method %d, samples %v: the orders differ", method, r)
			}
		}
	}
}

func TestRealFiles(t *testing.T) {
	const dir = "../../testdata/models/"
	in := InputSpec{"input", onnx.Float, []onnx.Dim{{Size: -1, Param: "batch"}, {Size: 1}, {Size: 28}, {Size: 28}}}
	calib := bind(t, open(t, dir+"fmnist_calib.npz", Options{}), in)
	test := bind(t, open(t, dir+"fmnist_test.npz", Options{}), in)
	if calib.Samples() != 640 || test.Samples() != 2000 || len(calib.Warnings)+len(test.Warnings) > 0 {
		t.Errorf("%d and %d samples, warnings %v %v", calib.Samples(), test.Samples(), calib.Warnings, test.Warnings)
	}
	labels, err := test.Labels()
	if err != nil || len(labels) != 2000 || slices.Max(labels) != 9 || slices.Min(labels) != 0 {
		t.Errorf("%d labels, %v", len(labels), err)
	}
	stats, err := Stats(calib, 0)
	if err != nil || math.Abs(stats[0].Mean) > 0.1 || math.Abs(stats[0].Min+0.2860/0.3530) > 1e-3 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if n, err := Overlap(test, calib); n != 0 || err != nil {
		t.Errorf("%d test samples in the calibration data, %v", n, err)
	}
}

func TestScratchFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d := &Dataset{}
	r, err := d.scratch(strings.NewReader("large"))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 3)
	if err := readAt(r, got, 2); err != nil || string(got) != "rge" {
		t.Errorf("read %q, %v", got, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestLabels(t *testing.T) {
	x := entry{"x", npy("<f4", false, []int64{2, 1}, ramp(2))}
	file := func(e entry) *Dataset { return open(t, npz(t, zip.Store, x, e), Options{}) }
	for _, shape := range [][]int64{{2}, {2, 1}} {
		got, err := file(entry{"label", npy("|u1", false, shape, []uint8{7, 200})}).Labels("")
		if err != nil || !slices.Equal(got, []int64{7, 200}) {
			t.Errorf("labels %v, %v", got, err)
		}
	}
	got, err := file(entry{"y", npy("<i8", false, []int64{2}, []int64{-1, 5})}).Labels("y")
	if err != nil || !slices.Equal(got, []int64{-1, 5}) {
		t.Errorf("labels %v, %v", got, err)
	}
	refusals := []struct {
		e    entry
		says string
	}{
		{entry{"y", npy("<i8", false, []int64{2}, []int64{1, 5})}, "--label-array"},
		{entry{"label", npy("<f4", false, []int64{2}, ramp(2))}, "integers"},
		{entry{"label", npy("<i4", false, []int64{2, 2}, []int32{0, 1, 1, 0})}, ".argmax(1)"},
		{entry{"label", npy("<u8", false, []int64{2}, []uint64{0, 1 << 63})}, "sample 1"},
	}
	for _, r := range refusals {
		_, err := file(r.e).Labels("")
		refused(t, err, fault.Data, "data.npz", r.says)
	}
	if b := bind(t, file(refusals[1].e), spec("other", onnx.Float, -1, 1)); len(b.Warnings) > 0 {
		t.Error("the label array counts as an input")
	}
}

func TestOpenRefuses(t *testing.T) {
	one := npy("<f4", false, []int64{2, 1}, ramp(2))
	header := func(dict string) []byte { return npyRaw(dict, make([]byte, 8)) }
	dict := func(descr, shape string) []byte {
		return header("{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }")
	}
	tests := []struct {
		name string
		file []byte
		says string
	}{
		{"empty file", nil, "neither"},
		{"text", []byte("1,2,3\n"), "neither"},
		{"only magic", []byte(npyMagic), "not an .npy"},
		{"version 9", append([]byte(npyMagic), 9, 0, 0, 0, 0, 0), "version 9"},
		{"header of 4 GB", append([]byte(npyMagic), 2, 0, 255, 255, 255, 255), "claims"},
		{"cut header", one[:40], "cut short"},
		{"cut data", one[:len(one)-1], "cut short"},
		{"trailing data", append(slices.Clone(one), 0), "1 bytes follow"},
		{"no samples", npy("<f4", false, []int64{0, 3}, []float32{}), "empty"},
		{"empty samples", npy("<f4", false, []int64{3, 0}, []float32{}), "empty"},
		{"scalar", dict("'<f8'", "()"), "scalar"},
		{"10^12 elements", dict("'<f4'", "(1000000, 1000000)"), "cut short"},
		{"overflow", dict("'<f4'", "(4611686018427387904, 4)"), "more elements"},
		{"overflow behind a zero", dict("'<f4'", "(0, 4611686018427387904, 4)"), "more elements"},
		{"negative", dict("'<f4'", "(-2, 1)"), "damaged"},
		{"many axes", dict("'<f4'", "("+strings.Repeat("1, ", 40)+")"), "damaged"},
		{"objects", dict("'|O'", "(1,)"), "pickled"},
		{"strings", dict("'<U4'", "(1,)"), "not numbers"},
		{"complex", dict("'<c8'", "(1,)"), "not numbers"},
		{"structured", dict("[('a', '<f4')]", "(1,)"), "structured"},
		{"unknown type", dict("'<f3'", "(1,)"), "unknown"},
		{"short type", dict("'f'", "(1,)"), "unknown"},
		{"no shape", header("{'descr': '<f4', 'fortran_order': False}"), "damaged"},
		{"key twice", header("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}"), "damaged"},
		{"code", header("__import__('os')"), "damaged"},
		{"only PK", []byte("PK\x03\x04garbage"), "damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(write(t, "x.npy", test.file), Options{})
			refused(t, err, fault.Data, "x.npy", test.says)
		})
	}
	_, err := Open(t.TempDir(), Options{})
	refused(t, err, fault.Data, "regular file")
	_, err = Open("nowhere.npz", Options{})
	refused(t, err, fault.Data, "nowhere.npz", "no such file")
}

func TestNpzRefuses(t *testing.T) {
	x := npy("<f4", false, []int64{2, 1}, ramp(2))
	tests := []struct {
		says    string
		entries []entry
	}{
		{"holds no array", nil},
		{"two arrays", []entry{{"x", x}, {"x", x}}},
		{`value "y": 3 samples`, []entry{{"x", x}, {"y", npy("<f4", false, []int64{3}, ramp(3))}}},
		{`value "x": this is`, []entry{{"x", []byte("not an array")}}},
		{`value "x": the array`, []entry{{"x", x[:len(x)-2]}}},
	}
	for _, test := range tests {
		for _, method := range []uint16{zip.Store, zip.Deflate} {
			_, err := Open(npz(t, method, test.entries...), Options{})
			refused(t, err, fault.Data, "data.npz", test.says)
		}
	}
}

// A flipped byte in the data shows in the checksum, for stored and deflated entries.
func TestNpzDamaged(t *testing.T) {
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		path := npz(t, method, entry{"x", npy("<f4", false, []int64{500, 1}, ramp(500))})
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)-200] ^= 0x10
		d := open(t, write(t, "bad.npz", content), Options{})
		_, err = d.Bind([]InputSpec{spec("x", onnx.Float, -1, 1)})
		refused(t, err, fault.Data, "bad.npz", `"x"`)
	}
}

// An entry that claims more than deflate can hold, or inflates beyond reason, is never inflated.
func TestZipBomb(t *testing.T) {
	file := func(claim uint64, packed int) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateRaw(&zip.FileHeader{
			Name: "x.npy", Method: zip.Deflate, UncompressedSize64: claim, CompressedSize64: uint64(packed),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, packed))
		z.Close()
		return write(t, "bomb.npz", b.Bytes())
	}
	_, err := Open(file(1<<40, 1000), Options{})
	refused(t, err, fault.Data, "bomb.npz", `"x"`, "cannot hold")
	_, err = Open(file(2<<30, 4<<20), Options{})
	refused(t, err, fault.Data, "bomb.npz", `"x"`, "inflates to 512 times")
}

func FuzzOpen(f *testing.F) {
	x := npy("<f4", true, []int64{2, 3}, ramp(6))
	f.Add(x)
	f.Add(npy(">i8", false, []int64{2}, []int64{1, 2}))
	f.Add(binary.LittleEndian.AppendUint32(append([]byte(npyMagic), 2, 0), 1<<31))
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		content, err := os.ReadFile(npz(f, method, entry{"x", x}, entry{"label", npy("|u1", false, []int64{2}, []uint8{0, 1})}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := Open(write(t, "x", content), Options{})
		if err == nil {
			defer d.Close()
			if _, err = d.Bind([]InputSpec{{Name: "x", DType: onnx.Float}}); err == nil {
				_, err = d.Batch(0, 1)
			}
			d.Labels("")
		}
		if err != nil && fault.As(err).Kind != fault.Data {
			t.Errorf("not a data fault: %v", err)
		}
	})
}
