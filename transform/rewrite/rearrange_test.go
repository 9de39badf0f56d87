package rewrite

import "testing"

func TestRearrange(t *testing.T) {
	checkPass(t, "rearrange", []passTest{
		{
			name: "pixels of a patch behind each other, and back, as MobileViT does it",
			model: `
				input x f32[N,3,4,6]
				open = init i64[4] {-1, 2, 3, 2}
				patches = init i64[4] {-1, 3, 6, 4}
				rows = init i64[3] {-1, 6, 3}
				samples = init i64[4] {-1, 4, 6, 3}
				back = init i64[4] {-1, 3, 2, 2}
				map = init i64[4] {-1, 3, 4, 6}
				a = Reshape(x, open)
				b = Transpose(a) {perm=[0,2,1,3]}
				c = Reshape(b, patches)
				d = Transpose(c) {perm=[0,3,2,1]}
				e = Reshape(d, rows)
				f = Relu(e)
				g = Reshape(f, samples)
				h = Transpose(g) {perm=[0,3,2,1]}
				i = Reshape(h, back)
				j = Transpose(i) {perm=[0,2,1,3]}
				y = Reshape(j, map)
				output y f32[N,3,4,6]`,
			want: `
				e_rearranged = Reshape(x, e_shape)
				e_rearranged_2 = Transpose(e_rearranged) {perm=[0,3,5,2,4,1]}
				e = Reshape(e_rearranged_2, e_shape_2)
				f = Relu(e)
				y_rearranged = Reshape(f, y_shape)
				y_rearranged_2 = Transpose(y_rearranged) {perm=[0,5,3,1,4,2]}
				y = Reshape(y_rearranged_2, y_shape_2)`,
			kinds: map[string]int{"Reshapes and Transposes in a row made one": 2},
		},
		{
			name: "an axis that is divided and comes together again stays whole",
			model: `
				input x f32[N,4,6]
				one = init i64[3] {-1, 2, 6}
				two = init i64[4] {-1, 2, 2, 6}
				three = init i64[3] {-1, 4, 6}
				a = Reshape(x, one)
				b = Transpose(a) {perm=[0,2,1]}
				c = Transpose(b) {perm=[0,2,1]}
				d = Reshape(c, two)
				e = Transpose(d) {perm=[0,3,1,2]}
				y = Reshape(e, three)
				output y f32[N,6,4]`,
			sizes: map[string]int64{"N": 2},
		},
		{
			name: "samples that are never joined with features: windows of a map",
			model: `
				input x f32[N,4,4,3]
				windows = init i64[6] {-1, 2, 2, 2, 2, 3}
				rows = init i64[4] {-1, 4, 4, 3}
				flat = init i64[3] {0, 16, 3}
				a = Reshape(x, windows)
				b = Transpose(a) {perm=[0,1,3,2,4,5]}
				c = Reshape(b, rows)
				d = Transpose(c) {perm=[0,2,1,3]}
				y = Reshape(d, flat)
				output y f32[N,16,3]`,
		},
		{
			name: "a value on the way that others read",
			model: `
				input x f32[N,3,4,6]
				open = init i64[4] {-1, 2, 3, 2}
				patches = init i64[4] {-1, 3, 6, 4}
				rows = init i64[3] {-1, 6, 3}
				a = Reshape(x, open)
				b = Transpose(a) {perm=[0,2,1,3]}
				c = Reshape(b, patches)
				d = Transpose(c) {perm=[0,3,2,1]}
				y = Reshape(d, rows)
				output c f32[N,3,6,4]
				output y f32[M,6,3]`,
		},
	})
}
