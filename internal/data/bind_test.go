package data

import (
	"archive/zip"
	"math"
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/internal/fault"
	"github.com/onnx-zip/onnx-zip/onnx"
)

// one opens a file of a single array named x.
func one(t testing.TB, o Options, descr string, shape []int64, values any) *Dataset {
	t.Helper()
	return open(t, npz(t, zip.Store, entry{"x", npy(descr, false, shape, values)}), o)
}

func codes(b *Bound) []string {
	var out []string
	for _, w := range b.Warnings {
		out = append(out, w.Code)
	}
	return out
}

func TestInputs(t *testing.T) {
	m, err := onnx.Load("../../testdata/models/fmnist_mlp_a.onnx")
	if err != nil {
		t.Fatal(err)
	}
	in, err := Inputs(m)
	if err != nil || len(in) != 1 || in[0].Name != "input" || in[0].describe() != "float32 (N,1,28,28)" {
		t.Errorf("inputs %v, %v", in, err)
	}
}

func TestPairing(t *testing.T) {
	a := entry{"a", npy("<f4", false, []int64{2, 1}, ramp(2))}
	b := entry{"b", npy("<i8", false, []int64{2, 1}, []int64{7, 8})}
	two := open(t, npz(t, zip.Store, a, b), Options{})
	inA, inB := spec("a", onnx.Float, -1, 1), spec("b", onnx.Int64, -1, 1)

	feeds, err := bind(t, two, inB, inA).Batch(1, 2)
	if err != nil || len(feeds) != 2 || feeds["b"].Raw[0] != 8 {
		t.Errorf("feeds %v, %v", feeds, err)
	}
	if got := codes(bind(t, two, inA)); !slices.Equal(got, []string{"unused_array"}) {
		t.Errorf("warnings %v", got)
	}
	_, err = two.Bind([]InputSpec{inA, spec("c", onnx.Float, -1, 1)})
	refused(t, err, fault.Data, "data.npz", `"c"`, "a float32 (2,1), b int64 (2,1)", "c float32 (N,1)", `np.savez("data.npz", **{"a": …, "c": …})`)
	_, err = two.Bind(nil)
	refused(t, err, fault.Data, "no input")

	// One array and one input need no common name, in an .npy or an .npz file.
	lone := open(t, write(t, "x.npy", a.npy), Options{})
	if got := all(t, bind(t, lone, spec("input", onnx.Float, -1, 1))); !slices.Equal(got, []float64{0, 1}) {
		t.Errorf("values %v", got)
	}
	bind(t, open(t, npz(t, zip.Deflate, a), Options{}), spec("input", onnx.Float, -1, 1))
	_, err = lone.Bind([]InputSpec{inA, inB})
	refused(t, err, fault.Data, "x.npy", "without a name")
}

func TestConversions(t *testing.T) {
	rescale := Options{Scale: 0.5, Mean: []float64{1, 2}, Std: []float64{4}}
	tests := []struct {
		name   string
		o      Options
		descr  string
		values any // of shape (1,2)
		to     onnx.DType
		want   []float64
		warns  []string
	}{
		{"same", Options{}, "<f4", []float32{1, 2}, onnx.Float, []float64{1, 2}, nil},
		{"float64 exact", Options{}, "<f8", []float64{1, 0.5}, onnx.Float, []float64{1, 0.5}, nil},
		{"float64 rounded", Options{}, "<f8", []float64{1, 0.1}, onnx.Float, []float64{1, float64(float32(0.1))}, []string{"values_rounded"}},
		{"widened", Options{}, "<f4", []float32{1, 0.1}, onnx.Double, []float64{1, float64(float32(0.1))}, nil},
		{"half", Options{}, "<f4", []float32{1, 0.1}, onnx.Float16, []float64{1, 0.0999755859375}, []string{"values_rounded"}},
		{"bfloat16 bits", Options{BFloat16Bits: true}, "<u2", []uint16{0x3f80, 0xc000}, onnx.BFloat16, []float64{1, -2}, nil},
		{"int64 to int32", Options{}, "<i8", []int64{-5, math.MaxInt32}, onnx.Int32, []float64{-5, math.MaxInt32}, nil},
		{"uint8 to int64", Options{}, "|u1", []uint8{200, 3}, onnx.Int64, []float64{200, 3}, nil},
		{"int8 to int16", Options{}, "|i1", []int8{-100, 3}, onnx.Int16, []float64{-100, 3}, nil},
		{"rescaled integers", rescale, "|u1", []uint8{10, 20}, onnx.Float, []float64{1, 2}, nil},
		{"rescaled floats", rescale, "<f4", []float32{10, 20}, onnx.Float, []float64{1, 2}, nil},
		{"only scale", Options{Scale: 0.5}, "<i2", []int16{-2, 1}, onnx.Float, []float64{-1, 0.5}, nil},
		{"scale for integers", Options{Scale: 0.5}, "|u1", []uint8{2, 1}, onnx.Uint8, []float64{2, 1}, []string{"scale_unused"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := bind(t, one(t, test.o, test.descr, []int64{1, 2}, test.values), spec("x", test.to, -1, 2))
			if got := all(t, b); !slices.Equal(got, test.want) || !slices.Equal(codes(b), test.warns) {
				t.Errorf("%v with warnings %v, want %v with %v", got, codes(b), test.want, test.warns)
			}
			feeds, _ := b.Batch(0, 1)
			if feeds["x"].DType != test.to {
				t.Errorf("type %v, want %v", feeds["x"].DType, test.to)
			}
		})
	}
}

