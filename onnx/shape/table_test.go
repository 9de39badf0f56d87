package shape_test

// ruleTable has a case for each operator of the rules, most with the variants that its versions differ in. All
// sizes were worked out by hand from the operators' definitions.
var ruleTable = []ruleCase{
	// ---- elementwise
	{name: "Gelu, Mish", text: `opset 20
		input x f32[N,3]
		a = Gelu(x)
		b = Mish(x)
		output b`, want: "a float32[N,3]\nb float32[N,3]"},
	{name: "Swish", text: `opset 24
		input x f32[N,3]
		y = Swish(x)
		output y`, want: "y float32[N,3]", only: true},
	{name: "IsNaN, IsInf, Not", text: `input x f32[N,3]
		a = IsNaN(x)
		b = IsInf(x)
		y = Not(b)
		output y`, want: "a bool[N,3]\nb bool[N,3]\ny bool[N,3]"},
	{name: "bits", text: `opset 18
		input x u8[N,3]
		n = BitwiseNot(x)
		a = BitwiseAnd(x, n)
		o = BitwiseOr(x, n)
		e = BitwiseXor(x, n)
		s = BitShift(x, x) {direction="LEFT"}
		output s`, want: "n uint8[N,3]\na uint8[N,3]\no uint8[N,3]\ne uint8[N,3]\ns uint8[N,3]"},
	{name: "Cast", text: `input x f32[N,3]
		y = Cast(x) {to=7}
		z = CastLike(y, x)
		output z`, want: "y int64[N,3]\nz float32[N,3]"},
	{name: "Dropout's mask", text: `input x f32[N,3]
		y, m = Dropout(x)
		output m`, want: "m bool[N,3]"},
	{name: "broadcasting", text: `input a f32[N,1,H]
		input b f32[3,1]
		input c f32[]
		x = Add(a, b)
		y = Sub(c, x)
		z = Mul(y, y)
		q = Div(z, b)
		p = Pow(q, c)
		output p`, want: "x float32[N,3,H]\ny float32[N,3,H]\nz float32[N,3,H]\nq float32[N,3,H]\np float32[N,3,H]"},
	{name: "broadcasting of two symbols", text: `input a f32[N]
		input b f32[M]
		input c f32[4]
		x = Add(a, b)
		y = Add(a, c)
		output y`, want: "x float32[?x.0]\ny float32[4]", only: true},
	{name: "Add before opset 7", text: `opset 6
		input a f32[N,3,4]
		input b f32[3]
		y = Add(a, b) {broadcast=1, axis=1}
		output y`, want: "y float32[N,3,4]", only: true},
	{name: "Mod", text: `input x f32[N,3]
		y = Mod(x, x) {fmod=1}
		output y`, want: "y float32[N,3]"},
	{name: "Equal", text: `input x f32[N,1]
		input z f32[4]
		y = Equal(x, z)
		output y`, want: "y bool[N,4]"},
	{name: "Where", text: `input c bool[N,1]
		input a f32[4]
		input b f32[]
		y = Where(c, a, b)
		output y`, want: "y float32[N,4]"},
	{name: "PRelu", text: `input x f32[N,3,H]
		s = init f32[3,1] random(1)
		y = PRelu(x, s)
		output y`, want: "y float32[N,3,H]"},

	// ---- contractions
	{name: "Conv", text: `input x f32[N,3,H,W]
		w = init f32[4,3,3,3] random(1)
		b = init f32[4] random(2)
		same = Conv(x, w, b) {pads=[1,1,1,1]}
		half = Conv(x, w) {pads=[1,1,1,1], strides=[2,2]}
		wide = Conv(x, w) {dilations=[2,1]}
		output wide`, want: `same float32[N,4,H,W]
		half float32[N,4,(H - 1)/2 + 1,(W - 1)/2 + 1]
		wide float32[N,4,H - 4,W - 2]`},
	{name: "Conv grouped, 1-D and 3-D", text: `input x f32[N,6,9]
		input v f32[N,1,5,6,7]
		w = init f32[4,3,3] random(1)
		d = init f32[12,1,1] random(2)
		k = init f32[2,1,1,2,3] random(3)
		y = Conv(x, w) {group=2}
		z = Conv(x, d) {group=6, strides=[3]}
		u = Conv(v, k) {kernel_shape=[1,2,3], pads=[0,0,1,0,0,2]}
		output y`, want: "y float32[N,4,7]\nz float32[N,12,3]\nu float32[N,2,5,5,8]"},
	{name: "Conv auto_pad", text: `input x f32[N,1,8,9]
		w = init f32[1,1,3,3] random(1)
		u = Conv(x, w) {auto_pad="SAME_UPPER", strides=[2,2]}
		l = Conv(x, w) {auto_pad="SAME_LOWER"}
		v = Conv(x, w) {auto_pad="VALID", strides=[2,2]}
		output v`, want: "u float32[N,1,4,5]\nl float32[N,1,8,9]\nv float32[N,1,3,4]"},
	{name: "Conv with a computed weight", text: `input x f32[N,3,8,8]
		input w f32[4,3,K,K]
		y = Conv(x, w)
		output y`, want: "y float32[N,4,?y.2,?y.3]", only: true},
	{name: "ConvInteger", text: `input x u8[N,3,8,8]
		w = init u8[4,3,3,3] fill(1)
		y = ConvInteger(x, w)
		output y`, want: "y int32[N,4,6,6]"},
	{name: "QLinearConv, QLinearMatMul", text: `s = init f32[] fill(0.5)
		z = init u8[] fill(3)
		input x u8[N,3,8,8]
		input m u8[N,7]
		w = init u8[4,3,3,3] fill(1)
		v = init u8[7,5] fill(1)
		y = QLinearConv(x, s, z, w, s, z, s, z)
		u = QLinearMatMul(m, s, z, v, s, z, s, z)
		output y`, want: "y uint8[N,4,6,6]\nu uint8[N,5]"},
	{name: "ConvTranspose", text: `input x f32[N,6,5,H]
		w = init f32[6,2,3,3] random(1)
		b = init f32[4] random(2)
		y = ConvTranspose(x, w, b) {group=2, strides=[2,2], pads=[1,1,1,1], output_padding=[1,1]}
		d = ConvTranspose(x, w) {dilations=[2,2]}
		v = ConvTranspose(x, w) {auto_pad="VALID", strides=[3,1]}
		output y`, want: "y float32[N,4,10,2·H]\nd float32[N,2,9,H + 4]\nv float32[N,2,15,H + 2]"},
	{name: "ConvTranspose with sizes of its own", text: `input x f32[N,1,5,5]
		w = init f32[1,1,3,3] random(1)
		o = ConvTranspose(x, w) {output_shape=[10,11], strides=[2,2]}
		s = ConvTranspose(x, w) {auto_pad="SAME_UPPER", strides=[2,2]}
		output o`, want: "o float32[N,1,10,11]\ns float32[N,1,10,10]"},
	{name: "Gemm", text: `input a f32[7,N]
		b = init f32[5,7] random(1)
		c = init f32[5] random(2)
		y = Gemm(a, b, c) {transA=1, transB=1}
		output y`, want: "y float32[N,5]"},
	{name: "MatMul", text: `input a f32[N,1,H,7]
		b = init f32[3,7,5] random(1)
		v = init f32[7] random(2)
		y = MatMul(a, b)
		c = MatMul(a, v)
		r = MatMul(v, b)
		s = MatMul(v, v)
		output y`, want: "y float32[N,3,H,5]\nc float32[N,1,H]\nr float32[3,5]\ns float32[]"},
	{name: "MatMulInteger", text: `input a u8[N,7]
		b = init u8[7,5] fill(2)
		y = MatMulInteger(a, b)
		output y`, want: "y int32[N,5]"},
	{name: "Einsum", text: `input a f32[N,H,3]
		input b f32[N,3,W]
		y = Einsum(a, b) {equation="bij, bjk -> bki"}
		z = Einsum(a, b) {equation="bij,bjk"}
		s = Einsum(a) {equation="bij->"}
		input c f32[N,3,W]
		e = Einsum(a, c) {equation="...ij,...jk->...ki"}
		f = Einsum(a, c) {equation="...ij,...jk"}
		output y`, want: "y float32[N,W,H]\nz float32[H,W]\ns float32[]\ne float32[N,W,H]\nf float32[N,H,W]"},
	{name: "LSTM", text: `input x f32[S,N,3]
		w = init f32[2,16,3] random(1)
		r = init f32[2,16,4] random(2)
		y, h, c = LSTM(x, w, r) {hidden_size=4, direction="bidirectional"}
		output y`, want: "y float32[S,2,N,4]\nh float32[2,N,4]\nc float32[2,N,4]"},
	{name: "GRU, RNN", text: `input x f32[S,N,3]
		w = init f32[1,12,3] random(1)
		r = init f32[1,12,4] random(2)
		v = init f32[1,4,3] random(3)
		q = init f32[1,4,4] random(4)
		y, h = GRU(x, w, r) {hidden_size=4}
		z, g = RNN(x, v, q) {hidden_size=4}
		output y`, want: "y float32[S,1,N,4]\nh float32[1,N,4]\nz float32[S,1,N,4]\ng float32[1,N,4]"},
	{name: "RNN with the batch first", text: `input x f32[N,S,3]
		v = init f32[1,4,3] random(3)
		q = init f32[1,4,4] random(4)
		z, g = RNN(x, v, q) {hidden_size=4, layout=1}
		output z`, want: "z float32[N,S,1,4]\ng float32[N,1,4]", only: true},
	{name: "Attention", text: `opset 23
		input q f32[N,4,S,8]
		input k f32[N,4,7,8]
		input v f32[N,4,7,6]
		input q3 f32[N,S,32]
		input v3 f32[N,7,12]
		input k3 f32[N,7,16]
		y = Attention(q, k, v)
		z = Attention(q3, k3, v3) {q_num_heads=4, kv_num_heads=2}
		output y`, want: "y float32[N,4,S,6]\nz float32[N,S,24]"},
	{name: "Attention with a cache", text: `opset 23
		input q f32[N,S,32]
		input k f32[N,S,16]
		input v f32[N,S,12]
		input pk f32[N,2,P,8]
		input pv f32[N,2,P,6]
		y, k2, v2 = Attention(q, k, v, _, pk, pv) {q_num_heads=4, kv_num_heads=2}
		z, k3, v3, t = Attention(q, k, v) {q_num_heads=4, kv_num_heads=2}
		output y`, want: "y float32[N,S,24]\nk2 float32[N,2,?k2.2,8]\nv2 float32[N,2,?v2.2,6]\nz float32[N,S,24]\nk3 float32[N,2,S,8]\nv3 float32[N,2,S,6]\nt float32[N,4,S,S]"},
	{name: "RotaryEmbedding, RMSNormalization", text: `opset 23
		input x f32[N,2,S,8]
		c = init f32[20,4] random(1)
		s = init f32[20,4] random(2)
		g = init f32[8] random(3)
		p = init i64[2,5] fill(3)
		y = RotaryEmbedding(x, c, s, p)
		z = RMSNormalization(x, g)
		output y`, want: "y float32[N,2,S,8]\nz float32[N,2,S,8]"},

	// ---- pools
	{name: "MaxPool", text: `input x f32[N,3,H,8]
		y, i = MaxPool(x) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]}
		c = MaxPool(x) {kernel_shape=[3,3], strides=[2,2], ceil_mode=1}
		d = MaxPool(x) {kernel_shape=[2,2], dilations=[3,3]}
		output y`, want: `y float32[N,3,(H - 1)/2 + 1,4]
		i int64[N,3,(H - 1)/2 + 1,4]
		c float32[N,3,(H - 2)/2 + 1,4]
		d float32[N,3,H - 3,5]`},
	{name: "AveragePool, ceil_mode that would start behind the input", text: `input x f32[N,1,5]
		y = AveragePool(x) {kernel_shape=[1], strides=[3], pads=[0,1], ceil_mode=1}
		z = AveragePool(x) {kernel_shape=[2], auto_pad="SAME_UPPER", strides=[2]}
		output y`, want: "y float32[N,1,2]\nz float32[N,1,3]", only: true},
	{name: "LpPool", text: `input x f32[N,3,6,6]
		y = LpPool(x) {kernel_shape=[2,2], strides=[2,2]}
		output y`, want: "y float32[N,3,3,3]"},
	{name: "global pools", text: `input x f32[N,3,H,W]
		a = GlobalAveragePool(x)
		b = GlobalMaxPool(x)
		c = GlobalLpPool(x)
		output a`, want: "a float32[N,3,1,1]\nb float32[N,3,1,1]\nc float32[N,3,1,1]"},
	{name: "GridSample", text: `input x f32[N,3,6,6]
		input g f32[N,4,W,2]
		y = GridSample(x, g)
		output y`, want: "y float32[N,3,4,W]"},

	// ---- normalisations
	{name: "BatchNormalization", text: `input x f32[N,3,H]
		s = init f32[3] random(1)
		v = init f32[3] random(2, 0.5, 1.5)
		y = BatchNormalization(x, s, s, s, v)
		z, m, u = BatchNormalization(x, s, s, s, v) {training_mode=1}
		output y`, want: "y float32[N,3,H]\nz float32[N,3,H]\nm float32[3]\nu float32[3]"},
	{name: "InstanceNormalization, LRN, MeanVarianceNormalization", text: `input x f32[N,3,H,W]
		s = init f32[3] random(1)
		y = InstanceNormalization(x, s, s)
		l = LRN(y) {size=3}
		v = MeanVarianceNormalization(l)
		output v`, want: "y float32[N,3,H,W]\nl float32[N,3,H,W]\nv float32[N,3,H,W]"},
	{name: "GroupNormalization per channel", text: `opset 21
		input x f32[N,4,H]
		s = init f32[4] random(1)
		y = GroupNormalization(x, s, s) {num_groups=2}
		output y`, want: "y float32[N,4,H]"},
	{name: "GroupNormalization per group", text: `opset 18
		input x f32[N,4,H]
		s = init f32[2] random(1)
		y = GroupNormalization(x, s, s) {num_groups=2}
		output y`, want: "y float32[N,4,H]"},
	{name: "LayerNormalization", text: `input x f32[N,S,3,4]
		s = init f32[3,4] random(1)
		y, m, d = LayerNormalization(x, s) {axis=-2}
		output y`, want: "y float32[N,S,3,4]\nm float32[N,S,1,1]\nd float32[N,S,1,1]"},
	{name: "along an axis", text: `input x f32[4,N,3]
		a = init i64[] fill(1)
		l = init i64[2] fill(4)
		y = CumSum(x, a)
		t = Trilu(x)
		r = ReverseSequence(x, l)
		e = EyeLike(m)
		m = init f32[3,4] fill(1)
		output y`, want: "y float32[4,N,3]\nt float32[4,N,3]\nr float32[4,N,3]\ne float32[3,4]"},
	{name: "CumProd", text: `opset 26
		input x f32[N,3]
		a = init i64[] fill(1)
		y = CumProd(x, a)
		output y`, want: "y float32[N,3]", only: true},

	// ---- reductions
	{name: "ReduceSum", text: `input x f32[N,3,H]
		a = init i64[2]{-1,0}
		none = init i64[0]{}
		y = ReduceSum(x, a) {keepdims=0}
		k = ReduceSum(x, a)
		all = ReduceSum(x) {keepdims=0}
		e = ReduceSum(x, none) {noop_with_empty_axes=1}
		f = ReduceSum(x, none)
		output y`, want: `y float32[3]
		k float32[1,3,1]
		all float32[]
		e float32[N,3,H]
		f float32[1,1,1]`},
	{name: "ReduceSum before opset 13", text: `opset 12
		input x f32[N,3,H]
		y = ReduceSum(x) {axes=[1], keepdims=0}
		output y`, want: "y float32[N,H]"},
	{name: "ReduceSum over computed axes", text: `input x f32[N,3,H]
		input a i64[1]
		k = ReduceSum(x, a)
		y = ReduceSum(x, a) {keepdims=0}
		output y`, want: "k float32[?k.0,?k.1,?k.2]\ny float32[?y.0,?y.1]", only: true},
	{name: "ArgMax, ArgMin", text: `input x f32[N,3,H]
		y = ArgMax(x) {axis=1}
		z = ArgMin(x) {axis=-1, keepdims=0}
		output y`, want: "y int64[N,1,H]\nz int64[N,3]"},
	{name: "TopK", text: `input x f32[N,7]
		k = init i64[1]{3}
		v, i = TopK(x, k)
		output v`, want: "v float32[N,3]\ni int64[N,3]"},
	{name: "TopK before opset 10", text: `opset 9
		input x f32[4,N]
		v, i = TopK(x) {k=3, axis=0}
		output v`, want: "v float32[3,N]\ni int64[3,N]"},

	// ---- shapes
	{name: "Reshape", text: `input x f32[N,4,6]
		t = init i64[3]{0,-1,2}
		f = init i64[1]{-1}
		y = Reshape(x, t)
		z = Reshape(x, f)
		output y`, want: "y float32[N,12,2]\nz float32[24·N]"},
	{name: "Reshape with allowzero", text: `input x f32[0,4]
		t = init i64[2]{7,0}
		y = Reshape(x, t) {allowzero=1}
		output y`, want: "y float32[7,0]", only: true},
	{name: "Reshape before opset 5", text: `opset 4
		input x f32[N,4]
		y = Reshape(x) {shape=[-1,2]}
		output y`, want: "y float32[2·N,2]", only: true},
	{name: "Reshape to an unknown target", text: `input x f32[N,4]
		input t i64[3]
		y = Reshape(x, t)
		output y`, want: "y float32[?y.0,?y.1,?y.2]", only: true},
	{name: "Flatten", text: `input x f32[N,3,4,5]
		y = Flatten(x)
		z = Flatten(x) {axis=-1}
		a = Flatten(x) {axis=0}
		output y`, want: "y float32[N,60]\nz float32[12·N,5]\na float32[1,60·N]"},
	{name: "Squeeze, Unsqueeze", text: `input x f32[N,1,3,1]
		one = init i64[1]{-1}
		two = init i64[2]{0,-1}
		y = Squeeze(x, one)
		u = Unsqueeze(y, two)
		output u`, want: "y float32[N,1,3]\nu float32[1,N,1,3,1]"},
	{name: "Squeeze, Unsqueeze before opset 13", text: `opset 11
		input x f32[N,1,3,1]
		y = Squeeze(x) {axes=[1,3]}
		u = Unsqueeze(y) {axes=[1]}
		output u`, want: "y float32[N,3]\nu float32[N,1,3]"},
	{name: "Squeeze of all", text: `input x f32[2,1,3,1]
		input z f32[N,1]
		y = Squeeze(x)
		u = Squeeze(z)
		output y`, want: "y float32[2,3]\nu float32?"},
	{name: "Transpose", text: `input x f32[N,3,H]
		y = Transpose(x)
		z = Transpose(x) {perm=[0,2,1]}
		output y`, want: "y float32[H,3,N]\nz float32[N,H,3]"},
	{name: "Expand, Tile", text: `input x f32[N,1,3]
		e = init i64[4]{2,1,4,1}
		r = init i64[3]{1,2,3}
		y = Expand(x, e)
		z = Tile(x, r)
		output y`, want: "y float32[2,N,4,3]\nz float32[N,2,9]"},
	{name: "DepthToSpace, SpaceToDepth", text: `input x f32[N,8,3,H]
		y = DepthToSpace(x) {blocksize=2}
		z = SpaceToDepth(y) {blocksize=2}
		output z`, want: "y float32[N,2,6,2·H]\nz float32[N,8,3,H]"},
	{name: "Resize by scales", text: `input x f32[N,3,5,H]
		s = init f32[4]{1,1,1.5,2}
		y = Resize(x, _, s)
		output y`, want: "y float32[N,3,7,2·H]"},
	{name: "Resize to sizes", text: `opset 18
		input x f32[N,3,5,H]
		s = init i64[2]{10,7}
		y = Resize(x, _, _, s) {axes=[2,3]}
		a = Resize(x, _, _, s) {axes=[2,3], keep_aspect_ratio_policy="not_larger"}
		output y`, want: "y float32[N,3,10,7]\na float32[N,3,?a.2,?a.3]"},
	{name: "Resize of opset 10", text: `opset 10
		input x f32[N,3,5,5]
		s = init f32[4]{1,1,2,0.5}
		y = Resize(x, s)
		output y`, want: "y float32[N,3,10,2]"},
	{name: "Upsample", text: `opset 9
		input x f32[N,3,5,5]
		s = init f32[4]{1,1,2,3}
		y = Upsample(x, s)
		output y`, want: "y float32[N,3,10,15]"},
	{name: "Upsample of opset 7", text: `opset 7
		input x f32[N,3,5,5]
		y = Upsample(x) {scales=[1.0,1.0,2.0,2.0]}
		output y`, want: "y float32[N,3,10,10]"},
	{name: "Pad", text: `input x f32[N,3,H]
		p = init i64[6]{0,0,1,0,2,-2}
		y = Pad(x, p)
		output y`, want: "y float32[N,5,H - 1]"},
	{name: "Pad of opset 2 and of some axes", text: `opset 10
		input x f32[N,3,H]
		y = Pad(x) {pads=[0,0,1,0,2,1]}
		output y`, want: "y float32[N,5,H + 2]"},
	{name: "Pad of some axes", text: `opset 18
		input x f32[N,3,H]
		p = init i64[2]{1,2}
		a = init i64[1]{-1}
		y = Pad(x, p, _, a)
		output y`, want: "y float32[N,3,H + 3]"},

	// ---- parts
	{name: "Concat", text: `input a f32[N,3,H]
		input b f32[N,5,H]
		y = Concat(a, b) {axis=1}
		z = Concat(a, y) {axis=-2}
		u = Concat(a, a, a) {axis=0}
		output y`, want: "y float32[N,8,H]\nz float32[N,11,H]\nu float32[3·N,3,H]"},
	{name: "Split evenly and by a list", text: `input x f32[N,6]
		l = init i64[3]{1,2,3}
		a, b = Split(x) {axis=1}
		c, d, e = Split(x, l) {axis=-1}
		output a`, want: `a float32[N,3]
		b float32[N,3]
		c float32[N,1]
		d float32[N,2]
		e float32[N,3]`},
	{name: "Split before opset 13", text: `opset 11
		input x f32[6,N]
		a, b = Split(x) {split=[2,4]}
		output a`, want: "a float32[2,N]\nb float32[4,N]"},
	{name: "Split with a smaller last part", text: `opset 18
		input x f32[7,N]
		a, b, c = Split(x) {num_outputs=3}
		output a`, want: "a float32[3,N]\nb float32[3,N]\nc float32[1,N]"},
	{name: "Slice", text: `input x f32[N,9,H]
		s = init i64[2]{1,0}
		e = init i64[2]{-1,9223372036854775807}
		a = init i64[2]{1,-1}
		t = init i64[2]{3,1}
		y = Slice(x, s, e, a, t)
		r0 = init i64[1]{-1}
		r1 = init i64[1]{-9223372036854775807}
		r2 = init i64[1]{1}
		r3 = init i64[1]{-2}
		back = Slice(x, r0, r1, r2, r3)
		output y`, want: "y float32[N,3,H]\nback float32[N,5,H]"},
	{name: "Slice before opset 10", text: `opset 9
		input x f32[N,9]
		y = Slice(x) {axes=[1], starts=[-3], ends=[100]}
		output y`, want: "y float32[N,3]"},
	{name: "Gather", text: `input x f32[N,5,H]
		i = init i64[2,3]{0,1,-1,4,2,2}
		s = init i64[] fill(1)
		y = Gather(x, i) {axis=1}
		z = Gather(x, s) {axis=-2}
		output y`, want: "y float32[N,2,3,H]\nz float32[N,H]"},
	{name: "GatherElements, GatherND", text: `input x f32[3,4,H]
		i = init i64[2,2,1] fill(1)
		j = init i64[3,2,1] fill(2)
		e = GatherElements(x, i) {axis=1}
		n = GatherND(x, i)
		b = GatherND(x, j) {batch_dims=1}
		output e`, want: "e float32[2,2,1]\nn float32[2,2,4,H]\nb float32[3,2,H]"},
	{name: "scatters", text: `input x f32[3,4]
		i = init i64[1,2] fill(1)
		u = init f32[1,2] random(1)
		v = init f32[1] random(1)
		a = ScatterElements(x, i, u)
		b = ScatterND(x, i, v)
		output a`, want: "a float32[3,4]\nb float32[3,4]"},
	{name: "Scatter", text: `opset 10
		input x f32[3,4]
		i = init i64[1,2] fill(1)
		u = init f32[1,2] random(1)
		a = Scatter(x, i, u)
		output a`, want: "a float32[3,4]"},
	{name: "TensorScatter", text: `opset 24
		input x f32[N,2,9,4]
		input u f32[N,2,1,4]
		y = TensorScatter(x, u)
		output y`, want: "y float32[N,2,9,4]", only: true},
	{name: "OneHot", text: `i = init i64[2,3]{0,1,2,3,0,1}
		d = init i64[] fill(4)
		v = init f32[2]{0,1}
		y = OneHot(i, d, v)
		z = OneHot(i, d, v) {axis=0}
		output y`, want: "y float32[2,3,4]\nz float32[4,2,3]"},
	{name: "NonZero, NonMaxSuppression", text: `input x f32[N,3]
		b = init f32[1,2,4] random(1, 0, 1)
		s = init f32[1,1,2] random(2, 0, 1)
		k = init i64[1]{2}
		y = NonZero(x)
		z = NonMaxSuppression(b, s, k)
		output y`, want: "y int64[2,?y.1]\nz int64[?z.0,3]"},

	// ---- constants
	{name: "Constant", text: `a = Constant() {value=f32[2]{1,2}}
		b = Constant() {value_int=3}
		c = Constant() {value_ints=[3,4]}
		d = Constant() {value_float=3.0}
		e = Constant() {value_floats=[3.0,4.0]}
		output a`, want: "a float32[2]\nb int64[]=[3]\nc int64[2]=[3,4]\nd float32[]\ne float32[2]"},
	{name: "Constant text", text: `a = Constant() {value_string="x"}
		b = Constant() {value_strings=["x","y"]}
		output b`, want: "a STRING[]\nb STRING[2]", only: true},
	{name: "ConstantOfShape", text: `s = init i64[2]{3,4}
		t = init i64[1]{2}
		y = ConstantOfShape(s)
		z = ConstantOfShape(t) {value=i64[1]{-1}}
		output y`, want: "y float32[3,4]\nz int64[2]=[-1,-1]"},
	{name: "Shape, Size", text: `input x f32[N,3,H]
		s = Shape(x)
		t = Shape(x) {start=-2, end=2}
		n = Size(x)
		output s`, want: "s int64[3]=[N,3,H]\nt int64[1]=[3]\nn int64[]=[3·H·N]"},
	{name: "Range", text: `input x f32[S,3]
		zero = init i64[] fill(0)
		one = init i64[] fill(1)
		s = Shape(x)
		n = Gather(s, zero)
		r = Range(zero, n, one)
		a = init i64[] fill(7)
		b = init i64[] fill(-1)
		c = init i64[] fill(-3)
		d = Range(a, b, c)
		f0 = init f32[] fill(0)
		f1 = init f32[] fill(1)
		f2 = init f32[] fill(0.3)
		f = Range(f0, f1, f2)
		output r`, want: "n int64[]=[S]\nr int64[S]\nd int64[3]=[7,4,1]\nf float32[4]"},
	{name: "RandomNormal, RandomUniform", text: `a = RandomNormal() {shape=[2,3]}
		b = RandomUniform() {shape=[4], dtype=11}
		output a`, want: "a float32[2,3]\nb float64[4]"},

	// ---- quantisation
	{name: "QuantizeLinear, DequantizeLinear", text: `input x f32[N,3]
		s = init f32[] fill(0.5)
		z = init i8[] fill(0)
		q = QuantizeLinear(x, s, z)
		u = QuantizeLinear(x, s)
		y = DequantizeLinear(q, s, z)
		d, ds, dz = DynamicQuantizeLinear(x)
		output y`, want: `q int8[N,3]
		u uint8[N,3]
		y float32[N,3]
		d uint8[N,3]
		ds float32[]
		dz uint8[]`},

	// ---- ONNX Runtime's own
	{name: "contrib", text: `opset com.microsoft 1
		input x f32[N,4]
		b = init f32[4] random(1)
		g = com.microsoft::Gelu(x)
		f = com.microsoft::FastGelu(g, b)
		q = com.microsoft::QuickGelu(f)
		e = com.microsoft::BiasGelu(q, b)
		output e`, want: "g float32[N,4]\nf float32[N,4]\nq float32[N,4]\ne float32[N,4]"},
	{name: "contrib normalisations", text: `opset com.microsoft 1
		input x f32[N,S,4]
		b = init f32[4] random(1)
		s = com.microsoft::SkipLayerNormalization(x, x, b)
		t = com.microsoft::SkipSimplifiedLayerNormalization(x, x, b)
		u = com.microsoft::SimplifiedLayerNormalization(x, b)
		r = com.microsoft::RotaryEmbedding(x)
		output s`, want: "s float32[N,S,4]\nt float32[N,S,4]\nu float32[N,S,4]\nr float32[N,S,4]", only: true},

	// ---- integer chains
	{name: "the view(N, -1) of exporters", text: `input x f32[N,4,3,3]
		zero = init i64[] fill(0)
		ax = init i64[1]{0}
		m = init i64[1]{-1}
		s = Shape(x)
		n = Gather(s, zero)
		u = Unsqueeze(n, ax)
		t = Concat(u, m) {axis=0}
		y = Reshape(x, t)
		output y`, want: "t int64[2]=[N,-1]\ny float32[N,36]"},
	{name: "attention's head split", text: `input x f32[N,S,12]
		b = init i64[1]{0}
		e = init i64[1]{2}
		h = init i64[1]{3}
		d = init i64[1]{4}
		s = Shape(x)
		bs = Slice(s, b, e)
		t = Concat(bs, h, d) {axis=0}
		y = Reshape(x, t)
		p = Transpose(y) {perm=[0,2,1,3]}
		m = init i64[1]{-1}
		back = Concat(bs, m) {axis=0}
		q = Reshape(y, back)
		output q`, want: "y float32[N,S,3,4]\np float32[N,3,S,4]\nq float32[N,S,12]"},
	{name: "Expand's Where(Equal(shape, -1))", text: `input x f32[N,1]
		s = Shape(x)
		t = init i64[2]{-1,4}
		m = init i64[] fill(-1)
		l = init i64[1]{2}
		ones = ConstantOfShape(l) {value=i64[1]{1}}
		is = Equal(t, m)
		w = Where(is, ones, t)
		y = Expand(x, w)
		output y`, want: "is bool[2]=[1,0]\nw int64[2]=[1,4]\ny float32[N,4]"},
	{name: "arithmetic", text: `input x f32[N,6,H]
		two = init i64[1]{2}
		s = Shape(x)
		a = Add(s, two)
		b = Sub(a, two)
		c = Mul(s, s)
		d = Div(s, two)
		p = ReduceProd(s) {keepdims=0}
		q = ReduceSum(s)
		m = Mod(two, two)
		l = Less(two, two)
		n = Not(l)
		i = Cast(s) {to=6}
		f = Cast(s) {to=1}
		e = Equal(s, s)
		x2 = Max(two, two)
		minus = Neg(two)
		output f`, want: `a int64[3]=[N + 2,8,H + 2]
		b int64[3]=[N,6,H]
		c int64[3]=[N·N,36,H·H]
		d int64[3]=[N/2,3,H/2]
		p int64[]=[6·H·N]
		q int64[1]=[H + N + 6]
		m int64[1]=[0]
		l bool[1]=[0]
		n bool[1]=[1]
		i int32[3]=[N,6,H]
		f float32[3]
		e bool[3]=[1,1,1]
		x2 int64[1]=[2]
		minus int64[1]=[-2]`},
	{name: "contents through the other operators", text: `input x f32[N,6,H]
		ax = init i64[1]{0}
		s = Shape(x)
		a, b, c = Split(s)
		q = Squeeze(b, ax)
		u = Unsqueeze(q, ax)
		f = init i64[1]{-1}
		r = Reshape(q, f)
		m = init i64[1]{-1}
		far = init i64[1]{-9223372036854775807}
		back = Slice(s, m, far, ax, m)
		t = init i64[1]{3}
		e = Expand(q, t)
		i = Identity(e)
		output i`, want: `a int64[1]=[N]
		q int64[]=[6]
		u int64[1]=[6]
		r int64[1]=[6]
		back int64[3]=[H,6,N]
		i int64[3]=[6,6,6]`},
	{name: "Reshape keeps a product", text: `input x f32[N,S,4]
		t = init i64[2]{-1,4}
		y = Reshape(x, t)
		s = Shape(x)
		z = Reshape(y, s)
		output z`, want: "y float32[N·S,4]\nz float32[N,S,4]"},
}
