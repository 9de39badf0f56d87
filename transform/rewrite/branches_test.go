package rewrite

import "testing"

func TestBranches(t *testing.T) {
	sizes := map[string]int64{"N": 2}
	checkPass(t, "branches", []passTest{
		{name: "two", sizes: sizes, kinds: map[string]int{"branches divided": 1},
			model: "input x f32[N,6,1,1]\nd = init i64[5] {0, 2, 3, 1, 1}\nr = Reshape(x, d)\ny = Softmax(r) {axis=1}\noutput y",
			want: "r_branch = Slice(x, r_bound, r_bound_2, r_bound_3)\nr_weights = Reshape(r_branch, r_shape)\n" +
				"r_branch_2 = Slice(x, r_bound_4, r_bound_5, r_bound_6)\nr_weights_2 = Reshape(r_branch_2, r_shape_2)\n" +
				"r = Concat(r_weights, r_weights_2) {axis=1}\ny = Softmax(r) {axis=1}"},
		{name: "over the features", sizes: sizes, model: "input x f32[N,6,1,1]\nd = init i64[5] {0, 2, 3, 1, 1}\nr = Reshape(x, d)\ny = Softmax(r) {axis=2}\noutput y"},
		{name: "over positions", sizes: sizes, model: "input x f32[N,2,3,4]\nd = init i64[3] {0, 2, 12}\nr = Reshape(x, d)\ny = Softmax(r) {axis=1}\noutput y"},
		{name: "read elsewhere", sizes: sizes,
			model: "input x f32[N,6]\nd = init i64[3] {0, 2, 3}\nr = Reshape(x, d)\ny = Softmax(r) {axis=1}\nz = Neg(r)\noutput y\noutput z"},
	})
}