func TestConversionsRefused(t *testing.T) {
	tests := []struct {
		name   string
		o      Options
		descr  string
		values any // of shape (2,1)
		to     onnx.DType
		says   []string
	}{
		{"uint8 for float", Options{}, "|u1", []uint8{1, 2}, onnx.Float, []string{"uint8", "float32", "--scale 0.00392157"}},
		{"int64 for float", Options{}, "<i8", []int64{1, 2}, onnx.Float, []string{"int64", "--scale"}},
		{"bfloat16 bits unasked", Options{}, "<u2", []uint16{1, 2}, onnx.BFloat16, []string{"save it as float32"}},
		{"float for int", Options{}, "<f4", ramp(2), onnx.Int64, []string{".astype(np.int64)"}},
		{"bool for int", Options{}, "|b1", []uint8{0, 1}, onnx.Int64, []string{"bool"}},
		{"string input", Options{}, "<f4", ramp(2), onnx.String, []string{"STRING"}},
		{"int32 overflow", Options{}, "<i8", []int64{1, 1 << 31}, onnx.Int32, []string{"1 values", "sample 1"}},
		{"negative for unsigned", Options{}, "<i8", []int64{-1, 1}, onnx.Uint64, []string{"1 values", "sample 0"}},
		{"uint64 for int64", Options{}, "<u8", []uint64{1, 1 << 63}, onnx.Int64, []string{"sample 1"}},
		{"NaN", Options{}, "<f4", []float32{0, nan()}, onnx.Float, []string{"1 values are NaN", "sample 1"}},
		{"infinite double", Options{}, "<f8", []float64{math.Inf(1), 0}, onnx.Double, []string{"sample 0"}},
		{"infinite half", Options{}, "<f2", []uint16{0x7c00, 0x7e00}, onnx.Float16, []string{"2 values", "sample 0"}},
		{"overflow of float32", Options{}, "<f8", []float64{0, 1e300}, onnx.Float, []string{"infinite as float32", "sample 1"}},
		{"means for two channels", Options{Mean: []float64{1, 2}}, "|u1", []uint8{1, 2}, onnx.Float, []string{"--mean", "1 channels"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := one(t, test.o, test.descr, []int64{2, 1}, test.values)
			_, err := d.Bind([]InputSpec{spec("x", test.to, -1, 1)})
			refused(t, err, fault.Data, append(test.says, "data.npz", `"x"`)...)
		})
	}
	for _, o := range []Options{{Std: []float64{0}}, {Scale: math.NaN()}, {Mean: []float64{math.Inf(1)}}} {
		_, err := one(t, o, "|u1", []int64{1}, []uint8{1}).Bind([]InputSpec{spec("x", onnx.Float, -1)})
		refused(t, err, fault.Usage, "above zero")
	}
}

// The scan reads in parts; a fault in a later part is counted with the earlier and placed right.
func TestScanInParts(t *testing.T) {
	const n, row = 9, 1 << 19 // 2 MiB each, so four in a part
	x := make([]float32, n*row)
	x[5*row+3], x[8*row] = nan(), nan()
	d := open(t, npz(t, zip.Store, entry{"x", npy("<f4", false, []int64{n, row}, x)}), Options{})
	_, err := d.Bind([]InputSpec{spec("x", onnx.Float, -1, row)})
	refused(t, err, fault.Data, "2 values", "sample 5")
}

