package rewrite

import (
	"slices"
	"testing"

	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

func TestFold(t *testing.T) {
	checkPass(t, "fold", []passTest{
		{
			name: "weights behind a chain",
			model: `
				input x f32[N,4]
				w = init f16[3,2,2] random(1)
				shape = init i64[2] {3, -1}
				a = Cast(w) {to=1}
				b = Reshape(a, shape)
				c = Transpose(b)
				y = MatMul(x, c)
				output y f32[N,3]`,
			want:  "y = MatMul(x, c)",
			kinds: map[string]int{"Cast folded": 1, "Reshape folded": 1, "Transpose folded": 1},
		},
		{
			name: "slices, gathers and joins of weights",
			model: `
				input x f32[N,5]
				w = init f32[6,5] random(1)
				v = init f32[2,5] random(2)
				one = init i64[1] {1}
				last = init i64[1] {-1}
				big = init i64[1] {9223372036854775807}
				low = init i64[1] {-9223372036854775807}
				zero = init i64[1] {0}
				pick = init i64[3] {2, 0, -1}
				row = init i64[] {1}
				a = Slice(w, one, big, zero)
				b = Slice(a, last, low, one, last)
				c = Gather(b, pick)
				d = Concat(c, v) {axis=0}
				e = Transpose(d) {perm=[1,0]}
				f = Gather(v, row)
				g = MatMul(x, e)
				h = MatMul(x, f)
				output g f32[N,5]
				output h f32[N]`,
			want:  "g = MatMul(x, e)\nh = MatMul(x, f)",
			kinds: map[string]int{"Slice folded": 2, "Gather folded": 2, "Concat folded": 1, "Transpose folded": 1},
		},
		{
			name: "a table that a network makes of coordinates",
			model: `
				input x f32[N,3,2]
				grid = init f32[1,3,2] random(1)
				w = init f32[2,4] random(2)
				c = init f32[4] random(3)
				v = init f32[4,2] random(4)
				a = MatMul(grid, w)
				b = Add(a, c)
				d = Relu(b)
				e = MatMul(d, v)
				f = Sigmoid(e)
				y = Add(x, f)
				output y f32[N,3,2]`,
			want:  "y = Add(x, f)",
			kinds: map[string]int{"MatMul folded": 2, "Add folded": 1, "Relu folded": 1, "Sigmoid folded": 1},
		},
		{
			name: "a learned scale within bounds, and a bias of which a part is masked",
			model: `
				input x f32[N,4]
				scale = init f32[4] {1, 7, -3, 2}
				top = init f32[] {4.5}
				low = init f32[1] {-1}
				c = init f32[4] random(1)
				i = init i64[2,1] {1, -2}
				zeros = init f32[2] {0, 0}
				a = Clip(scale, _, top)
				b = Max(a, low)
				d = Min(b, top)
				m = ScatterND(c, i, zeros)
				e = Mul(x, d)
				y = Add(e, m)
				output y f32[N,4]`,
			want:  "e = Mul(x, d)\ny = Add(e, m)",
			kinds: map[string]int{"Clip folded": 1, "Max folded": 1, "Min folded": 1, "ScatterND folded": 1},
		},
		{
			name: "rows that are replaced",
			model: `
				input x f32[N,3]
				w = init f32[4,3] random(1)
				i = init i64[2,1] {3, 0}
				u = init f32[2,3] random(2)
				m = ScatterND(w, i, u)
				j = init i64[2,2] {0, 1, 1, 2}
				v = init f32[2] {5, 6}
				n = ScatterND(m, j, v)
				t = Transpose(n) {perm=[1,0]}
				y = MatMul(x, t)
				output y f32[N,4]`,
			want:  "y = MatMul(x, t)",
			kinds: map[string]int{"ScatterND folded": 2, "Transpose folded": 1},
		},
		{
			name: "updates that are added",
			model: `
				opset 18
				input x f32[N,4]
				c = init f32[4] random(1)
				i = init i64[2,1] {1, 2}
				u = init f32[2] {1, 2}
				m = ScatterND(c, i, u) {reduction="add"}
				y = Add(x, m)
				output y f32[N,4]`,
		},
		{
			name: "filters standardised by what normalises batches, and by hand",
			model: `
				opset 15
				input x f32[N,3,5,5]
				w = init f32[4,3,3,3] random(1)
				v = init f32[1,4,27] random(6)
				flat = init i64[3] {1, 4, -1}
				full = init i64[4] {4, 3, 3, 3}
				gain = init f32[4] random(2)
				shift = init f32[4] random(3)
				mean = init f32[4] random(4)
				var = init f32[4] random(5)
				eps = init f32[] {1e-6}
				a = Reshape(w, flat)
				b, m, s = BatchNormalization(a, gain, shift, mean, var) {training_mode=1, epsilon=1e-6}
				c = Reshape(b, full)
				d = ReduceMean(v) {axes=[2], keepdims=1}
				e = Sub(v, d)
				f = Mul(e, e)
				g = ReduceMean(f) {axes=[0,-1], keepdims=0}
				h = ReduceSum(g, zero) {keepdims=1}
				zero = init i64[1] {0}
				i = Add(h, eps)
				j = Div(e, i)
				k = Reshape(j, full)
				o = Conv(x, c)
				y = Conv(x, k)
				output o f32[N,4,3,3]
				output y f32[N,4,3,3]`,
			want: "o = Conv(x, c)\ny = Conv(x, k)",
			kinds: map[string]int{"Reshape folded": 3, "BatchNormalization folded": 1, "ReduceMean folded": 2, "ReduceSum folded": 1,
				"Sub folded": 1, "Mul folded": 1, "Add folded": 1, "Div folded": 1},
		},
		{
			name: "a sum over everything, and one over nothing",
			model: `
				opset 18
				input x f32[N,3]
				w = init f32[2,3] random(1)
				none = init i64[0] {}
				a = ReduceSum(w, none) {keepdims=0}
				b = ReduceSum(w, none) {noop_with_empty_axes=1}
				c = Transpose(b) {perm=[1,0]}
				d = MatMul(x, c)
				y = Mul(d, a)
				output y f32[N,2]`,
			want:  "b = ReduceSum(w, none) {noop_with_empty_axes=1}\nc = Transpose(b) {perm=[1,0]}\nd = MatMul(x, c)\ny = Mul(d, a)",
			kinds: map[string]int{"ReduceSum folded": 1},
		},
		{
			name: "a table of relative positions, and one that is repeated",
			model: `
				opset 16
				input x f32[N,2,3]
				table = init f32[5,3] random(1)
				i = init i64[2,3,1] {0, -1, 2, 3, 4, -5}
				j = init i64[3,2] {0, 1, -1, 2, 2, -3}
				row = init f32[1,3] random(2)
				r = init i64[2] {2, 1}
				a = GatherND(table, i)
				b = ReduceMean(a) {axes=[1], keepdims=0}
				c = GatherND(table, j)
				d = Tile(row, r)
				e = Add(x, b)
				f = Add(e, c)
				y = Add(f, d)
				output y f32[N,2,3]`,
			want:  "e = Add(x, b)\nf = Add(e, c)\ny = Add(f, d)",
			kinds: map[string]int{"GatherND folded": 2, "ReduceMean folded": 1, "Tile folded": 1},
		},
		{
			name: "sizes of paddings",
			model: `
				input x f32[N,2]
				d = init f32[4] {2.5, -2.5, 3.5, 0.49}
				a = Ceil(d)
				b = Floor(d)
				c = Round(d)
				e = Sub(a, b)
				f = Mul(e, c)
				g = Slice(f, zero, two)
				zero = init i64[1] {0}
				two = init i64[1] {2}
				y = Mul(x, g)
				output y f32[N,2]`,
			want:  "y = Mul(x, g)",
			kinds: map[string]int{"Ceil folded": 1, "Floor folded": 1, "Round folded": 1, "Sub folded": 1, "Mul folded": 1, "Slice folded": 1},
		},
		{
			name: "small arithmetic",
			model: `
				input x f32[N,2]
				d = init i64[] {16}
				one = init f32[2] {1, 3}
				a = Cast(d) {to=1}
				b = Sqrt(a)
				c = Div(one, b)
				e = Neg(c)
				f = Sub(e, one)
				g = Add(f, b)
				h = Mul(g, g)
				y = Mul(x, h)
				output y f32[N,2]`,
			want: "y = Mul(x, h)",
			kinds: map[string]int{"Cast folded": 1, "Sqrt folded": 1, "Div folded": 1, "Neg folded": 1, "Sub folded": 1,
				"Add folded": 1, "Mul folded": 1},
		},
		{
			name: "sizes that are known, and one that is open",
			model: `
				input x f32[N,4,6]
				i0 = init i64[] {0}
				i1 = init i64[] {1}
				axis = init i64[1] {0}
				two = init i64[] {2}
				s = Shape(x)
				n = Gather(s, i0)
				c = Gather(s, i1)
				half = Div(c, two)
				nn = Unsqueeze(n, axis)
				cc = Unsqueeze(half, axis)
				rest = init i64[1] {-1}
				to = Concat(nn, cc, rest) {axis=0}
				y = Reshape(x, to)
				output y f32[N,2,12]`,
			want: `
				s = Shape(x)
				n = Gather(s, i0)
				nn = Unsqueeze(n, axis)
				to = Concat(nn, cc, rest) {axis=0}
				y = Reshape(x, to)`,
			kinds: map[string]int{"Gather folded": 1, "Div folded": 1, "Unsqueeze folded": 1},
		},
		{
			name: "a tied matrix stays one",
			model: `
				input ids i64[N]
				table = init f32[20,4] random(1)
				x = Gather(table, ids)
				t = Transpose(table) {perm=[1,0]}
				y = MatMul(x, t)
				output y f32[N,20]`,
		},
		{
			name: "a graph output stays computed",
			model: `
				input x f32[2]
				a = init f32[2] random(1)
				z = Neg(a)
				y = Add(x, z)
				output y f32[2]
				output z f32[2]`,
		},
	})
}

func TestConvert(t *testing.T) {
	floats := onnx.FromFloat32([]float32{-1.75, 0, 0.5, 300}, 4)
	for _, c := range []struct {
		to   onnx.DType
		want []int64
	}{{onnx.Int64, []int64{-1, 0, 0, 300}}, {onnx.Bool, []int64{1, 0, 1, 1}}, {onnx.Int8, nil}, {onnx.Uint64, nil}, {onnx.String, nil}} {
		got := convert(floats, c.to)
		if c.want == nil {
			if got != nil && c.to != onnx.Uint64 {
				t.Errorf("to %v: %v", c.to, got)
			}
			continue
		}
		if ints, err := got.Int64s(); err != nil || !slices.Equal(ints, c.want) {
			t.Errorf("to %v: %v, want %v", c.to, ints, c.want)
		}
	}
	if got := convert(onnx.FromInt64([]int64{3, 5}, 2), onnx.Float16); got == nil || len(got.Raw) != 4 {
		t.Errorf("int64 to float16: %v", got)
	}
	if got := convert(onnx.FromFloat32([]float32{1e30}, 1), onnx.Int64); got != nil {
		t.Error("a number beyond int64 was converted")
	}
}

func TestSliceIndices(t *testing.T) {
	const huge = 1<<63 - 1
	for _, c := range []struct {
		size, start, end, step int64
		want                   []int64
	}{
		{5, 1, 4, 1, []int64{1, 2, 3}},
		{5, -2, huge, 1, []int64{3, 4}},
		{5, 0, huge, huge, []int64{0}},
		{5, -1, -huge, -2, []int64{4, 2, 0}},
		{5, huge, 1, -1, []int64{4, 3, 2}},
		{5, 4, 1, 1, nil},
		{0, 0, huge, 1, nil},
		{0, -1, -huge, -1, nil},
	} {
		if got := sliceIndices(c.size, c.start, c.end, c.step); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestTransposeRefusesWhatIsNoPermutation(t *testing.T) {
	w := onnxtest.Random(1, onnx.Float, 2, 3)
	for _, perm := range [][]int64{{0}, {0, 0}, {0, 2}, {1, 0, 2}} {
		if transpose(w, perm) != nil {
			t.Errorf("%v", perm)
		}
	}
}
