package refit

import (
	"fmt"
	"math"
	"testing"

	"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest"
	"github.com/onnx-zip/onnx-zip/onnx"
	"github.com/onnx-zip/onnx-zip/onnx/onnxtest"
)

// tensors is a source over one input.
type tensors struct {
	input string
	x     *onnx.Tensor
}

func (s tensors) Samples() int { return int(s.x.Dims[0]) }

func (s tensors) Batch(from, to int) (map[string]*onnx.Tensor, error) {
	size := len(s.x.Raw) / s.Samples()
	dims := append([]int64{int64(to - from)}, s.x.Dims[1:]...)
	return map[string]*onnx.Tensor{s.input: {DType: s.x.DType, Dims: dims, Raw: s.x.Raw[from*size : to*size]}}, nil
}

// single is one node that differs between the merged network and the source by its weights.
type single struct {
	name         string
	input, wdims string // "3,7,6"
	node         string // operator with attributes
	channels     int
	axis         int
	bias         bool
	samples      int
	naive        func(position, o int) [][2]int // pairs of input offset (-1: padding) and weight offset
}

func (c single) model(t *testing.T, seed int) *onnx.Model {
	bias, inits := "", ""
	if c.bias {
		bias, inits = ", b", fmt.Sprintf("b = init f32[%d] random(%d, -1, 1)\n", c.channels, seed+100)
	}
	op, attrs := c.node, ""
	for k, r := range c.node {
		if r == ' ' {
			op, attrs = c.node[:k], c.node[k:]
			break
		}
	}
	return onnxtest.Build(t, fmt.Sprintf("input x f32[N,%s]\nw = init f32[%s] random(%d)\n%sy = %s(x, w%s)%s\noutput y f32\n",
		c.input, c.wdims, seed, inits, op, bias, attrs))
}

// fitterOf opens a fitter for one node.
func fitterOf(t *testing.T, merged, side *onnx.Model, l Linear, src tensors, o Options) *fitter {
	t.Helper()
	f := &fitter{merged: merged, workers: 1, sources: NewSources(orttest.Engine(t), side, src, src, o)}
	t.Cleanup(f.sources.Close)
	if err := f.open(t.Context(), []Linear{l}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	if len(f.problems) != 1 {
		t.Fatal("the node is left alone")
	}
	return f
}

func identityMember(value string, channels int) []Member {
	m := Member{Value: value}
	for c := range channels {
		m.To, m.Coef = append(m.To, c), append(m.Coef, 1)
	}
	return []Member{m}
}

// TestNormals compares the sums that the engine makes with naive loops in float64, for every kind of node.
func TestNormals(t *testing.T) {
	for _, c := range []single{
		conv("3x3", "3,7,6", "4,3,3,3", 1, [4]int{1, 1, 1, 1}, [2]int{1, 1}, [2]int{1, 1}),
		conv("strides", "3,7,8", "4,3,3,3", 1, [4]int{1, 1, 1, 1}, [2]int{2, 3}, [2]int{1, 1}),
		conv("asymmetric pads", "2,6,5", "4,2,3,2", 1, [4]int{0, 1, 2, 0}, [2]int{1, 2}, [2]int{1, 1}),
		conv("dilations", "2,9,8", "4,2,3,3", 1, [4]int{2, 0, 1, 1}, [2]int{1, 1}, [2]int{2, 3}),
		conv("1x1", "5,4,4", "3,5,1,1", 1, [4]int{}, [2]int{2, 2}, [2]int{1, 1}),
		conv("depthwise", "4,6,6", "4,1,3,3", 4, [4]int{1, 1, 1, 1}, [2]int{1, 1}, [2]int{1, 1}),
		conv("depthwise, two each", "3,6,6", "6,1,3,3", 3, [4]int{1, 0, 1, 0}, [2]int{2, 1}, [2]int{1, 1}),
		conv("groups", "4,5,5", "6,2,3,3", 2, [4]int{1, 1, 1, 1}, [2]int{1, 1}, [2]int{1, 1}),
		conv("large", "48,4,4", "5,48,3,3", 1, [4]int{1, 1, 1, 1}, [2]int{1, 1}, [2]int{1, 1}), // several Gram blocks
		dense("gemm", "7", "7,4", "Gemm", false, 1), dense("gemm transB", "7", "4,7", "Gemm {transB=1}", true, 1),
		dense("matmul rank 3", "5,7", "7,4", "MatMul", false, 5), dense("matmul", "7", "7,4", "MatMul", false, 1),
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t) })
	}
}

