package rewrite

import "testing"

func TestReshape(t *testing.T) {
	const flat = "Reshape made Flatten"
	checkPass(t, "reshape", []passTest{
		{
			name: "the ways to flatten",
			model: `
				input x f32[N,4,3,2]
				t1 = init i64[2] {0, -1}
				t2 = init i64[2] {-1, 24}
				i0 = init i64[] {0}
				ax = init i64[1] {0}
				rest = init i64[1] {-1}
				a = Reshape(x, t1)
				b = Reshape(x, t2)
				s = Shape(x)
				n = Gather(s, i0)
				nn = Unsqueeze(n, ax)
				to = Concat(nn, rest) {axis=0}
				c = Reshape(x, to)
				output a f32[N,24]
				output b f32[N,24]
				output c f32[N,24]`,
			want: `
				a = Flatten(x) {axis=1}
				b = Flatten(x) {axis=1}
				s = Shape(x)
				n = Gather(s, i0)
				nn = Unsqueeze(n, ax)
				to = Concat(nn, rest) {axis=0}
				c = Flatten(x) {axis=1}`,
			kinds: map[string]int{flat: 3},
		},
		{
			name: "a map of one position squeezed",
			model: `
				input x f32[N,4,1,1]
				axes = init i64[2] {2, 3}
				y = Squeeze(x, axes)
				output y f32[N,4]`,
			want:  "y = Flatten(x) {axis=1}",
			kinds: map[string]int{"Squeeze made Flatten": 1},
		},
		{
			name: "squeezed one axis after the other",
			model: `
				input x f32[N,4,1,1]
				last = init i64[1] {-1}
				a = Squeeze(x, last)
				b = Squeeze(a, last)
				y = Relu(b)
				output y f32[N,4]`,
			want:  "a = Squeeze(x, last)\nb = Flatten(x) {axis=1}\ny = Relu(b)",
			kinds: map[string]int{"Squeeze made Flatten": 1},
		},
		{
			name: "computed targets",
			model: `
				input x f32[N,T,8]
				s = Shape(x)
				i0 = init i64[1] {0}
				i1 = init i64[1] {1}
				heads = init i64[2] {2, 4}
				n = Gather(s, i0)
				m = Gather(s, i1)
				to = Concat(n, m, heads) {axis=0}
				a = Reshape(x, to)
				b = Transpose(a) {perm=[0,2,1,3]}
				eight = init i64[1] {8}
				back = Concat(m, n, eight) {axis=0}
				y = Reshape(b, back)
				output y f32[T,N,8]`,
			want: `
				s = Shape(x)
				n = Gather(s, i0)
				m = Gather(s, i1)
				to = Concat(n, m, heads) {axis=0}
				a = Reshape(x, to_target)
				b = Transpose(a) {perm=[0,2,1,3]}
				back = Concat(m, n, eight) {axis=0}
				y = Reshape(b, back)`,
			kinds: map[string]int{"targets made constant": 1},
			sizes: map[string]int64{"N": 2, "T": 3},
		},
		{
			name: "a computed target without zeros",
			model: `
				input x f32[N,6]
				s = Shape(x) {end=1}
				rest = init i64[2] {2, 3}
				to = Concat(s, rest) {axis=0}
				y = Reshape(x, to) {allowzero=1}
				output y f32[N,2,3]`,
			want:  "s = Shape(x) {end=1}\nto = Concat(s, rest) {axis=0}\ny = Reshape(x, to_target) {allowzero=0}",
			kinds: map[string]int{"targets made constant": 1},
			sizes: map[string]int64{"N": 2},
		},
		{
			name: "a computed target with one",
			model: `
				input x f32[N,0]
				s = Shape(x) {end=1}
				rest = init i64[2] {0, 3}
				to = Concat(s, rest) {axis=0}
				y = Reshape(x, to) {allowzero=1}
				output y f32[N,0,3]`,
			sizes: map[string]int64{"N": 2},
		},
		{
			name: "reshapes that move the first axis",
			model: `
				input x f32[N,4,6]
				to = init i64[2] {-1, 6}
				y = Reshape(x, to)
				output y f32[M,6]`,
		},
	})
}
