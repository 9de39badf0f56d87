package cost

import "github.com/onnx-zip/onnx-zip/onnx"

// conv: X[N,C,…]∗W[M,C/group,k…] sums C/group·∏k products for each element of the output.
func conv(weight int) rule {
	return func(c *call) int64 {
		w := c.in(weight, 3)
		return times(2, c.out(), times(w[1:]...))
	}
}

// convTranspose: each element of X[N,C,…] meets the M/group·∏k weights of its channel in W[C,M/group,k…].
func convTranspose(c *call) int64 {
	x, w := c.in(0, 3), c.in(1, 3)
	return times(2, times(x...), times(w[1:]...))
}

// matMul: A[…,M,K]·B[…,K,N]. It holds for vectors as well: K is A's last size always.
func matMul(c *call) int64 {
	a := c.in(0, 1)
	return times(2, c.out(), a[len(a)-1])
}

// gemm: alpha·A′·B′ + beta·C.
func gemm(c *call) int64 {
	a, out := c.in(0, 2), c.out()
	inner := a[1]
	if onnx.AttrInt(c.node, "transA", 0) != 0 {
		inner = a[0]
	}
	count := times(2, out, inner)
	if onnx.AttrFloat(c.node, "alpha", 1) != 1 {
		count = plus(count, out)
	}
	if hasC := len(c.node.Input) > 2 && c.node.Input[2] != ""; hasC && onnx.AttrFloat(c.node, "beta", 1) != 1 {
		count = plus(count, out)
	}
	return count
}

// recurrent: X[steps,batch,I] with W[directions,gates·H,I] and R[directions,gates·H,H]: every weight meets every
// step of every sample once.
func recurrent(c *call) int64 {
	x, w, r := c.in(0, 3), c.in(1, 3), c.in(2, 3)
	return times(2, x[0], x[1], plus(times(w...), times(r...))) // layout 1 swaps steps and batch
}
