package refit

import (
	"fmt"

	"github.com/onnx-zip/onnx-zip/onnx"
	"google.golang.org/protobuf/proto"
)

// Names in the graph that sums up the second moments of a node's input and of its residual.
const (
	gramX  = "x"  // the node's input
	gramR  = "r"  // target − value, channels on the axis of the node's output
	gramP  = "p"  // indices of the sampled positions
	gramXX = "xx" // Σ x̃x̃ᵀ, x̃ the im2col'd input with a trailing 1: [d+1, d+1], depthwise [C, k+1, k+1]
	gramRX = "rx" // Σ r x̃ᵀ: [O, d+1], depthwise [C, 1, k+1]
	gramRR = "rr" // Σ r²: [O]
)

// gramGraph builds the graph. A convolution's input is unfolded by shifted slices (one for each kernel tap),
// of which only sampled positions are kept: no copy of the whole unfolded activation is ever made.
func gramGraph(k kernel, dtype onnx.DType, rank int) *onnx.Model {
	b := &graphBuilder{}
	x, r := gramX, gramR
	if dtype != onnx.Float {
		x, r = b.node("Cast", []string{x}, onnx.Int("to", int64(onnx.Float))), b.node("Cast", []string{r}, onnx.Int("to", int64(onnx.Float)))
	}
	switch {
	case k.depthwise():
		b.depthwiseSums(b.taps(k, x), b.positions(r))
	case k.op == "Conv":
		b.sums(b.columns(b.node("Concat", b.taps(k, x), onnx.Int("axis", 1))), b.columns(b.positions(r)))
	default:
		b.sums(b.rows(x, rank), b.rows(r, rank))
	}
	return b.model(dtype)
}

// graphBuilder collects nodes.
type graphBuilder struct {
	g     onnx.Graph
	count int
}

func (b *graphBuilder) node(op string, inputs []string, attrs ...*onnx.Attribute) string {
	b.count++
	out := fmt.Sprintf("v%d", b.count)
	b.g.Node = append(b.g.Node, onnx.NewNode(op, out, inputs, []string{out}, attrs...))
	return out
}

func (b *graphBuilder) ints(v ...int64) string {
	b.count++
	name := fmt.Sprintf("c%d", b.count)
	b.g.Initializer = append(b.g.Initializer, onnx.FromInt64(v, int64(len(v))).Proto(name))
	return name
}

// taps returns, for each kernel tap, the input at the sampled output positions: [N, C, P].
func (b *graphBuilder) taps(k kernel, x string) []string {
	if k.pads[0]+k.pads[1]+k.pads[2]+k.pads[3] > 0 {
		x = b.node("Pad", []string{x, b.ints(0, 0, k.pads[0], k.pads[1], 0, 0, k.pads[2], k.pads[3])})
	}
	var out []string
	for i := range k.window[0] {
		for j := range k.window[1] {
			// the last window begins (window − 1)·dilation before the padded end
			endH, endW := i*k.dilations[0]-(k.window[0]-1)*k.dilations[0], j*k.dilations[1]-(k.window[1]-1)*k.dilations[1]
			const far = 1 << 40
			if endH == 0 {
				endH = far
			}
			if endW == 0 {
				endW = far
			}
			s := b.node("Slice", []string{x, b.ints(i*k.dilations[0], j*k.dilations[1]), b.ints(endH, endW),
				b.ints(2, 3), b.ints(k.strides...)})
			out = append(out, b.positions(s))
		}
	}
	return out
}

// positions flattens height and width and keeps the sampled positions: [N, C, P].
func (b *graphBuilder) positions(x string) string {
	flat := b.node("Reshape", []string{x, b.ints(0, 0, -1)})
	return b.node("Gather", []string{flat, gramP}, onnx.Int("axis", 2))
}

// columns turns [N, C, P] into [C, N·P].
func (b *graphBuilder) columns(x string) string {
	t := b.node("Transpose", []string{x}, onnx.Ints("perm", 1, 0, 2))
	return b.node("Reshape", []string{t, b.ints(0, -1)})
}

// rows turns […, C] into [C, positions].
func (b *graphBuilder) rows(x string, rank int) string {
	perm := []int64{int64(rank - 1)}
	for k := range rank - 1 {
		perm = append(perm, int64(k))
	}
	t := b.node("Transpose", []string{x}, onnx.Ints("perm", perm...))
	return b.node("Reshape", []string{t, b.ints(0, -1)})
}

// withOne appends a row of ones to [d, P].
func (b *graphBuilder) withOne(x string, axis int64) string {
	first := b.node("Slice", []string{x, b.ints(0), b.ints(1), b.ints(axis)})
	zero := b.node("Sub", []string{first, first})
	one := b.node("Exp", []string{zero})
	return b.node("Concat", []string{x, one}, onnx.Int("axis", axis))
}

func (b *graphBuilder) sums(x, r string) {
	x = b.withOne(x, 0)
	xt := b.node("Transpose", []string{x}, onnx.Ints("perm", 1, 0))
	b.output(gramXX, b.node("MatMul", []string{x, xt}))
	b.output(gramRX, b.node("MatMul", []string{r, xt}))
	b.output(gramRR, b.node("ReduceSumSquare", []string{r}, onnx.Ints("axes", 1), onnx.Int("keepdims", 0)))
}

// depthwiseSums treats every channel by itself: taps are [N, C, P] each.
func (b *graphBuilder) depthwiseSums(taps []string, r string) {
	var rows []string
	for _, t := range append(taps, r) { // [C, 1, N·P]
		flat := b.columns(t)
		rows = append(rows, b.node("Reshape", []string{flat, b.ints(0, 1, -1)}))
	}
	x := b.withOne(b.node("Concat", rows[:len(taps)], onnx.Int("axis", 1)), 1)
	xt := b.node("Transpose", []string{x}, onnx.Ints("perm", 0, 2, 1))
	b.output(gramXX, b.node("MatMul", []string{x, xt}))
	last := rows[len(taps)]
	b.output(gramRX, b.node("MatMul", []string{last, xt}))
	b.output(gramRR, b.node("ReduceSumSquare", []string{last}, onnx.Ints("axes", 1, 2), onnx.Int("keepdims", 0)))
}

func (b *graphBuilder) output(name, value string) {
	b.g.Node = append(b.g.Node, onnx.NewNode("Identity", name, []string{value}, []string{name}))
	b.g.Output = append(b.g.Output, onnx.NewValueInfo(name, onnx.Float, nil))
}

// gramOpset is that of the helper graph, whatever the model's own: the newest whose reductions take their
// axes as attributes.
const gramOpset = 17

func (b *graphBuilder) model(dtype onnx.DType) *onnx.Model {
	b.g.Name = proto.String("moments")
	b.g.Input = []*onnx.ValueInfo{onnx.NewValueInfo(gramX, dtype, nil), onnx.NewValueInfo(gramR, dtype, nil)}
	for _, n := range b.g.Node {
		for _, in := range n.Input {
			if in == gramP {
				b.g.Input = append(b.g.Input, onnx.NewValueInfo(gramP, onnx.Int64, []onnx.Dim{{Size: -1}}))
				return b.wrap()
			}
		}
	}
	return b.wrap()
}

func (b *graphBuilder) wrap() *onnx.Model {
	return &onnx.Model{Proto: &onnx.ModelProto{
		IrVersion:   proto.Int64(8),
		OpsetImport: []*onnx.OpsetID{{Domain: proto.String(""), Version: proto.Int64(gramOpset)}},
		Graph:       &b.g,
	}}
}