func (c single) check(t *testing.T) {
	merged, side := c.model(t, 1), c.model(t, 2)
	var dims []int64
	positions := int64(c.samples)
	for _, d := range ints(c.input) {
		dims = append(dims, int64(d))
	}
	x := onnxtest.RandomBetween(3, -1, 2, onnx.Float, append([]int64{positions}, dims...)...)
	l := Linear{Name: "y", Node: "y", Input: "x", Weight: "w", At: "y", Axis: c.axis, Target: identityMember("y", c.channels)}
	if c.bias {
		l.Bias = "b"
	}
	f := fitterOf(t, merged, side, l, tensors{"x", x}, Options{Batch: 4, Workers: 2})
	p := f.problems[0]
	if err := f.fit.walk.advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := f.fit.normals(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range c.sums(t, p, x, merged, side) {
		close32(t, fmt.Sprint("xx of group ", g), upper(got[g].xx, p.d+1), upper(want.xx, p.d+1))
		close32(t, fmt.Sprint("rx of group ", g), got[g].rx, want.rx)
		close32(t, fmt.Sprint("rr of group ", g), got[g].rr, want.rr)
		if got[g].n != want.n {
			t.Errorf("group %d: %v positions, want %v", g, got[g].n, want.n)
		}
	}
}

// sums are the normal equations by naive loops.
func (c single) sums(t *testing.T, p *problem, x *onnx.Tensor, merged, side *onnx.Model) []*normal {
	v := values(t, x)
	wm, ws := weightsOf(t, merged, "w"), weightsOf(t, side, "w")
	bm, bs := weightsOf(t, merged, "b"), weightsOf(t, side, "b")
	out := make([]*normal, p.groups)
	for g := range out {
		out[g] = newNormal(p.d, p.o)
	}
	size := len(v) / c.samples
	for n := range c.samples {
		for pos := range p.positions() {
			for g, m := range out {
				m.n++
				column, r := make([]float64, p.d+1), make([]float64, p.o)
				column[p.d] = 1
				for o := range p.o {
					channel := g*p.o + o
					if bm != nil {
						r[o] = bs[channel] - bm[channel]
					}
					for j, pair := range c.naive(pos, channel) {
						column[j] = 0
						if pair[0] >= 0 {
							column[j] = v[n*size+pair[0]]
						}
						r[o] += (ws[pair[1]] - wm[pair[1]]) * column[j]
					}
				}
				for i := range column {
					for j := range column {
						m.xx[i*(p.d+1)+j] += column[i] * column[j]
					}
				}
				for o := range r {
					for j := range column {
						m.rx[o*(p.d+1)+j] += r[o] * column[j]
					}
					m.rr[o] += r[o] * r[o]
				}
			}
		}
	}
	return out
}

// conv is a convolution; its naive form is written from the definition of the operator.
func conv(name, input, wdims string, groups int, pads [4]int, strides, dilations [2]int) single {
	in, w := ints(input), ints(wdims)
	h, width := in[1], in[2]
	outW := (width+pads[1]+pads[3]-(w[3]-1)*dilations[1]-1)/strides[1] + 1
	return single{
		name: name, input: input, wdims: wdims, channels: w[0], axis: 1, bias: true, samples: 10,
		node: fmt.Sprintf("Conv {group=%d, pads=[%d,%d,%d,%d], strides=[%d,%d], dilations=[%d,%d]}", groups,
			pads[0], pads[1], pads[2], pads[3], strides[0], strides[1], dilations[0], dilations[1]),
		naive: func(position, o int) (out [][2]int) {
			first := o / (w[0] / groups) * w[1]
			for c := range w[1] {
				for i := range w[2] {
					for j := range w[3] {
						y := position/outW*strides[0] - pads[0] + i*dilations[0]
						x := position%outW*strides[1] - pads[1] + j*dilations[1]
						at := -1
						if y >= 0 && y < h && x >= 0 && x < width {
							at = ((first+c)*h+y)*width + x
						}
						out = append(out, [2]int{at, ((o*w[1]+c)*w[2]+i)*w[3] + j})
					}
				}
			}
			return out
		},
	}
}

// dense is a matrix product of rows.
func dense(name, input, wdims, node string, transposed bool, rows int) single {
	w := ints(wdims)
	d, o := w[0], w[1]
	if transposed {
		d, o = o, d
	}
	return single{
		name: name, input: input, wdims: wdims, node: node, channels: o, axis: len(ints(input)), bias: node != "MatMul", samples: 10,
		naive: func(position, channel int) (out [][2]int) {
			for j := range d {
				at := j*o + channel
				if transposed {
					at = channel*d + j
				}
				out = append(out, [2]int{position*d + j, at})
			}
			return out
		},
	}
}

func ints(list string) (out []int) {
	n := 0
	for _, r := range list + "," {
		if r == ',' {
			out, n = append(out, n), 0
			continue
		}
		n = n*10 + int(r-'0')
	}
	return out
}

func upper(m []float64, n int) (out []float64) {
	for i := range n {
		out = append(out, m[i*n+i:(i+1)*n]...)
	}
	return out
}

func values(t *testing.T, x *onnx.Tensor) []float64 {
	t.Helper()
	v, err := x.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func weightsOf(t *testing.T, m *onnx.Model, name string) []float64 {
	t.Helper()
	p := find(m.Graph(), name)
	if p == nil {
		return nil
	}
	x, err := onnx.TensorOf(p)
	if err != nil {
		t.Fatal(err)
	}
	return values(t, x)
}

// close32 allows for float32 rounding, relative to the largest value.
func close32(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	for k, w := range want {
		if d := math.Abs(got[k] - w); !(d <= 2e-6*largest) {
			t.Fatalf("%s: element %d is %.8g, want %.8g", what, k, got[k], w)
		}
	}
}
