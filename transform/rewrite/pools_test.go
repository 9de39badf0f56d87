package rewrite

import "testing"

func TestPools(t *testing.T) {
	checkPass(t, "pools", []passTest{
		{
			name: "windows and means over the whole map",
			model: `
				input x f32[N,3,4,5]
				axes = init i64[2] {-1, 2}
				a = AveragePool(x) {kernel_shape=[4,5], pads=[0,0,0,0], count_include_pad=1}
				b = ReduceMean(x) {axes=[2,3]}
				c = ReduceMean(x) {axes=[3,2], keepdims=0}
				output a f32[N,3,1,1]
				output b f32[N,3,1,1]
				output c f32[N,3]`,
			want: `
				a = GlobalAveragePool(x)
				b = GlobalAveragePool(x)
				c_mean = GlobalAveragePool(x)
				c = Flatten(c_mean) {axis=1}`,
			kinds: map[string]int{"AveragePool made global": 1, "ReduceMean made GlobalAveragePool": 2},
		},
		{
			name: "axes as an input",
			model: `
				opset 18
				input x f32[N,3,4,5]
				axes = init i64[2] {-1, 2}
				y = ReduceMean(x, axes)
				output y f32[N,3,1,1]`,
			want:  "y = GlobalAveragePool(x)",
			kinds: map[string]int{"ReduceMean made GlobalAveragePool": 1},
		},
		{
			name: "means that are something else",
			model: `
				input x f32[N,3,4,4]
				a = AveragePool(x) {kernel_shape=[3,4]}
				b = AveragePool(x) {kernel_shape=[4,4], pads=[1,1,1,1], strides=[4,4]}
				c = ReduceMean(x) {axes=[1,2,3]}
				d = ReduceMean(x) {axes=[1]}
				e = ReduceMean(x)
				s = init i64[3] {0, 3, 16}
				g = Reshape(x, s)
				f = ReduceMean(g) {axes=[2]}
				output a f32[N,3,2,1]
				output b f32[N,3,1,1]
				output c f32[N,1,1,1]
				output d f32[N,1,4,4]
				output e f32[1,1,1,1]
				output f f32[N,3,1]`,
		},
	})
}
