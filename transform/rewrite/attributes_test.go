package rewrite

import "testing"

func TestAttributes(t *testing.T) {
	checkPass(t, "attributes", []passTest{
		{
			name: "defaults written out",
			model: `
				input x f32[N,4,8,8]
				w = init f32[6,4,3,3] random(1)
				u = init f32[6,2,2,2] random(2)
				g = init f32[5,32] random(3)
				a = Conv(x, w)
				b = ConvTranspose(a, u)
				c, mask = MaxPool(b) {kernel_shape=[2,2]}
				d = AveragePool(c) {kernel_shape=[2,2], strides=[2,2]}
				e = LeakyRelu(d)
				f = Softmax(e)
				h = Transpose(f)
				i = Transpose(h) {perm=[3,2,1,0]}
				j = Flatten(i)
				k = Pad(j, p)
				p = init i64[4] {0, 0, 0, 14}
				y = Gemm(k, g) {transB=1}
				output y f32[N,5]`,
			want: `
				a = Conv(x, w) {dilations=[1,1], group=1, kernel_shape=[3,3], pads=[0,0,0,0], strides=[1,1]}
				b = ConvTranspose(a, u) {dilations=[1,1], group=1, kernel_shape=[2,2], output_padding=[0,0], pads=[0,0,0,0], strides=[1,1]}
				c = MaxPool(b) {ceil_mode=0, dilations=[1,1], kernel_shape=[2,2], pads=[0,0,0,0], storage_order=0, strides=[1,1]}
				d = AveragePool(c) {ceil_mode=0, count_include_pad=0, kernel_shape=[2,2], pads=[0,0,0,0], strides=[2,2]}
				e = LeakyRelu(d) {alpha=0.01}
				f = Softmax(e) {axis=3}
				h = Transpose(f) {perm=[3,2,1,0]}
				i = Transpose(h) {perm=[3,2,1,0]}
				j = Flatten(i) {axis=1}
				k = Pad(j, p) {mode="constant"}
				y = Gemm(k, g) {alpha=1.0, beta=1.0, transA=0, transB=1}`,
			kinds: map[string]int{"Conv completed": 1, "ConvTranspose completed": 1, "MaxPool completed": 1,
				"AveragePool completed": 1, "LeakyRelu completed": 1, "Softmax completed": 1, "Transpose completed": 1,
				"Flatten completed": 1, "Pad completed": 1, "Gemm completed": 1},
		},
		{
			name: "auto_pad resolved",
			model: `
				input x f32[N,2,8,7]
				w = init f32[3,2,4,3] random(1)
				v = init f32[3,3,3,3] random(2)
				a = Conv(x, w) {auto_pad="SAME_UPPER", strides=[2,1]}
				b = Conv(a, w2) {auto_pad="SAME_LOWER"}
				w2 = init f32[2,3,2,2] random(3)
				c = MaxPool(b) {auto_pad="SAME_LOWER", kernel_shape=[3,2], strides=[1,2], ceil_mode=1}
				d = AveragePool(c) {auto_pad="SAME_UPPER", kernel_shape=[2,2]}
				y = Conv(d, w3) {auto_pad="VALID"}
				w3 = init f32[2,2,2,2] random(4)
				output y f32[N,2,3,3]`,
			want: `
				a = Conv(x, w) {dilations=[1,1], group=1, kernel_shape=[4,3], pads=[1,1,1,1], strides=[2,1]}
				b = Conv(a, w2) {dilations=[1,1], group=1, kernel_shape=[2,2], pads=[1,1,0,0], strides=[1,1]}
				c = MaxPool(b) {ceil_mode=0, dilations=[1,1], kernel_shape=[3,2], pads=[1,1,1,0], storage_order=0, strides=[1,2]}
				d = AveragePool(c) {ceil_mode=0, count_include_pad=0, kernel_shape=[2,2], pads=[0,0,1,1], strides=[1,1]}
				y = Conv(d, w3) {dilations=[1,1], group=1, kernel_shape=[2,2], pads=[0,0,0,0], strides=[1,1]}`,
			kinds: map[string]int{"Conv completed": 3, "MaxPool completed": 1, "AveragePool completed": 1},
		},
		{
			name: "auto_pad of open sizes stays",
			model: `
				input x f32[N,2,H,W]
				w = init f32[3,2,3,3] random(1)
				y = Conv(x, w) {auto_pad="SAME_UPPER"}
				output y f32[N,3,H,W]`,
			want:  `y = Conv(x, w) {auto_pad="SAME_UPPER", dilations=[1,1], group=1, kernel_shape=[3,3], strides=[1,1]}`,
			kinds: map[string]int{"Conv completed": 1},
			sizes: map[string]int64{"H": 5, "W": 6},
		},
		{
			name: "an older opset has other defaults and fewer attributes",
			model: `
				opset 9
				ir 4
				input x f32[N,4,4,4]
				a = MaxPool(x) {kernel_shape=[2,2]}
				b = AveragePool(a) {kernel_shape=[2,2]}
				y = Softmax(b)
				output y f32[N,4,2,2]`,
			want: `
				a = MaxPool(x) {kernel_shape=[2,2], pads=[0,0,0,0], storage_order=0, strides=[1,1]}
				b = AveragePool(a) {count_include_pad=0, kernel_shape=[2,2], pads=[0,0,0,0], strides=[1,1]}
				y = Softmax(b) {axis=1}`,
			kinds: map[string]int{"MaxPool completed": 1, "AveragePool completed": 1, "Softmax completed": 1},
		},
		{
			name: "absent inputs at the end, axes from the end",
			model: `
				input x f32[N,2,4]
				w = init f32[3,2,3] random(1)
				low = init f32[] {0}
				a = Conv(x, w, _) {dilations=[1], group=1, kernel_shape=[3], pads=[0,0], strides=[1]}
				b = Clip(a, low, _)
				c, d = Split(b) {axis=-1}
				y = Concat(c, d) {axis=-2}
				output y f32[N,6,1]`,
			want: `
				a = Conv(x, w) {dilations=[1], group=1, kernel_shape=[3], pads=[0,0], strides=[1]}
				b = Clip(a, low)
				c, d = Split(b) {axis=2}
				y = Concat(c, d) {axis=1}`,
			kinds: map[string]int{"Conv completed": 1, "Clip completed": 1, "Split completed": 1, "Concat completed": 1},
		},
	})
}