func TestShapes(t *testing.T) {
	tests := []struct {
		shape []int64
		in    []int64
		says  []string // nil: it fits
	}{
		{[]int64{2, 1, 3, 3}, []int64{-1, 1, 3, 3}, nil},
		{[]int64{2, 1, 3, 3}, []int64{-1, 1, -1, -1}, nil},
		{[]int64{6, 28, 20, 1}, []int64{-1, 1, 28, 20}, []string{"NHWC (6,28,20,1); the model takes NCHW (N,1,28,20)", "x.transpose(0,3,1,2)"}},
		{[]int64{6, 28, 20, 3}, []int64{-1, 3, -1, -1}, []string{"x.transpose(0,3,1,2)"}},
		{[]int64{6, 3, 28, 20}, []int64{-1, 28, 20, 3}, []string{"NCHW", "NHWC (N,28,20,3)", "x.transpose(0,2,3,1)"}},
		{[]int64{6, 10}, []int64{-1, 6}, []string{"x.transpose(1,0)"}},
		{[]int64{6, 9}, []int64{-1, 1, 3, 3}, []string{"(6,9)", "x.reshape(-1,1,3,3)"}},
		{[]int64{1, 3, 3}, []int64{-1, 1, 3, 3}, []string{"x[None]"}},
		{[]int64{6, 1, 5, 5}, []int64{-1, 1, 3, 3}, []string{"(6,1,5,5)", "(N,1,3,3)"}},
		{[]int64{6, 2}, []int64{}, []string{"scalar"}},
	}
	for _, test := range tests {
		n := int64(1)
		for _, size := range test.shape {
			n *= size
		}
		d := one(t, Options{}, "<f4", test.shape, ramp(int(n)))
		_, err := d.Bind([]InputSpec{spec("x", onnx.Float, test.in...)})
		if test.says == nil && err != nil {
			t.Errorf("%v for %v: %v", test.shape, test.in, err)
		} else if test.says != nil {
			refused(t, err, fault.Data, append(test.says, "data.npz", `"x"`)...)
		}
	}
	bind(t, one(t, Options{}, "<f4", []int64{2, 3}, ramp(6)), InputSpec{Name: "x", DType: onnx.Float})
}

func TestSymbols(t *testing.T) {
	ids := func(name string, length int64) entry {
		return entry{name, npy("<i8", false, []int64{2, length}, make([]int64, 2*length))}
	}
	in := func(name string) InputSpec {
		return InputSpec{name, onnx.Int64, []onnx.Dim{{Size: -1, Param: "batch"}, {Size: -1, Param: "seq"}}}
	}
	bind(t, open(t, npz(t, zip.Store, ids("a", 5), ids("b", 5)), Options{}), in("a"), in("b"))
	d := open(t, npz(t, zip.Store, ids("a", 5), ids("b", 6)), Options{})
	_, err := d.Bind([]InputSpec{in("a"), in("b")})
	refused(t, err, fault.Data, `"b"`, "seq is 5 elsewhere")
}

func TestFixedBatch(t *testing.T) {
	b := ramps(t, 4, 0, 10)
	if b.Samples() != 8 || b.BatchSize() != 4 || !slices.Equal(codes(b), []string{"partial_batch"}) {
		t.Errorf("%d samples in batches of %d, warnings %v", b.Samples(), b.BatchSize(), codes(b))
	}
	if labels, err := b.Labels(); len(labels) != 8 || err != nil {
		t.Errorf("labels %v, %v", labels, err)
	}
	d := one(t, Options{}, "<f4", []int64{3, 1}, ramp(3))
	_, err := d.Bind([]InputSpec{spec("x", onnx.Float, 4, 1)})
	refused(t, err, fault.Data, "3 samples", "exactly 4")

	two := open(t, npz(t, zip.Store, entry{"a", npy("<f4", false, []int64{4}, ramp(4))}, entry{"b", npy("<f4", false, []int64{4}, ramp(4))}), Options{})
	_, err = two.Bind([]InputSpec{spec("a", onnx.Float, 2), spec("b", onnx.Float, 4)})
	refused(t, err, fault.Data, `"b"`, "batches of 4")
}

func TestBatchRange(t *testing.T) {
	b := ramps(t, -1, 0, 3)
	for _, r := range [][2]int{{-1, 1}, {0, 4}, {2, 2}, {2, 1}} {
		_, err := b.Batch(r[0], r[1])
		refused(t, err, fault.Internal, "samples [")
	}
}
